"""Requests that wait for a lock or a name server take no thread and no connection of other requests."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any

import fastapi.routing
import httpx
import pytest

from app.api.http.write_routes import SAFE_METHODS
from app.store.db import Database
from tests.app.api.conftest import Caller, House, on_both
from tests.app.api.slow import wait_until
from tests.fakes import says

HOOK = {"url": "https://slow.example/hook", "events": ["job.failed"]}


class Crowd:
    """Requests of one caller, all at the same time, each on a thread of its own."""

    def __init__(self, count: int, ask: Callable[[int], httpx.Response]) -> None:
        self.answers = list[httpx.Response]()
        self.threads = [
            threading.Thread(target=lambda number=number: self.answers.append(ask(number))) for number in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def statuses(self) -> list[int]:
        for thread in self.threads:
            thread.join(60)
        return sorted(answer.status_code for answer in self.answers)


@contextmanager
def locked_aliases(database: Database) -> Iterator[None]:
    """Hold a lock that moves of aliases wait for, and reads do not."""
    with database.write() as session:  # on SQLite this is the lock of all writes
        connection = session.connection()
        if database.url.get_backend_name() == "postgresql":
            connection.exec_driver_sql("LOCK TABLE aliases IN EXCLUSIVE MODE")
        yield


def create_alias(caller: Caller, number: int) -> httpx.Response:
    return caller.ask("PUT", f"/v1/models/demand/aliases/a{number % 9}", json={"version": 1})


def assert_others_are_served(house: House) -> None:
    """Everything that reads answers, and quickly enough for a client with a timeout of a second."""
    for _ in range(3):
        assert house.rival.get("/v1/models")["items"] == []
        assert house.acme.forecast()["horizon"] == 3
        assert Caller(house.client, "").get("/readyz")["status"] == "ok"


@pytest.fixture(name="resolver")
def resolver_fixture(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A name server that answers for ``slow.example`` only once the event is set."""
    answer, real = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "slow.example":
            assert answer.wait(30)
            return real("9.9.9.9", *arguments, **options)
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield answer
    answer.set()


def test_a_slow_name_server_delays_nobody_else(
    house: House, acme: Caller, resolver: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.webhooks.LOOKUP_TIMEOUT_S", 1.5)
    crowd = Crowd(60, lambda number: acme.ask("POST", "/v1/webhooks", json={"name": f"h{number}", **HOOK}))
    wait_until(lambda: len(crowd.answers) == 50)  # two are looked up, eight wait, the others are refused at once
    assert {answer.status_code for answer in crowd.answers} == {429}
    assert_others_are_served(house)
    other = house.rival.post("/v1/webhooks", json={**HOOK, "name": "mine", "url": "https://9.9.9.9/hook"})
    assert other["name"] == "mine"  # a tenant has threads that another cannot take
    assert crowd.statuses() == [422] * 10 + [429] * 50
    late = next(answer.json()["errors"][0] for answer in crowd.answers if answer.status_code == 422)
    assert (late["code"], late["field"]) == ("unknown_host", "url")
    assert late["message"] == "the address of the URL was not found within 1.5 s"


def test_a_name_that_is_found_in_time_is_accepted(house: House, acme: Caller, resolver: threading.Event) -> None:
    crowd = Crowd(1, lambda _: acme.ask("POST", "/v1/webhooks", json={"name": "h", **HOOK}))
    resolver.set()
    assert crowd.statuses() == [201]


def test_every_route_that_writes_runs_in_a_lane_of_its_own(house: House) -> None:
    plain = {
        context.path
        for context in fastapi.routing.iter_route_contexts(house.app.routes)
        if isinstance(context.original_route, fastapi.routing.APIRoute)
        and context.original_route.methods - SAFE_METHODS
        and not iscoroutinefunction(context.original_route.endpoint)
    }
    assert plain == set()


@on_both
def test_writes_that_wait_for_a_lock_leave_threads_and_connections_to_reads(house: House) -> None:
    house.register(says(1, 2, -1))
    with locked_aliases(house.database):
        crowd = Crowd(80, lambda number: create_alias(house.acme, number))
        wait_until(lambda: len(crowd.answers) == 80 - 6 - 64)  # six wait for the lock and 64 for their turn
        assert {answer.status_code for answer in crowd.answers} == {429}
        assert_others_are_served(house)
    assert crowd.statuses() == [200] * 70 + [429] * 10


@on_both
def test_a_write_that_gets_no_turn_is_refused_with_the_time_to_come_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register(says(1, 2, -1))
    monkeypatch.setattr(house.app.state.service.writes, "_patience_s", 0.3)
    with locked_aliases(house.database):
        crowd = Crowd(9, lambda number: create_alias(house.acme, number))
        wait_until(lambda: len(crowd.answers) == 3)
        refused = crowd.answers[0]
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
            503,
            "unavailable",
            "5",
        )
        assert refused.json()["detail"] == "no thread was free for writes within 0.3 s; try again in a few seconds"
    assert crowd.statuses() == [200] * 6 + [503] * 3
