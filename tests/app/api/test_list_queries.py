"""Every list is read in a number of queries that does not depend on its length."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, event

from app.store import datasets, firings, jobs, keys, registry, schedules, webhooks
from app.store.db import now
from app.store.tables import Artifact, Decision, Job
from tests.app.api.conftest import Caller, House
from tests.app.api.tables import series
from tests.app.store.conftest import new_job, new_revision, new_version, point
from tests.app.work.schedule_harness import PLAN

ATTEMPTS = 3  # at a count: a thread of the service may send queries of its own meanwhile
NAMES = {"/v1/datasets": "sales", "/v1/schedules": "s0", "/v1/webhooks": "w0"}  # in the path; else the model


def fill(house: House, job: Job, numbers: Iterable[int]) -> None:
    """Add one row of every kind for each of ``numbers``; each points at rows of its own.

    ``job`` gets a file, and an attempt: it is the first in the queue.
    """
    tenant_id = house.tenants["acme"]
    with house.database.write() as session:
        moment = now(session)
        for number in numbers:
            keys.create_key(session, "acme", f"k{number}", "read")
            keys.tenant_id(session, f"t{number}")
            datasets.create(session, tenant_id, f"d{number}", "D", new_revision(), "cli")
            revision = datasets.append(session, tenant_id, "sales", number + 1, new_revision(), "cli")
            schedule = schedules.create(session, tenant_id, f"s{number}", PLAN, "cli")
            fired = new_job(revision, kind="backtest", max_attempts=9)
            firings.run_now(session, tenant_id, "s0", fired, moment + timedelta(seconds=number))
            queued = jobs.enqueue(session, new_job(revision, kind="backtest", schedule_id=schedule.id))
            version = registry.add_version(session, tenant_id, new_version(queued))
            queued.version_id = version.id
            other = new_version(queued, model=f"m{number}", job_id=None, origin="import")
            registry.add_version(session, tenant_id, other)
            for alias in ("champion", f"a{number}"):
                registry.move_alias(session, tenant_id, point(version.number, alias=alias))
            session.add(
                Decision(
                    tenant_id=tenant_id,
                    model_id=version.model_id,
                    version_id=version.id,
                    schedule_id=schedule.id,
                    verdict="kept",
                    reason="worse",
                    policy={},
                    numbers={},
                    decided_by="cli",
                    decided_at=moment,
                )
            )
            webhooks.create(session, tenant_id, f"w{number}", "https://9.9.9.9/", ["job.failed"], "cli")
            webhooks.send_test(session, tenant_id, "w0")
            claimed = jobs.claim(session, "w1", 30)
            assert claimed is not None
            assert claimed.id == job.id
            jobs.release(session, job.id, claimed.token)
            session.add(
                Artifact(
                    tenant_id=tenant_id,
                    job_id=job.id,
                    token=0,
                    name=f"f{number}",
                    media_type="text/csv",
                    size_bytes=0,
                    sha256="",
                    created_at=moment,
                )
            )


@contextmanager
def recorded_statements() -> Iterator[list[str]]:
    """The statements that this process sends to databases within the block."""
    found: list[str] = []

    def record(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", record)


def measure(caller: Caller, path: str) -> tuple[int, int]:
    """The length of a list, and the least number of statements that one of several requests for it took."""
    length, counts = 0, []
    for _ in range(ATTEMPTS):
        with recorded_statements() as statements:
            answer = caller.get(path)
        length = len(answer if isinstance(answer, list) else answer["items"])
        counts.append(len(statements))
    return length, min(counts)


def lists_of(house: House) -> set[str]:
    """Every route that answers a page or an array, as OpenAPI describes it."""
    found = set()
    for path, verbs in house.app.openapi()["paths"].items():
        content = verbs.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("type") == "array" or "/Page_" in schema.get("$ref", ""):
            found.add(path)
    return found


def test_the_number_of_queries_of_a_list_does_not_depend_on_its_length(house: House) -> None:
    acme = house.acme
    acme.keep("sales", series("shop", [1, 2, 3]))
    with house.database.write() as session:
        revision = datasets.revision(session, house.tenants["acme"], "sales")
        job = jobs.enqueue(session, new_job(revision, kind="backtest", priority=10, max_attempts=9))
    paths = {}
    for path in lists_of(house):
        name = next((name for root, name in NAMES.items() if path.startswith(root)), "demand")
        paths[path] = path.format(name=name, job_id=job.id, alias="champion")
    assert len(paths) >= 14

    def measured() -> dict[str, tuple[int, int]]:
        askers = {path: house.operator if path.startswith("/v1/tenants") else acme for path in paths}
        return {path: measure(askers[path], address) for path, address in paths.items()}

    fill(house, job, range(2))
    end_as_succeeded(house, job)
    few = measured()
    begin_again(house, job)
    fill(house, job, range(2, 6))
    end_as_succeeded(house, job)
    many = measured()
    assert {path: length for path, (length, _) in many.items() if length < few[path][0] + 4} == {}
    assert {path: count for path, (_, count) in many.items()} == {path: count for path, (_, count) in few.items()}


def end_as_succeeded(house: House, job: Job) -> None:
    """Let the job be over, so that its files are listed."""
    with house.database.write() as session:
        row = session.get_one(Job, job.id)
        row.state, row.token = "succeeded", 0


def begin_again(house: House, job: Job) -> None:
    """Put the job back to the queue, under a token that no attempt has had."""
    with house.database.write() as session:
        row = session.get_one(Job, job.id)
        row.state, row.token = "queued", 100
