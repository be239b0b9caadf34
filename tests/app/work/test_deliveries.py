"""Deliveries to real servers on this machine: signatures, retries, time limits, and no private address."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import update

from app.addresses import parse_networks
from app.store import keys, webhooks
from app.store.db import Database, now
from app.store.tables import Delivery
from app.store.webhooks import OutgoingDelivery
from app.work import deliveries
from app.work.deliveries import Sender, sign, signature, wait_s
from tests.app.receivers import Receiver, certificate_for, raw_receiver, receiver
from tests.app.work.small_jobs import eventually

LOOPBACK = parse_networks("127.0.0.0/8, ::1/128")


@pytest.fixture(name="hook")
def hook_fixture() -> Iterator[Receiver]:
    with receiver() as it:
        yield it


@pytest.fixture
def acme(sqlite: Database) -> int:
    with sqlite.write() as session:
        return keys.tenant_id(session, "acme")


def create_webhook(database: Database, tenant_id: int, url: str, name: str = "desk") -> str:
    """Create a webhook for failures, and return its secret."""
    with database.write() as session:
        return webhooks.create(session, tenant_id, name, url, ["job.failed"], "cli").secret


def announce(database: Database, tenant_id: int, **payload: object) -> None:
    with database.write() as session:
        webhooks.announce(session, tenant_id, "job.failed", payload)


def send(database: Database, timeout_s: float = 10.0, private: bool = True) -> None:
    """Send every due message once, and wait for the results."""
    sender = Sender(database, LOOPBACK if private else (), timeout_s)
    sender.step()
    sender.close()


def row(database: Database, tenant_id: int, name: str = "desk") -> Delivery:
    with database.read() as session:
        [found] = webhooks.list_deliveries(session, tenant_id, name, None, 10)
        return found


def make_due(database: Database) -> None:
    with database.write() as session:
        session.execute(update(Delivery).where(Delivery.state == "pending").values(next_at=now(session)))


def test_a_signature_equals_the_example_of_the_standard() -> None:
    # An example that receivers' libraries are tested with.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_secrets_change_a_message_is_signed_with_both() -> None:
    old, new = ("whsec_" + base64.b64encode(bytes([digit]) * 32).decode() for digit in (1, 2))
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    delivery = OutgoingDelivery(
        id=1,
        attempt=1,
        webhook_id=1,
        tenant_id=1,
        url="",
        secrets=(new, old),
        message_id="msg_1",
        event="job.failed",
        payload={"job": "a1"},
        created_at=moment,
    )
    body, headers = sign(delivery, 1_777_777_777)
    assert body == b'{"type":"job.failed","timestamp":"2026-05-01T00:00:00+00:00","data":{"job":"a1"}}'
    each = [signature(secret, "msg_1", 1_777_777_777, body) for secret in (new, old)]
    assert headers["webhook-signature"] == " ".join(each)
    assert each[0] != each[1]


def test_a_message_arrives_signed(sqlite: Database, acme: int, hook: Receiver) -> None:
    secret = create_webhook(sqlite, acme, f"{hook.url}/hook?from=us")
    announce(sqlite, acme, job="a1")
    send(sqlite)
    [request] = hook.received
    assert request.path == "/hook?from=us"
    message = json.loads(request.body)
    assert (message["type"], message["data"]) == ("job.failed", {"job": "a1"})
    assert datetime.fromisoformat(message["timestamp"]).utcoffset() == timedelta(0)
    assert request.headers["host"] == hook.url.removeprefix("http://")
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    # As a receiver would check it.
    text = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    digest = hmac.digest(base64.b64decode(secret[6:]), text, "sha256")
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    sent = row(sqlite, acme)
    assert (sent.state, sent.attempt, sent.detail) == ("taken", 1, "it answered 200")
    assert sent.message_id == request.headers["webhook-id"]


@pytest.mark.parametrize("status", [301, 308, 400, 404, 429, 500, 503])
def test_a_message_that_is_refused_is_sent_again_under_the_same_id(
    sqlite: Database, acme: int, hook: Receiver, status: int
) -> None:
    hook.answers, hook.location = [status], f"{hook.url}/elsewhere"
    create_webhook(sqlite, acme, hook.url)
    announce(sqlite, acme)
    send(sqlite)
    waiting = row(sqlite, acme)
    assert (waiting.state, waiting.detail) == ("pending", f"it answered {status}")
    send(sqlite)
    assert len(hook.received) == 1  # not before its time, and redirects are not followed
    make_due(sqlite)
    send(sqlite)
    assert row(sqlite, acme).state == "taken"
    assert hook.received[0].path == hook.received[1].path == "/"
    assert hook.received[0].headers["webhook-id"] == hook.received[1].headers["webhook-id"]


def test_a_webhook_that_answers_410_is_disabled(sqlite: Database, acme: int, hook: Receiver) -> None:
    hook.answers = [410]
    create_webhook(sqlite, acme, hook.url)
    announce(sqlite, acme)
    send(sqlite)
    announce(sqlite, acme)
    assert row(sqlite, acme).state == "failed"
    with sqlite.read() as session:
        assert webhooks.get(session, acme, "desk").disabled == "it answered 410"


def test_a_slow_receiver_times_out_and_delays_no_other(sqlite: Database, acme: int, hook: Receiver) -> None:
    with receiver() as slow:
        slow.hold.clear()
        create_webhook(sqlite, acme, slow.url, "slow")
        create_webhook(sqlite, acme, hook.url)
        sender = Sender(sqlite, LOOPBACK, timeout_s=1.0)
        for number in (1, 2, 3):
            announce(sqlite, acme, number=number)
        eventually(lambda: (sender.step(), len(hook.received) == 3)[1])
        sender.close()
        assert len(slow.received) == 1
    with sqlite.read() as session:
        first = webhooks.list_deliveries(session, acme, "slow", None, 10)[-1]
    assert (first.state, first.detail) == ("pending", "no answer within 1 s")


def test_a_dead_receiver_with_many_messages_delays_no_other(
    sqlite: Database, acme: int, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MAX_CONCURRENT", 1)  # as if all but one were at dead ones too
    with receiver() as dead:
        dead.hold.clear()
        create_webhook(sqlite, acme, dead.url, "dead")
        for number in range(20):
            announce(sqlite, acme, number=number)
        create_webhook(sqlite, acme, hook.url)
        announce(sqlite, acme, number=20)
        sender = Sender(sqlite, LOOPBACK, timeout_s=0.2)
        eventually(lambda: (sender.step(), hook.received)[1])
        sender.close()
        assert len(dead.received) == 1


def test_a_tenant_with_many_slow_receivers_delays_no_other_tenant(sqlite: Database, acme: int, hook: Receiver) -> None:
    with sqlite.write() as session:
        rival = keys.tenant_id(session, "rival")
    with receiver() as slow:
        slow.hold.clear()
        for number in range(20):
            create_webhook(sqlite, rival, f"{slow.url}/{number}", f"slow-{number}")
        announce(sqlite, rival)
        sender = Sender(sqlite, LOOPBACK)
        eventually(lambda: (sender.step(), len(slow.received) == deliveries.MAX_OF_TENANT)[1])
        create_webhook(sqlite, acme, hook.url)
        announce(sqlite, acme)
        eventually(lambda: (sender.step(), hook.received)[1])
        assert len(slow.received) == deliveries.MAX_OF_TENANT  # none of them has ended
        slow.hold.set()
        sender.close()


@pytest.fixture
def believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the only certificate authority that this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_for("localhost", tmp_path)))
    return tmp_path


def test_over_tls_the_host_name_is_sent_and_verified(sqlite: Database, acme: int, believed: Path) -> None:
    with receiver(believed / "localhost.pem") as hook:
        create_webhook(sqlite, acme, f"{hook.url}/hook")
        announce(sqlite, acme, job="a1")
        send(sqlite)
        assert row(sqlite, acme).state == "taken"
        assert (hook.names, hook.received[0].path) == (["localhost"], "/hook")
        assert hook.received[0].headers["host"] == hook.url.removeprefix("https://")


def test_over_tls_an_untrusted_certificate_gets_no_message(sqlite: Database, acme: int, believed: Path) -> None:
    stranger = certificate_for("elsewhere.example", believed)
    with receiver(believed / "localhost.pem") as hook, receiver(stranger) as other:
        create_webhook(sqlite, acme, hook.url.replace("localhost", "127.0.0.1"), "address")
        create_webhook(sqlite, acme, other.url, "stranger")
        announce(sqlite, acme, job="a1")
        send(sqlite)
        assert hook.received == other.received == []
    said = {name: str(row(sqlite, acme, name).detail) for name in ("address", "stranger")}
    assert all(detail.startswith("its certificate cannot be trusted: ") for detail in said.values())
    assert "not valid for '127.0.0.1'" in said["address"]


def test_over_tls_a_certificate_for_another_name_is_refused(
    sqlite: Database, acme: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = certificate_for("elsewhere.example", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with receiver(certificate) as hook:
        create_webhook(sqlite, acme, hook.url)
        announce(sqlite, acme, job="a1")
        send(sqlite)
        assert (hook.received, hook.names) == ([], ["localhost"])
    assert "Hostname mismatch" in str(row(sqlite, acme).detail)


@pytest.mark.parametrize("drip", [b"x", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_receiver_that_never_ends_its_answer_times_out(sqlite: Database, acme: int, drip: bytes) -> None:
    with raw_receiver(drip, 0.05) as url:
        create_webhook(sqlite, acme, url)
        announce(sqlite, acme)
        send(sqlite, timeout_s=0.5)
        assert row(sqlite, acme).detail == "no answer within 0.5 s"


def test_a_receiver_that_sends_nonsense_or_is_absent_is_tried_again(
    sqlite: Database, acme: int, hook: Receiver
) -> None:
    with raw_receiver(b"\r\nnonsense\r\n", 0.0) as url:
        create_webhook(sqlite, acme, url, "nonsense")
        create_webhook(sqlite, acme, hook.url.replace("http:", "https:"), "plain")
        create_webhook(sqlite, acme, "http://127.0.0.1:1/", "nobody")
        announce(sqlite, acme)
        send(sqlite)
        details = {name: row(sqlite, acme, name) for name in ("nonsense", "plain", "nobody")}
    assert {delivery.state for delivery in details.values()} == {"pending"}
    assert "refused" in str(details["nobody"].detail)
    assert "SSL" in str(details["plain"].detail).upper()
    assert hook.received == []


def test_an_address_that_has_become_private_is_refused_at_the_time_of_sending(
    sqlite: Database, acme: int, hook: Receiver
) -> None:
    create_webhook(sqlite, acme, hook.url.replace("127.0.0.1", "localhost"))
    announce(sqlite, acme)
    send(sqlite, private=False)
    assert hook.received == []
    refused = row(sqlite, acme)
    assert refused.state == "pending"
    assert "not have a public address" in str(refused.detail)


def test_waits_grow_fourfold_to_four_hours() -> None:
    for attempt, mean_s in [(1, 5), (2, 20), (3, 80), (4, 320), (7, 14_400), (400, 14_400)]:
        assert 0.8 * mean_s <= wait_s(attempt) <= 1.2 * mean_s


def test_a_running_sender_survives_an_outbox_that_cannot_be_read(
    sqlite: Database, acme: int, hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    create_webhook(sqlite, acme, hook.url)
    with sqlite.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE deliveries RENAME TO away")
    stop = Event()
    thread = Thread(target=Sender(sqlite, LOOPBACK).run, args=(stop, 0.02))
    thread.start()
    try:
        eventually(lambda: "the database does not answer" in caplog.text)
        with sqlite.write() as session:
            session.connection().exec_driver_sql("ALTER TABLE away RENAME TO deliveries")
        announce(sqlite, acme)
        eventually(lambda: hook.received)
    finally:
        stop.set()
        thread.join()
    assert caplog.text.count("the database does not answer") == 1
    assert row(sqlite, acme).state == "taken"
