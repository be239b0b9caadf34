"""Schedules as rows: one of each name, edited by one at a time, due from the moment they were made or resumed."""

from dataclasses import replace

import pytest

from app.problems import Conflict, NotFound
from app.store import data_freshness, datasets, registry, schedules
from app.store.db import Database
from app.store.schedules import Edit
from app.store.tables import Revision
from app.store.triggers import Triggers
from tests.app.store.conftest import new_revision, point, register
from tests.app.work.schedule_harness import PLAN, at


def test_there_is_one_schedule_of_each_name_for_each_tenant(database: Database, acme: int, rival: int) -> None:
    with database.write() as session:
        schedules.create(session, acme, "nightly", PLAN, "cli", at("09:30"))
        schedules.create(session, rival, "nightly", PLAN, "cli", at("09:30"))
        with pytest.raises(Conflict, match="exists already"):
            schedules.create(session, acme, "nightly", PLAN, "cli", at("09:30"))
        assert [row.tenant_id for row in schedules.list_page(session, acme, 0, 9)] == [acme]


def test_of_two_who_edit_at_once_one_is_told_to_read_again(database: Database, acme: int) -> None:
    with database.write() as session:
        schedules.create(session, acme, "nightly", PLAN, "cli")
    mine, theirs = replace(PLAN, misfire="skip"), replace(PLAN, grace_s=5.0)
    with database.write() as session:
        schedules.edit(session, acme, "nightly", Edit(before=PLAN, after=mine), "cli")
    with pytest.raises(Conflict, match="read it again"), database.write() as session:
        schedules.edit(session, acme, "nightly", Edit(before=PLAN, after=theirs), "cli")
    with database.read() as session:
        assert schedules.plan_of(schedules.get(session, acme, "nightly")) == mine


def test_each_change_makes_what_was_read_before_stale(database: Database, acme: int) -> None:
    with database.write() as session:
        revs = [schedules.create(session, acme, "nightly", PLAN, "cli", at("09:30")).rev]
        for change in (schedules.pause, schedules.resume):
            for _ in range(2):
                revs.append(change(session, acme, "nightly", "cli", at("09:31")).rev)
        revs.append(schedules.edit(session, acme, "nightly", Edit(before=PLAN, after=PLAN), "cli", at("09:32")).rev)
        row = schedules.get(session, acme, "nightly")
    assert revs == [1, 2, 2, 3, 3, 4]
    assert row.changed_at == at("09:32")
    assert row.due_at == row.next_at == at("10:00")


def test_what_has_triggers_is_looked_at_twice_a_minute(database: Database, acme: int) -> None:
    with database.write() as session:
        plan = replace(PLAN, cron=None, triggers=Triggers(new_rows=1))
        row = schedules.create(session, acme, "eager", plan, "cli", at("09:30"))
        assert (row.due_at, row.next_at) == (None, at("09:30:30"))
        assert schedules.pause(session, acme, "eager", "cli").next_at is None


def test_freshness_is_that_of_the_newest_version_on_the_data_set(
    database: Database, acme: int, sales: Revision
) -> None:
    def known(**request: str) -> tuple[int, int | None] | None:
        with database.read() as session:
            found = data_freshness.freshness(session, acme, request)
        return None if found is None else (found.rows, found.trained_rows)

    assert known(model="demand", dataset="sales") == (3, None)
    assert known(model="demand") is None
    assert known(model="demand", dataset="never-was") is None
    made = register(database, sales)
    with database.write() as session:
        other = datasets.create(session, acme, "other", "D", new_revision(rows_total=50), "cli")
        datasets.append(session, acme, "sales", 1, new_revision(rows_total=6, rows_added=3), "cli")
    assert known(model="demand") == known(model="demand", dataset="sales") == (6, 3)
    assert known(version="demand@champion", dataset="sales") == (6, 3)
    assert known(dataset="sales") == known(version="supply@1", dataset="sales") == (6, None)
    assert known(model="demand", dataset="other") == (50, None)
    register(database, other)
    assert known(model="demand") == (50, 50)
    assert known(model="demand", dataset="sales") == (6, 3)
    with database.read() as session:
        found = data_freshness.freshness(session, acme, {"model": "demand", "dataset": "sales"})
    assert found is not None
    assert found.trained_at == made.created_at


def test_the_triggers_of_a_retrain_watch_the_data_set_of_the_champion_which_it_trains_on(
    database: Database, acme: int, sales: Revision
) -> None:
    version = register(database, sales)
    with database.write() as session:
        registry.move_alias(session, acme, point(version.number))
        other = datasets.create(session, acme, "other", "D", new_revision(rows_total=50), "cli")
        datasets.append(session, acme, "sales", 1, new_revision(rows_total=6), "cli")
    register(database, other)  # newer, but it was not promoted
    with database.read() as session:
        found = data_freshness.freshness(session, acme, {"kind": "retrain", "model": "demand"})
    assert found is not None
    assert (found.dataset_id, found.rows, found.trained_rows) == (sales.dataset_id, 9, 3)


def test_what_is_gone_is_not_found(database: Database, acme: int) -> None:
    with database.write() as session, pytest.raises(NotFound, match="no schedule 'nightly'"):
        schedules.remove(session, acme, "nightly", "cli")
