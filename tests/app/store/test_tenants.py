"""One tenant's rows do not exist for another: every function that takes a tenant is tried by a stranger."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.problems import NotFound
from app.store import (
    alias_history,
    data_freshness,
    datasets,
    decisions,
    deletion,
    firings,
    jobs,
    keys,
    registry,
    schedules,
    tasks,
    webhooks,
)
from app.store.db import Database
from app.store.keys import NewKey
from app.store.schedules import Edit
from app.store.tables import ApiKey, Decision, Firing, Job, Revision, Schedule, Version
from tests.app.store.conftest import new_job, new_revision, new_version, point, register
from tests.app.work.schedule_harness import PLAN

Try = Callable[[Session, int, Revision, Version], object]
ROOMS = (datasets, registry, alias_history, deletion, jobs, decisions)
ROOMS += (schedules, firings, data_freshness, tasks, webhooks, keys)

# Says "not found", as if there were no such thing.
REFUSED: dict[str, Try] = {
    "datasets.append": lambda s, t, r, v: datasets.append(s, t, "sales", 1, new_revision(), "cli"),
    "datasets.get": lambda s, t, r, v: datasets.get(s, t, "sales"),
    "datasets.revision": lambda s, t, r, v: datasets.revision(s, t, "sales"),
    "datasets.list_revisions": lambda s, t, r, v: datasets.list_revisions(s, t, "sales", None, 9),
    "datasets.revision_by_id": lambda s, t, r, v: datasets.revision_by_id(s, t, r.id),
    "registry.add_version": lambda s, t, r, v: registry.add_version(s, t, new_version(s.get_one(Job, v.job_id))),
    "registry.resolve": lambda s, t, r, v: registry.resolve(s, t, "demand", 1, None),
    "registry.version": lambda s, t, r, v: registry.version(s, t, v.id),
    "registry.bundle": lambda s, t, r, v: registry.bundle(s, t, v.id),
    "registry.move_alias": lambda s, t, r, v: registry.move_alias(s, t, point(1)),
    "registry.get_model": lambda s, t, r, v: registry.get_model(s, t, "demand"),
    "registry.list_versions": lambda s, t, r, v: registry.list_versions(s, t, "demand", None, 9),
    "registry.list_aliases": lambda s, t, r, v: registry.list_aliases(s, t, "demand"),
    "alias_history.alias_moves": lambda s, t, r, v: alias_history.alias_moves(s, t, "demand", "champion", None, 9),
    "alias_history.previous_number": lambda s, t, r, v: alias_history.previous_number(s, t, "demand", "champion"),
    "registry.model_by_id": lambda s, t, r, v: registry.model_by_id(s, t, v.model_id),
    "registry.lock_model": lambda s, t, r, v: registry.lock_model(s, t, "demand"),
    "deletion.archive_version": lambda s, t, r, v: deletion.archive_version(s, t, "demand", 1, "cli"),
    "deletion.restore_version": lambda s, t, r, v: deletion.restore_version(s, t, "demand", 1, "cli"),
    "deletion.purge_version": lambda s, t, r, v: deletion.purge_version(s, t, "demand", 1, "cli"),
    "deletion.archive_model": lambda s, t, r, v: deletion.archive_model(s, t, "demand", "cli"),
    "deletion.purge_model": lambda s, t, r, v: deletion.purge_model(s, t, "demand", "cli"),
    "deletion.delete_alias": lambda s, t, r, v: deletion.delete_alias(s, t, "demand", "champion", "cli"),
    "deletion.delete_job": lambda s, t, r, v: deletion.delete_job(s, t, v.job_id, "cli"),
    "decisions.list_page": lambda s, t, r, v: decisions.list_page(s, t, "demand", None, 9),
    "decisions.get": lambda s, t, r, v: decisions.get(s, t, "demand", 1),
    "decisions.approve": lambda s, t, r, v: decisions.approve(s, t, point(1)),
    "decisions.reject": lambda s, t, r, v: decisions.reject(s, t, point(1)),
    "tasks.task": lambda s, t, r, v: tasks.task(s, t, v.job_id, 0),
    "tasks.version": lambda s, t, r, v: tasks.version(s, t, v.id),
    "jobs.request_cancel": lambda s, t, r, v: jobs.request_cancel(s, t, v.job_id, "cli"),
    "jobs.get": lambda s, t, r, v: jobs.get(s, t, v.job_id),
    "jobs.list_attempts": lambda s, t, r, v: jobs.list_attempts(s, t, v.job_id, 0, 9),
    "schedules.edit": lambda s, t, r, v: schedules.edit(s, t, "nightly", Edit(before=PLAN, after=PLAN), "cli"),
    "schedules.pause": lambda s, t, r, v: schedules.pause(s, t, "nightly", "cli"),
    "schedules.resume": lambda s, t, r, v: schedules.resume(s, t, "nightly", "cli"),
    "schedules.get": lambda s, t, r, v: schedules.get(s, t, "nightly"),
    "schedules.lock": lambda s, t, r, v: schedules.lock(s, t, "nightly"),
    "firings.run_now": lambda s, t, r, v: firings.run_now(s, t, "nightly", new_job(r)),
    "firings.list_page": lambda s, t, r, v: firings.list_page(s, t, "nightly", None, 9),
    "webhooks.rotate": lambda s, t, r, v: webhooks.rotate(s, t, "desk", "cli"),
    "webhooks.get": lambda s, t, r, v: webhooks.get(s, t, "desk"),
    "webhooks.send_test": lambda s, t, r, v: webhooks.send_test(s, t, "desk"),
    "webhooks.list_deliveries": lambda s, t, r, v: webhooks.list_deliveries(s, t, "desk", None, 9),
    "keys.get": lambda s, t, r, v: keys.get(s, t, key_id(s)),
    "keys.rotate": lambda s, t, r, v: keys.rotate(s, t, key_id(s), 60, "cli"),
    # The last, for after them there is nothing to be found.
    "schedules.remove": lambda s, t, r, v: schedules.remove(s, t, "nightly", "cli"),
    "keys.revoke": lambda s, t, r, v: keys.revoke(s, t, key_id(s), "cli"),
    "webhooks.remove": lambda s, t, r, v: webhooks.remove(s, t, "desk", "cli"),
}
# Gives nothing.
EMPTY: dict[str, Try] = {
    "datasets.chunks": lambda s, t, r, v: datasets.chunks(s, t, r.dataset_id, 9),
    "datasets.list_page": lambda s, t, r, v: datasets.list_page(s, t, 0, 9),
    "datasets.newest": lambda s, t, r, v: datasets.newest(s, t, [r.dataset_id]),
    "datasets.revisions_by_id": lambda s, t, r, v: datasets.revisions_by_id(s, t, [r.id]),
    "jobs.version_numbers": lambda s, t, r, v: jobs.version_numbers(s, t, [v.id]),
    "schedules.names_of": lambda s, t, r, v: schedules.names_of(s, t, [schedule_id(s)]),
    "registry.list_models": lambda s, t, r, v: registry.list_models(s, t, 0, 9),
    "jobs.list_page": lambda s, t, r, v: jobs.list_page(s, t, None, 9),
    "decisions.challenger": lambda s, t, r, v: decisions.challenger(s, t, "demand"),
    "schedules.list_page": lambda s, t, r, v: schedules.list_page(s, t, 0, 9),
    "webhooks.list_all": lambda s, t, r, v: webhooks.list_all(s, t),
    "data_freshness.freshness": lambda s, t, r, v: data_freshness.freshness(
        s, t, {"model": "demand", "dataset": "sales"}
    ),
    "firings.jobs_of": lambda s, t, r, v: firings.jobs_of(s, t, [Firing(job_id=v.job_id)]),
    "tasks.champion": lambda s, t, r, v: tasks.champion(s, t, "demand"),
    "keys.list_page": lambda s, t, r, v: keys.list_page(s, t, None, 9),
    "registry.champion": lambda s, t, r, v: registry.champion(s, t, "demand"),
}
# The same name for two tenants: see the tests of each; so that another is not told: see test_webhooks.
CREATES = {
    "datasets.create",
    "registry.get_or_create_model",
    "schedules.create",
    "webhooks.create",
    "webhooks.announce",
    "keys.issue",
}
# Counts the tenant's own jobs only: see test_queue.
COUNTS = {"jobs.check_room"}
# The job has its version already; the alias has pointed at nothing else; who approved does not reject.
NOT_TWICE = {"registry.add_version", "alias_history.previous_number", "decisions.reject"}
# What is in use, or not archived yet, is not deleted; the tests of the API do it.
NOT_TWICE |= {name for name in REFUSED if name.startswith("deletion.")}


@pytest.fixture
def version(database: Database, acme: int, sales: Revision) -> Version:
    made = register(database, sales)
    with database.write() as session:
        registry.move_alias(session, acme, point(1))
        session.add(pending(made))
        schedules.create(session, acme, "nightly", PLAN, "cli")
        webhooks.create(session, acme, "desk", "https://example.org/", ["job.failed"], "cli")
        keys.issue(session, acme, NewKey("nightly", "read"), "cli")
    return made


def key_id(session: Session) -> str:
    return session.scalars(select(ApiKey.id).order_by(ApiKey.created_at)).first() or ""


def schedule_id(session: Session) -> int:
    return session.scalars(select(Schedule.id)).one()


def pending(version: Version) -> Decision:
    """What the gate writes of a version that a person has to approve."""
    return Decision(
        tenant_id=version.tenant_id,
        model_id=version.model_id,
        version_id=version.id,
        verdict="pending",
        reason="better",
        policy={},
        numbers={},
        decided_by=version.job_id,
        decided_at=version.created_at,
    )


@pytest.mark.parametrize("name", REFUSED)
def test_a_stranger_finds_nothing(database: Database, rival: int, sales: Revision, version: Version, name: str) -> None:
    with database.write() as session, pytest.raises(NotFound):
        REFUSED[name](session, rival, sales, version)


@pytest.mark.parametrize("name", EMPTY)
def test_a_stranger_lists_nothing(
    database: Database, acme: int, rival: int, sales: Revision, version: Version, name: str
) -> None:
    with database.read() as session:
        assert EMPTY[name](session, acme, sales, version)
        assert not EMPTY[name](session, rival, sales, version)


def test_the_owner_is_not_refused(database: Database, acme: int, sales: Revision, version: Version) -> None:
    for name in (each for each in REFUSED if each not in NOT_TWICE):
        with database.write() as session:
            REFUSED[name](session, acme, sales, version)


def test_a_job_or_a_version_of_anothers_data_is_refused(
    database: Database, rival: int, sales: Revision, version: Version
) -> None:
    job: dict[str, Any] = {"kind": "train", "model": "m", "request": {}, "max_attempts": 1, "created_by": "cli"}
    with pytest.raises(NotFound, match="no revision"), database.write() as session:
        jobs.enqueue(session, jobs.NewJob(tenant_id=rival, revision_id=sales.id, **job))
    with database.write() as session:
        mine = jobs.enqueue(session, new_job(datasets.create(session, rival, "sales", "D", new_revision(), "cli")))
    with pytest.raises(NotFound, match="no job"), database.write() as session:
        registry.add_version(session, rival, new_version(mine, job_id=version.job_id))


def test_paging_cannot_start_at_anothers_job(database: Database, rival: int, version: Version) -> None:
    with database.read() as session, pytest.raises(NotFound):
        jobs.list_page(session, rival, version.job_id, 9)


def test_every_function_that_takes_a_tenant_is_tried_here() -> None:
    takes_tenant = {
        f"{room.__name__.removeprefix('app.store.')}.{name}"
        for room in ROOMS
        for name, function in inspect.getmembers(room, inspect.isfunction)
        if function.__module__.startswith(room.__name__)
        and not name.startswith("_")
        and "tenant_id" in inspect.signature(function).parameters
    }
    assert takes_tenant == REFUSED.keys() | EMPTY.keys() | CREATES | COUNTS
