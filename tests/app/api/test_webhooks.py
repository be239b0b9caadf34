"""/v1/webhooks: the secret is shown once, private addresses are refused, and what is told arrives."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.addresses import parse_networks
from app.store.tables import IdempotencyKey
from app.work.deliveries import Sender
from tests.app.api.conftest import Caller, House, on_both, open_house
from tests.app.receivers import receiver
from tests.fakes import says

HOOK: dict[str, Any] = {"name": "desk", "url": "https://9.9.9.9/hook", "events": ["alias.moved", "alias.moved"]}


@on_both
def test_the_secret_is_shown_when_it_is_made_and_never_again(house: House) -> None:
    acme = house.acme
    answer = acme.ask("POST", "/v1/webhooks", json=HOOK)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/webhooks/desk"
    made = answer.json()
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"])
    assert made["events"] == ["alias.moved"]
    shown = acme.get("/v1/webhooks/desk")
    assert shown == acme.get("/v1/webhooks")["items"][0] == {name: made[name] for name in made if name != "secret"}
    again = acme.post("/v1/webhooks/desk/rotate")
    assert again["secret"] != made["secret"]
    assert acme.refused("POST", "/v1/webhooks", json=HOOK) == (409, "conflict", None)
    assert acme.ask("DELETE", "/v1/webhooks/desk").status_code == 204
    assert acme.refused("GET", "/v1/webhooks/desk") == (404, "not_found", None)


@on_both
def test_a_repeat_shows_the_secret_again_though_it_is_kept_with_its_webhook_only(house: House) -> None:
    asked: dict[str, Any] = {"json": HOOK, "headers": {"idempotency-key": "a-1"}}
    first, again = (house.acme.ask("POST", "/v1/webhooks", **asked) for _ in range(2))
    assert (first.json(), first.headers["location"]) == (again.json(), again.headers["location"])
    assert again.headers["idempotency-replayed"] == "true"
    assert len(house.acme.get("/v1/webhooks")["items"]) == 1
    with house.database.read() as session:
        [kept] = session.query(IdempotencyKey).all()
    assert first.json()["secret"] not in str(kept.body)
    rotated = house.acme.post("/v1/webhooks/desk/rotate")["secret"]
    assert house.acme.ask("POST", "/v1/webhooks", **asked).json()["secret"] == rotated
    house.acme.ask("DELETE", "/v1/webhooks/desk")
    assert house.acme.refused("POST", "/v1/webhooks", **asked) == (404, "not_found", None)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"url": "http://127.0.0.1:8000/hook"}, "private_address", "url"),
        ({"url": "http://localhost/hook"}, "private_address", "url"),
        ({"url": "http://169.254.169.254/latest/meta-data/"}, "private_address", "url"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "private_address", "url"),
        ({"url": "https://no-such-host.invalid/"}, "unknown_host", "url"),
        ({"url": "ftp://9.9.9.9/"}, "bad_url", "url"),
        ({"url": "https://me:secret@9.9.9.9/"}, "bad_url", "url"),
    ],
)
def test_an_address_where_nothing_is_sent_is_refused(
    house: House, changes: dict[str, Any], code: str, field: str
) -> None:
    problem = house.acme.ask("POST", "/v1/webhooks", json={**HOOK, **changes}).json()
    [error] = problem["errors"]
    assert (problem["status"], error["code"], error["field"]) == (422, code, field)
    assert house.acme.get("/v1/webhooks")["items"] == []


@pytest.mark.parametrize("events", [[], ["job.painted"], ["webhook.test"], "job.failed"])
def test_events_that_there_are_not_are_refused(house: House, events: Any) -> None:
    assert house.acme.refused("POST", "/v1/webhooks", json={**HOOK, "events": events})[0] == 422


@pytest.fixture(name="inside")
def inside_fixture(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    """A service that may tell this machine."""
    with open_house(sqlite_template, tmp_path, webhook_private_networks="127.0.0.0/8") as opened:
        yield opened


def send(house: House) -> None:
    sender = Sender(house.database, parse_networks(house.settings.webhook_private_networks))
    sender.step()
    sender.close()


def deliveries(caller: Caller) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.get("/v1/webhooks/desk/deliveries")["items"]
    return found


def test_a_promotion_and_a_rollback_are_told_of(inside: House) -> None:
    acme = inside.acme
    with receiver() as desk:
        acme.post("/v1/webhooks", json={**HOOK, "url": desk.url})
        for _ in range(2):
            inside.register(says(1, 2, -1))
        acme.put("/v1/models/demand/aliases/champion", json={"version": 1, "reason": "worse on Sundays"})
        for _ in range(3):
            send(inside)
    moves = [(each["payload"]["from_version"], each["payload"]["to_version"]) for each in deliveries(acme)]
    assert moves == [(2, 1), (1, 2), (None, 1)]
    assert {each["state"] for each in deliveries(acme)} == {"taken"}
    assert deliveries(acme)[0]["payload"]["reason"] == "worse on Sundays"
    assert len(desk.received) == 3


def test_a_test_message_goes_the_way_of_all_others(inside: House) -> None:
    acme = inside.acme
    with receiver() as desk:
        desk.answers = [410]
        acme.post("/v1/webhooks", json={**HOOK, "url": desk.url})
        asked = acme.ask("POST", "/v1/webhooks/desk/test")
        assert asked.status_code == 202
        assert (asked.json()["event"], asked.json()["state"]) == ("webhook.test", "pending")
        send(inside)
    assert desk.received[0].headers["webhook-id"] == asked.json()["message_id"]
    [sent] = deliveries(acme)
    assert (sent["state"], sent["attempt"], sent["detail"]) == ("failed", 1, "it answered 410")
    assert acme.get("/v1/webhooks/desk")["disabled"] == "it answered 410"
    assert acme.refused("POST", "/v1/webhooks/desk/test") == (409, "conflict", None)


def test_deliveries_are_paged(inside: House) -> None:
    acme = inside.acme
    acme.post("/v1/webhooks", json=HOOK)
    sent = [acme.post("/v1/webhooks/desk/test")["message_id"] for _ in range(3)]
    first = acme.get("/v1/webhooks/desk/deliveries?page_size=2")
    rest = acme.get(f"/v1/webhooks/desk/deliveries?page_token={first['next_page_token']}")
    assert [each["message_id"] for each in first["items"] + rest["items"]] == sent[::-1]
