"""/v1/keys: a key is shown once, reaches no further than its scope, and ends when it is told to."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.edge.key_cache import KEY_TTL_S
from app.principal import SCOPES
from app.serving.key_use import KeyUse
from tests.app.api.conftest import Caller, House, forecast_request, on_both, open_house
from tests.postgres import postgres_server


def new_key(caller: Caller, scope: str = "read", **changes: Any) -> tuple[str, Caller]:
    """Id of a new key of the caller's tenant, and who has it."""
    made = caller.post("/v1/keys", json={"name": "new", "scope": scope, **changes})
    return made["id"], Caller(caller.client, made["key"])


@on_both
def test_a_key_is_shown_when_it_is_made_and_its_secret_never_again(house: House) -> None:
    answer = house.acme.ask("POST", "/v1/keys", json={"name": "wall", "scope": "read", "expires_in_s": 3600})
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/v1/keys/{made['id']}"
    assert re.fullmatch(rf"fc_{made['id']}_[A-Za-z0-9_-]{{43}}", made["key"])
    shown = house.acme.get(f"/v1/keys/{made['id']}")
    assert shown == {name: made[name] for name in made if name != "key"}
    assert (shown["name"], shown["scope"], shown["revoked_at"], shown["last_used_at"]) == ("wall", "read", None, None)
    left = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])
    assert timedelta(minutes=59) < left < timedelta(minutes=61)
    names = [key["name"] for key in house.acme.get("/v1/keys")["items"]]
    assert sorted(names) == ["reader", "test", "wall"]
    page = house.acme.get("/v1/keys?page_size=2")
    rest = house.acme.get(f"/v1/keys?page_size=2&page_token={page['next_page_token']}")
    assert [key["name"] for key in page["items"] + rest["items"]] == names


def test_a_key_may_end_at_a_time_with_a_zone_that_has_not_passed(house: House) -> None:
    key_id, _ = new_key(house.acme, expires_at="2100-01-01T02:00:00+02:00")
    assert house.acme.get(f"/v1/keys/{key_id}")["expires_at"] == "2100-01-01T00:00:00Z"
    for ends, code in (
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expired"),
        ({"expires_at": "2100-01-01T00:00:00"}, "timezone_aware"),
        ({"expires_in_s": 0}, "greater_than_equal"),
        ({"expires_in_s": 60, "expires_at": "2100-01-01T00:00:00Z"}, "two_ends"),
    ):
        status, _, first = house.acme.refused("POST", "/v1/keys", json={"name": "k", "scope": "read", **ends})
        assert (status, first) == (422, code)


@pytest.mark.parametrize("changes", [{"name": ""}, {"name": "a\0b"}, {"name": "x" * 129}, {"scope": "root"}])
def test_a_bad_name_or_scope_is_refused(house: House, changes: dict[str, Any]) -> None:
    assert house.acme.refused("POST", "/v1/keys", json={"name": "k", "scope": "read", **changes})[0] == 422


def test_each_scope_does_what_it_is_for_and_no_more(house: House) -> None:
    callers = {scope: new_key(house.operator, scope)[1] for scope in SCOPES}
    calls = {
        "forecast": (
            "POST",
            "/v1/forecasts",
            {"json": forecast_request(model="never-was")},
        ),  # 404 from behind the guard
        "read": ("GET", "/v1/models", {}),
        "write": ("DELETE", "/v1/schedules/never-was", {}),
        "admin": ("GET", "/v1/keys", {}),
    }
    for needed, (method, path, request) in calls.items():
        for scope, caller in callers.items():
            status = caller.ask(method, path, **request).status_code
            assert (status == 403) is (SCOPES.index(scope) < SCOPES.index(needed)), (scope, path)
    problem = callers["read"].ask("POST", "/v1/keys", json={"name": "k", "scope": "read"}).json()
    assert problem["detail"] == "This needs a key with the scope 'admin'; the key sent has the scope 'read'."


def test_a_key_makes_replaces_and_revokes_no_key_of_a_wider_scope(house: House) -> None:
    operator_id, _ = new_key(house.operator, "operator")
    _, admin = new_key(house.operator, "admin")
    assert admin.refused("POST", "/v1/keys", json={"name": "k", "scope": "operator"}) == (403, "forbidden", None)
    assert admin.refused("POST", f"/v1/keys/{operator_id}/rotate") == (403, "forbidden", None)
    assert admin.refused("DELETE", f"/v1/keys/{operator_id}") == (403, "forbidden", None)
    assert new_key(admin, "admin")[1].get("/v1/keys")["items"]


@on_both
def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends(house: House) -> None:
    key_id, old = new_key(house.acme, "write")
    made = house.acme.post(f"/v1/keys/{key_id}/rotate?overlap_s=600")
    new = Caller(house.client, made["key"])
    assert (made["name"], made["scope"], made["expires_at"]) == ("new", "write", None)
    assert old.get("/v1/models") == new.get("/v1/models")
    ends_at = datetime.fromisoformat(house.acme.get(f"/v1/keys/{key_id}")["expires_at"])
    assert timedelta(minutes=5) < ends_at - datetime.now(UTC) < timedelta(minutes=15)
    again = house.acme.post(f"/v1/keys/{made['id']}/rotate?overlap_s=0")
    assert house.acme.refused("POST", f"/v1/keys/{made['id']}/rotate") == (409, "conflict", None)
    assert Caller(house.client, again["key"]).get("/v1/models")["items"] == []
    assert house.acme.refused("POST", f"/v1/keys/{again['id']}/rotate?overlap_s=-1")[0] == 422


def test_the_last_operator_key_is_not_revoked_and_one_of_two_is(house: House) -> None:
    [own] = house.operator.get("/v1/keys")["items"]
    problem = house.operator.ask("DELETE", f"/v1/keys/{own['id']}").json()
    assert (problem["status"], problem["code"]) == (409, "conflict")
    assert "last operator key; create another one first" in problem["detail"]
    _, other = new_key(house.operator, "operator")
    for _ in range(2):  # repeating it changes nothing
        assert other.ask("DELETE", f"/v1/keys/{own['id']}").status_code == 204


@pytest.fixture
def two_houses(sqlite_template: Path, tmp_path: Path) -> Iterator[tuple[House, House]]:
    """Two services over one PostgreSQL database; the clock of each guard moves when told."""
    url = postgres_server().new_database()
    with ExitStack() as stack:
        folders = [tmp_path / "one", tmp_path / "two"]
        for folder in folders:
            folder.mkdir()
        first, second = (stack.enter_context(open_house(sqlite_template, folder, url)) for folder in folders)
        yield first, second


@dataclass
class Clock:
    """Clock that moves when told."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_key_ends_within_a_second_on_another_service_over_the_same_database(two_houses: tuple[House, House]) -> None:
    here, there = two_houses
    clock = there.app.guard.keys._clock = Clock()  # type: ignore[attr-defined]
    key_id, key = new_key(here.acme)
    abroad = Caller(there.client, key.key)
    assert abroad.ask("GET", "/v1/models").status_code == 200
    assert here.acme.ask("DELETE", f"/v1/keys/{key_id}").status_code == 204
    clock.now_s = KEY_TTL_S
    assert abroad.refused("GET", "/v1/models") == (401, "unauthorized", None)


def test_the_last_use_of_a_key_is_written_beside_the_requests_in_one_write_for_all(house: House) -> None:
    key_id, key = new_key(house.acme)
    key.get("/v1/models")
    assert house.acme.get(f"/v1/keys/{key_id}")["last_used_at"] is None
    house.app.state.service.key_use.close()
    used_at = datetime.fromisoformat(house.acme.get(f"/v1/keys/{key_id}")["last_used_at"])
    assert timedelta(0) <= datetime.now(UTC) - used_at < timedelta(minutes=1)


def test_a_use_that_cannot_be_written_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def write(used: object) -> None:
        raise OSError("the disk is full")

    use = KeyUse(write)
    use.note("a1b2c3d4", datetime.now(UTC))
    use.close()
    use.note("a1b2c3d4", datetime.now(UTC))
    use.close()
    assert [record.getMessage() for record in caplog.records] == [
        "the last use of 1 keys was not stored: the disk is full"
    ]
