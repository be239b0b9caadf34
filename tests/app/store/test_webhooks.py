"""The outbox: written with what it tells of, taken by one sender at a time, tried again, given up, disabled."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import registry, webhooks
from app.store.db import Database, now
from app.store.tables import Delivery, Revision, Webhook
from app.store.webhooks import OutgoingDelivery
from tests.app.store.conftest import at_once, point, register

URL = "https://example.org/hook"


def make(session: Session, tenant_id: int, name: str = "desk", *events: str) -> Webhook:
    return webhooks.create(session, tenant_id, name, URL, events or ("job.failed",), "cli")


def tell(database: Database, tenant_id: int, event: str = "job.failed", **payload: object) -> None:
    with database.write() as session:
        webhooks.announce(session, tenant_id, event, payload)


def take(
    database: Database, *busy: int, size: int = 10, share: int = 10, lease_s: float = 60
) -> list[OutgoingDelivery]:
    """Claim deliveries; ``busy`` are webhooks of a tenant that has no others."""
    with database.write() as session:
        return webhooks.claim(session, size, dict.fromkeys(busy, -1), share, lease_s)


def deliveries(database: Database, tenant_id: int, name: str = "desk") -> list[Delivery]:
    with database.read() as session:
        return webhooks.list_deliveries(session, tenant_id, name, None, 100)


def make_due(database: Database) -> None:
    """As if all waits were over."""
    with database.write() as session:
        past = now(session) - timedelta(seconds=1)
        session.execute(update(Delivery).where(Delivery.state == "pending").values(next_at=past))


def test_those_who_want_an_event_are_told_of_it_and_nobody_else(database: Database, acme: int, rival: int) -> None:
    with database.write() as session:
        make(session, acme, "desk", "job.failed", "alias.moved")
        make(session, acme, "other", "job.failed")
        make(session, acme, "quiet", "job.succeeded")
        make(session, rival, "desk", "job.failed")
    tell(database, acme, "job.failed", job="a1")
    tell(database, acme, "alias.moved", model="demand")
    told = {name: [(d.event, d.payload) for d in deliveries(database, acme, name)] for name in ("desk", "other")}
    assert told["desk"] == [("alias.moved", {"model": "demand"}), ("job.failed", {"job": "a1"})]
    assert told["other"] == [("job.failed", {"job": "a1"})]
    assert deliveries(database, acme, "quiet") == deliveries(database, rival) == []
    # One event is one message, whoever hears it.
    assert deliveries(database, acme, "other")[0].message_id == deliveries(database, acme)[1].message_id
    assert deliveries(database, acme)[0].message_id != deliveries(database, acme)[1].message_id


def test_what_is_rolled_back_was_never_told(database: Database, acme: int) -> None:
    with database.write() as session:
        make(session, acme)

    def lose(session: Session) -> None:
        webhooks.announce(session, acme, "job.failed", {})
        raise RuntimeError("the job did not end after all")

    with pytest.raises(RuntimeError), database.write() as session:
        lose(session)
    assert deliveries(database, acme) == []


def test_an_alias_that_moves_is_told_of_once(database: Database, acme: int, sales: Revision) -> None:
    with database.write() as session:
        make(session, acme, "desk", "alias.moved")
    register(database, sales)
    for _ in range(2):
        with database.write() as session:
            registry.move_alias(session, acme, point(1))
    [told] = deliveries(database, acme)
    assert told.payload == {
        "model": "demand",
        "alias": "champion",
        "from_version": None,
        "to_version": 1,
        "reason": "better",
        "moved_by": "cli",
    }


def test_what_is_due_is_taken_by_one_sender_only(database: Database, acme: int) -> None:
    with database.write() as session:
        for name in ("a", "b", "c"):
            make(session, acme, name)
    tell(database, acme)
    got = at_once([partial(take, database)] * 4)
    parcels = [parcel for each in got if isinstance(each, list) for parcel in each]
    assert len(parcels) == 3
    assert len({parcel.id for parcel in parcels}) == 3


def test_one_message_at_a_time_for_each_webhook_the_oldest_first(database: Database, acme: int) -> None:
    with database.write() as session:
        make(session, acme)
    for number in (1, 2):
        tell(database, acme, number=number)
    [first] = take(database)
    assert first.payload == {"number": 1}
    assert take(database, first.webhook_id) == []  # what is busy here is left alone
    with database.write() as session:
        webhooks.mark_delivered(session, first, "200")
    [second] = take(database)
    assert second.payload == {"number": 2}
    assert take(database) == []


def test_a_sender_that_died_is_followed_by_another_and_its_word_counts_no_more(database: Database, acme: int) -> None:
    with database.write() as session:
        make(session, acme)
    tell(database, acme)
    [dead] = take(database, lease_s=-1)
    [alive] = take(database)
    assert (dead.id, dead.attempt, alive.attempt) == (alive.id, 1, 2)
    assert dead.message_id == alive.message_id
    with database.write() as session:
        webhooks.mark_delivered(session, dead, "200")
    assert deliveries(database, acme)[0].state == "pending"
    with database.write() as session:
        webhooks.mark_delivered(session, alive, "204")
        webhooks.retry_later(session, alive, "too late to say so", 5, 60)
    [row] = deliveries(database, acme)
    assert (row.state, row.detail, row.next_at) == ("taken", "204", None)


def test_what_does_not_arrive_is_sent_again_until_it_is_too_old(database: Database, acme: int) -> None:
    with database.write() as session:
        make(session, acme)
    tell(database, acme)
    [parcel] = take(database)
    with database.write() as session:
        webhooks.retry_later(session, parcel, "503", wait_s=5, max_age_s=60)
        moment = now(session)
    [row] = deliveries(database, acme)
    assert row.state == "pending"
    assert row.next_at is not None
    assert 3 < (row.next_at - moment).total_seconds() <= 5
    assert take(database) == []
    make_due(database)
    [parcel] = take(database)
    with database.write() as session:
        webhooks.retry_later(session, parcel, "503 again", wait_s=61, max_age_s=60)
        assert webhooks.counts(session) == {"pending": 0, "taken": 0, "failed": 1}
    [row] = deliveries(database, acme)
    assert (row.state, row.detail, row.next_at, row.attempt) == ("failed", "503 again", None, 2)


def test_what_is_due_where_nobody_answers_waits_with_it_and_nothing_else_does(database: Database, acme: int) -> None:
    with database.write() as session:
        for name in ("dead", "desk"):
            make(session, acme, name)
    for number in (1, 2, 3):
        tell(database, acme, number=number)
    dead, desk = sorted(take(database), key=lambda parcel: parcel.webhook_id)
    with database.write() as session:
        webhooks.retry_later(session, dead, "no answer", wait_s=60, max_age_s=3600)
        webhooks.postpone(session, dead, wait_s=60)
        webhooks.mark_delivered(session, desk, "200")
    assert [parcel.webhook_id for parcel in take(database)] == [desk.webhook_id]
    make_due(database)
    assert {parcel.payload["number"] for parcel in take(database)} == {1, 2}  # each its oldest


def test_a_disabled_webhook_is_told_nothing_more(database: Database, acme: int) -> None:
    with database.write() as session:
        make(session, acme)
    for _ in range(2):
        tell(database, acme)
    [parcel] = take(database)
    with database.write() as session:
        webhooks.disable(session, parcel, "it answered 410")
    tell(database, acme)
    assert [(row.state, row.detail) for row in deliveries(database, acme)] == [("failed", "it answered 410")] * 2
    with database.write() as session, pytest.raises(Conflict, match="disabled"):
        webhooks.send_test(session, acme, "desk")


def test_a_new_secret_is_joined_by_the_old_one_for_a_day(database: Database, acme: int) -> None:
    with database.write() as session:
        first = make(session, acme).secret
        second = webhooks.rotate(session, acme, "desk", "cli").secret
        assert first.startswith("whsec_")
        assert len(first) == len("whsec_") + 44
    tell(database, acme)
    [parcel] = take(database)
    assert parcel.secrets == (second, first)
    with database.write() as session:
        session.execute(update(Webhook).values(previous_until=now(session)))
    make_due(database)
    assert take(database)[0].secrets == (second,)


def test_a_tenant_has_one_webhook_of_each_name(database: Database, acme: int, rival: int) -> None:
    with database.write() as session:
        make(session, acme)
        with pytest.raises(Conflict, match="exists already"):
            make(session, acme)
        make(session, rival)
        assert [webhook.name for webhook in webhooks.list_all(session, rival)] == ["desk"]


def test_deleting_one_takes_what_it_was_to_be_told_with_it(database: Database, acme: int, rival: int) -> None:
    with database.write() as session:
        make(session, acme)
    tell(database, acme)
    with database.write() as session, pytest.raises(NotFound):
        webhooks.remove(session, rival, "desk", "cli")
    with database.write() as session:
        webhooks.remove(session, acme, "desk", "cli")
    assert take(database) == []
    with database.read() as session:
        assert sum(webhooks.counts(session).values()) == 0


def test_what_ended_long_ago_is_forgotten_and_what_waits_is_not(database: Database, acme: int) -> None:
    with database.write() as session:
        make(session, acme)
    tell(database, acme, number=1)
    [parcel] = take(database)
    tell(database, acme, number=2)
    with database.write() as session:
        webhooks.mark_delivered(session, parcel, "200")
        assert webhooks.forget(session, 3600) == 0
        session.execute(update(Delivery).values(created_at=now(session) - timedelta(days=8)))
        assert webhooks.forget(session, 7 * 86_400) == 1
    assert [row.payload for row in deliveries(database, acme)] == [{"number": 2}]


def test_tenants_take_turns_and_none_takes_more_than_its_share(database: Database, acme: int, rival: int) -> None:
    with database.write() as session:
        for number in range(9):
            make(session, acme, f"hook-{number}")
        tell_first = make(session, rival, "mine").id
        make(session, rival, "other")
    tell(database, acme)
    tell(database, rival)
    claimed = take(database, size=3, share=4)
    assert [one.tenant_id for one in claimed] == [acme, rival, acme]  # two of acme, as each had one
    assert claimed[1].webhook_id == tell_first
    with database.write() as session:
        busy = {one.webhook_id: one.tenant_id for one in claimed}
        rest = webhooks.claim(session, 10, busy, 4, 60)
    assert sorted(one.tenant_id for one in rest) == [acme, acme, rival]  # acme has its four
