"""Forecasts while an alias moves to and fro: no request fails, and each answer is that of the version that it names."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest

from tests.app.api.conftest import House, forecast_request
from tests.fakes import says
from tests.trust.conftest import Address

CLIENTS = 8
# Of each version: the last value, 10, plus 3 times what its network says.
MEDIANS = {1: [13.0, 16.0, 7.0], 2: [31.0, 34.0, 37.0]}


def ask_until(address: Address, key: str, at_least: int, stop: Event) -> list[tuple[int, list[float]]]:
    """Ask for forecasts on one connection until ``stop``, at least so many; return the version and medians of each."""
    seen: list[tuple[int, list[float]]] = []
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps(forecast_request(horizon=3))
    with closing(http.client.HTTPConnection(*address, timeout=30)) as connection:
        while len(seen) < at_least or not stop.is_set():
            connection.request("POST", "/v1/forecasts", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, content
            forecast = json.loads(content)
            seen.append((forecast["model"]["version"], forecast["forecasts"][0]["median"]))
    return seen


@pytest.mark.parametrize(
    ("switches", "at_least"), [(20, 50), pytest.param(100, 2_500, marks=pytest.mark.long)], ids=["quick", "long"]
)
def test_no_request_fails_and_no_answer_mixes_two_versions(
    shared_house: House, address: Address, switches: int, at_least: int
) -> None:
    shared_house.register(says(7, 8, 9), alias=None)
    stop = Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask_until, address, shared_house.acme.key, at_least, stop) for _ in range(CLIENTS)]
        try:
            for number in range(switches):
                body = {"version": 2 - number % 2, "reason": "switched"}
                shared_house.acme.put("/v1/models/demand/aliases/champion", json=body)
        finally:
            stop.set()
        seen = [one for client in clients for one in client.result(600)]
    assert len(seen) >= CLIENTS * at_least
    assert {version for version, _ in seen} == {1, 2}
    assert [medians for version, medians in seen if medians != MEDIANS[version]] == []
