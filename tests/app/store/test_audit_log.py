"""The log has each change once, with actor and request, and a check finds what was altered afterwards."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

import pytest
from sqlalchemy import text

from app.principal import REQUEST_ID
from app.store import audit_chain, audit_log, datasets, deletion, jobs, keys, registry, schedules, webhooks
from app.store.audit_log import EventInfo
from app.store.db import Database
from app.store.tables import AuditEvent, Revision
from tests.app.store.conftest import at_once, new_job, new_revision, point, register
from tests.app.work.schedule_harness import PLAN

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def events(database: Database, tenant: str | None = None) -> list[EventInfo]:
    with database.read() as session:
        return list(audit_log.all_events(session, tenant))


def faults(database: Database) -> dict[str, str | None]:
    with database.read() as session:
        return {chain.tenant: chain.fault for chain in audit_chain.verify(session)}


def alter(database: Database, statements: Sequence[str]) -> None:
    with database.write() as session:
        for statement in statements:
            session.execute(text(statement))


def append(database: Database, tenant_id: int, subject: str) -> None:
    with database.write() as session:
        audit_log.record(session, tenant_id, "a1b2c3d4", "key.created", subject)


@pytest.fixture
def five(database: Database, acme: int) -> Database:
    """A log of five events of one tenant."""
    for number in range(1, 6):
        append(database, acme, f"key{number}")
    return database


def test_an_event_has_actor_request_and_the_hash_of_itself_and_the_one_before(database: Database, acme: int) -> None:
    token = REQUEST_ID.set("7f" * 16)
    append(database, acme, "one")
    REQUEST_ID.reset(token)
    append(database, acme, "two")
    first, second = events(database)
    assert (first.sequence, first.actor, first.subject, first.request_id) == (1, "a1b2c3d4", "one", "7f" * 16)
    assert (second.sequence, second.request_id) == (2, None)
    content = (
        f'{first.sha256}{{"action":"key.created","actor":"a1b2c3d4",'
        f'"at":"{second.at:%Y-%m-%dT%H:%M:%S.%f}+00:00","detail":{{}},"request_id":null,'
        f'"sequence":2,"subject":"two","tenant_id":{acme}}}'
    )
    assert second.sha256 == sha256(content.encode()).hexdigest()


def test_every_change_of_a_thing_leaves_one_event(database: Database, acme: int, sales: Revision) -> None:
    version = register(database, sales)
    with database.write() as session:
        datasets.append(session, acme, "sales", 1, new_revision(rows_total=4), "a1b2c3d4")
        jobs.request_cancel(session, acme, jobs.enqueue(session, new_job(sales)).id, "a1b2c3d4")
        registry.move_alias(session, acme, point(1, "next"))
        deletion.delete_alias(session, acme, "demand", "next", "a1b2c3d4")
        jobs.request_cancel(session, acme, str(version.job_id), "a1b2c3d4")
        for _ in range(2):  # a repetition changes nothing
            deletion.archive_version(session, acme, "demand", 1, "a1b2c3d4")
        for _ in range(2):
            deletion.restore_version(session, acme, "demand", 1, "a1b2c3d4")
        for _ in range(2):
            deletion.archive_model(session, acme, "demand", "a1b2c3d4")
        schedules.create(session, acme, "nightly", PLAN, "a1b2c3d4")
        for change in (schedules.pause, schedules.pause, schedules.resume, schedules.remove):
            change(session, acme, "nightly", "a1b2c3d4")
        webhooks.create(session, acme, "desk", "https://example.com/secret", ["alias.moved"], "a1b2c3d4")
        webhooks.rotate(session, acme, "desk", "a1b2c3d4")
        webhooks.remove(session, acme, "desk", "a1b2c3d4")
    found = events(database)
    assert [(event.action, event.subject) for event in found if not event.action.startswith("job")] == [
        ("dataset.created", "sales"),
        ("version.registered", f"demand@{version.number}"),
        ("dataset.appended", "sales"),
        ("alias.moved", "demand@next"),
        ("alias.deleted", "demand@next"),
        ("version.archived", "demand@1"),
        ("version.restored", "demand@1"),
        ("model.archived", "demand"),
        *[("schedule." + change, "nightly") for change in ("created", "paused", "resumed", "deleted")],
        *[("webhook." + change, "desk") for change in ("created", "rotated", "deleted")],
    ]
    assert [event.action for event in found if event.action.startswith("job")] == [
        "job.created",
        "job.created",
        "job.cancelled",
        "job.cancelled",
    ]
    assert "secret" not in str(found)
    assert faults(database) == {"acme": None}


def test_a_change_that_is_rolled_back_leaves_no_event(database: Database, acme: int, sales: Revision) -> None:
    def fail() -> None:
        with database.write() as session:
            jobs.enqueue(session, new_job(sales))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [event.action for event in events(database)] == ["dataset.created"]


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["UPDATE audit_events SET actor = 'nobody' WHERE sequence = 3"], "event 3 was changed"),
        (["UPDATE audit_events SET detail = '{\"a\": 1}' WHERE sequence = 5"], "event 5 was changed"),
        (["DELETE FROM audit_events WHERE sequence = 3"], "event 3 is missing"),
        (["DELETE FROM audit_events WHERE sequence = 1"], "event 1 is missing"),
        (["DELETE FROM audit_events WHERE sequence = 5"], "the chain has 5 events .* not 4"),
        (["DELETE FROM audit_events", "DELETE FROM audit_chains WHERE length = 0"], "the chain has 5 events .* not 0"),
        (
            [
                "UPDATE audit_events SET sequence = 9 WHERE sequence = 2",
                "UPDATE audit_events SET sequence = 2 WHERE sequence = 3",
                "UPDATE audit_events SET sequence = 3 WHERE sequence = 9",
            ],
            "event 2 was changed",
        ),
        (
            [
                "DELETE FROM audit_events WHERE sequence = 3",
                "UPDATE audit_events SET sequence = sequence - 1 WHERE sequence = 4",
                "UPDATE audit_events SET sequence = sequence - 1 WHERE sequence = 5",
            ],
            "event 3 was changed, or does not follow",
        ),
    ],
)
def test_what_was_altered_in_the_database_is_found(five: Database, statements: list[str], fault: str) -> None:
    assert faults(five) == {"acme": None}
    alter(five, statements)
    found = faults(five)["acme"]
    assert found is not None
    assert re.match(fault, found), found


def test_an_end_that_was_rewritten_with_its_hashes_differs_from_an_export(five: Database, acme: int) -> None:
    exported = [{"tenant": event.tenant, "sequence": event.sequence, "sha256": event.sha256} for event in events(five)]
    alter(
        five,
        [
            "DELETE FROM audit_events WHERE sequence >= 4",
            "UPDATE audit_chains SET length = 3, sha256 = (SELECT sha256 FROM audit_events WHERE sequence = 3)",
        ],
    )
    append(five, acme, "forged")
    assert faults(five) == {"acme": None}
    with five.read() as session:
        assert audit_chain.find_difference(session, exported[:3]) is None
        assert audit_chain.find_difference(session, exported) == "event 4 of tenant 'acme' has another SHA-256"
        assert audit_chain.find_difference(session, exported[4:]) == "event 5 of tenant 'acme' is missing"


def test_writers_at_once_extend_one_chain_without_gaps(database: Database, acme: int, rival: int) -> None:
    tasks = [partial(append, database, tenant, f"key{number}") for number in range(6) for tenant in (acme, rival)]
    assert at_once(tasks) == [None] * 12
    assert faults(database) == {"acme": None, "rival": None}
    assert [event.sequence for event in events(database, "acme")] == [1, 2, 3, 4, 5, 6]


def test_a_transaction_about_several_tenants_has_an_event_in_the_chain_of_each(
    database: Database, acme: int, rival: int
) -> None:
    with database.write() as session:
        for tenant_id in (rival, acme, rival):
            audit_log.record(session, tenant_id, "cli", "key.created", f"of {tenant_id}")
    assert [(event.tenant, event.sequence) for event in events(database)] == [("acme", 1), ("rival", 1), ("rival", 2)]
    with database.read() as session:
        second, first = audit_log.list_page(session, rival, None, 9)
        assert (first.sequence, second.sequence) == (1, 2)
        assert audit_log.list_page(session, rival, second.id, 9) == [first]


def test_events_of_an_earlier_release_join_the_chain_with_the_next_event(database: Database, acme: int) -> None:
    append(database, acme, "first")
    with database.write() as session:
        for subject in ("old", "older"):
            session.add(
                AuditEvent(tenant_id=acme, at=NOON, actor="cli", action="key.created", subject=subject, detail={})
            )
            session.flush()
    assert faults(database) == {"acme": None}
    with database.read() as session:
        assert [row.subject for row in audit_log.list_page(session, acme, None, 9)] == ["older", "old", "first"]
    append(database, acme, "new")
    chained = [(event.sequence, event.subject) for event in events(database)]
    assert chained == [(1, "first"), (2, "old"), (3, "older"), (4, "new")]
    assert faults(database) == {"acme": None}
    alter(database, ["UPDATE audit_events SET actor = 'me' WHERE subject = 'older'"])
    assert "event 3 was changed" in str(faults(database)["acme"])


def test_created_and_revoked_keys_are_events_of_their_tenant(database: Database) -> None:
    with database.write() as session:
        key_id = keys.create_key(session, "acme", "nightly", "read")[3:11]
    for _ in range(2):
        with database.write() as session:
            keys.revoke(session, keys.find_tenant(session, key_id), key_id, "a1b2c3d4")
    assert [(event.action, event.actor, event.subject) for event in events(database)] == [
        ("key.created", "cli", key_id),
        ("key.revoked", "a1b2c3d4", key_id),
    ]
    with database.read() as session:
        assert [event.action for event in audit_log.newest(session, 1, "acme")] == ["key.revoked"]
        assert audit_log.newest(session, 9, "rival") == []


def test_a_log_is_read_in_pieces(five: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_chain, "ROWS_AT_ONCE", 2)
    assert [event.sequence for event in events(five)] == [1, 2, 3, 4, 5]
    assert faults(five) == {"acme": None}
