"""Each test gets a fresh database of both kinds, with the tenant ``acme`` and its data set ``sales`` where it asks."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import pytest

from app.store import datasets, jobs, keys, registry
from app.store.datasets import NewRevision
from app.store.db import Database
from app.store.jobs import NewJob
from app.store.registry import Move, NewVersion
from app.store.tables import Job, Revision, Version
from tests.fakes import report, spec_of
from tests.postgres import database_fixture, database_url_fixture, empty_url_fixture  # noqa: F401

T = TypeVar("T")


def new_revision(chunk: bytes = b"rows 1 to 3", rows_total: int = 3, rows_added: int | None = None) -> NewRevision:
    return NewRevision(
        sha256="5a1e5",
        rows_added=rows_total if rows_added is None else rows_added,
        rows_total=rows_total,
        series_total=1,
        missing_total=0,
        covariates=[],
        first_ds="2026-01-01",
        last_ds="2026-01-03",
        chunk=chunk,
    )


def new_job(revision: Revision, **changes: Any) -> NewJob:
    fields: dict[str, Any] = {
        "kind": "train",
        "model": "demand",
        "request": {"horizon": 12},
        "max_attempts": 3,
        "created_by": "cli",
    }
    return NewJob(tenant_id=revision.tenant_id, revision_id=revision.id, **(fields | changes))


def new_version(job: Job, **changes: Any) -> NewVersion:
    fields: dict[str, Any] = {
        "model": job.model,
        "bundle": b"spec and weights",
        "spec": spec_of(),
        "report": report(),
        "skill": 0.25,
        "revision_id": job.revision_id,
        "data_sha256": "5a1e5",
        "job_id": job.id,
        "created_by": "cli",
    }
    return NewVersion(**(fields | changes))


def point(number: int, alias: str = "champion", reason: str = "better", model: str = "demand") -> Move:
    return Move(model=model, alias=alias, number=number, reason=reason, moved_by="cli")


def register(database: Database, revision: Revision, **changes: Any) -> Version:
    """A version of ``demand``, made by a job of its own."""
    with database.write() as session:
        job = jobs.enqueue(session, new_job(revision))
        return registry.add_version(session, revision.tenant_id, new_version(job, **changes))


def at_once(tasks: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """What each task returned or raised, all started at the same moment in threads of their own."""
    start = Barrier(len(tasks))

    def run(task: Callable[[], T]) -> T | Exception:
        start.wait(10)
        try:
            return task()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


@pytest.fixture
def acme(database: Database) -> int:
    """The id of a tenant."""
    with database.write() as session:
        return keys.tenant_id(session, "acme")


@pytest.fixture
def rival(database: Database) -> int:
    """The id of another tenant."""
    with database.write() as session:
        return keys.tenant_id(session, "rival")


@pytest.fixture
def sales(database: Database, acme: int) -> Revision:
    """The first revision of acme's data set."""
    with database.write() as session:
        return datasets.create(session, acme, "sales", "D", new_revision(), "cli")
