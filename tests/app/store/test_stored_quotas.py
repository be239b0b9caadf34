"""Quotas of what a tenant has stored, on both databases."""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy.orm import Session

from app.problems import QuotaExceeded
from app.settings import Settings
from app.store import datasets, deletion, jobs, quotas, registry, schedules, webhooks
from app.store.db import Database
from app.store.job_limits import DEFAULT_LIMITS
from app.store.stored_quotas import STORED_QUOTAS, all_bytes
from app.store.tables import Job, Revision
from tests.app.store.conftest import at_once, new_job, new_revision, new_version
from tests.app.store.test_schedules import PLAN

Add = Callable[[Session, int, int], object]


def add_dataset(session: Session, tenant_id: int, number: int) -> object:
    return datasets.create(session, tenant_id, f"d{number}", "D", new_revision(b"0123456789"), "cli")


def add_version(session: Session, tenant_id: int, number: int, model: str = "demand") -> object:
    imported = {"job_id": None, "revision_id": None, "data_sha256": None, "origin": "import"}
    new = new_version(Job(), model=model, **imported)
    return registry.add_version(session, tenant_id, new)


ADDS: dict[str, Add] = {
    "max_datasets": add_dataset,
    "max_models": lambda session, tenant_id, number: add_version(session, tenant_id, number, f"m{number}"),
    "max_versions": add_version,
    "max_schedules": lambda session, tenant_id, number: schedules.create(session, tenant_id, f"s{number}", PLAN, "cli"),
    "max_webhooks": lambda session, tenant_id, number: webhooks.create(
        session, tenant_id, f"w{number}", "https://example.org/", ["job.failed"], "cli"
    ),
}


def add(database: Database, tenant_id: int, name: str, number: int) -> None:
    with database.write() as session:
        ADDS[name](session, tenant_id, number)


@pytest.mark.parametrize("name", ADDS)
def test_what_exceeds_a_quota_is_refused_with_its_remedy_and_is_not_stored(
    database: Database, acme: int, rival: int, name: str
) -> None:
    database.quotas = {name: 2}
    add(database, acme, name, 1)
    add(database, acme, name, 2)
    for _ in range(2):
        with pytest.raises(QuotaExceeded) as caught:
            add(database, acme, name, 3)
        fault = caught.value.faults[0]
        assert fault.code == name
        assert fault.message == f"your tenant would have 3 {STORED_QUOTAS[name].things}, and 2 are allowed"
        assert fault.hint.startswith(STORED_QUOTAS[name].remedy)
    with database.read() as session:
        assert STORED_QUOTAS[name].used(session, acme) == 2
    add(database, rival, name, 1)  # each tenant has its own
    with database.write() as session:
        quotas.set_quota(session, "acme", name, "3", "cli")
    add(database, acme, name, 3)


@pytest.mark.parametrize("name", ADDS)
def test_of_several_at_once_only_as_many_as_fit_are_stored(database: Database, acme: int, name: str) -> None:
    database.quotas = {name: 3}
    results = at_once([partial(add, database, acme, name, number) for number in range(6)])
    assert [type(result) for result in results if result is not None] == [QuotaExceeded] * 3
    with database.read() as session:
        assert STORED_QUOTAS[name].used(session, acme) == 3


def test_the_bytes_of_a_tenant_are_those_of_data_sets_versions_and_files(database: Database, acme: int) -> None:
    with database.write() as session:
        add_dataset(session, acme, 1)  # 10 bytes
        datasets.append(session, acme, "d1", 1, new_revision(b"12345"), "cli")
        add_version(session, acme, 1)  # b"spec and weights"
    with database.read() as session:
        assert all_bytes(session, acme) == 10 + 5 + 16
    database.quotas = {"max_stored_bytes": 40}
    with database.write() as session:
        datasets.append(session, acme, "d1", 2, new_revision(b"123456789"), "cli")  # 40 in all
    with pytest.raises(QuotaExceeded, match="would have 50 bytes in data sets"):
        add(database, acme, "max_datasets", 2)
    with pytest.raises(QuotaExceeded, match="would have 56 bytes"):
        add(database, acme, "max_versions", 2)
    with database.write() as session:  # the bytes of a deleted version are given back
        deletion.archive_version(session, acme, "demand", 1, "cli")
        deletion.purge_version(session, acme, "demand", 1, "cli")
    add(database, acme, "max_datasets", 2)


def test_an_archived_model_and_a_deleted_version_do_not_count(database: Database, acme: int) -> None:
    database.quotas = {"max_models": 1, "max_versions": 1}
    add(database, acme, "max_models", 1)
    with database.write() as session:
        deletion.archive_model(session, acme, "m1", "cli")
        deletion.purge_model(session, acme, "m1", "cli")
    add(database, acme, "max_models", 2)
    with database.write() as session, pytest.raises(QuotaExceeded):
        add_version(session, acme, 3, "m1")  # takes the archived model back into use


def test_a_tenant_over_its_running_jobs_waits_and_others_do_not(
    database: Database, acme: int, rival: int, sales: Revision
) -> None:
    with database.write() as session:
        other = datasets.create(session, rival, "sales", "D", new_revision(), "cli")
        for revision in (sales, sales, sales, other):
            jobs.enqueue(session, new_job(revision))
        quotas.set_quota(session, "acme", "max_running_jobs", "1", "cli")

    def claim() -> Job | None:
        with database.write() as session:
            return jobs.claim(session, "w", 60)

    claimed = [claim() for _ in range(3)]
    assert [None if job is None else job.tenant_id for job in claimed] == [acme, rival, None]
    assert claimed[0] is not None
    with database.write() as session:
        jobs.finish(session, claimed[0].id, claimed[0].token, None)
    again = claim()
    assert again is not None
    assert again.tenant_id == acme


def test_a_limit_of_the_queue_may_be_set_for_one_tenant(database: Database, acme: int, sales: Revision) -> None:
    with database.write() as session:
        quotas.set_quota(session, "acme", "max_queued_jobs", "1", "cli")
        jobs.enqueue(session, new_job(sales))
        with pytest.raises(QuotaExceeded, match="1 more would exceed the limit of 1"):
            jobs.check_room(session, acme, 1, DEFAULT_LIMITS)


def test_the_settings_have_the_same_defaults() -> None:
    defaults = {name: quota.default for name, quota in STORED_QUOTAS.items()}
    assert defaults.items() <= Settings().quotas.items()
