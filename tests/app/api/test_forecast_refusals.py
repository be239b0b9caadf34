"""Every reason for which a forecast is refused has its own status and code, in every form of an answer."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pyarrow as pa
import pytest
from sqlalchemy import update

from app.forecasting import forecast
from app.formats import ARROW, LINES
from app.store.tables import Version
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster
from tests.app.api.conftest import Caller, House, forecast_request, open_house
from tests.app.api.slow import Asking, Gate, slow_house, wait_until, waiting
from tests.app.api.tables import columns, series
from tests.app.edge.conftest import listening
from tests.fakes import says

ONE, STREAM = "/v1/forecasts", "/v1/forecasts/stream"


class Way(NamedTuple):
    """Route and media type of its answer."""

    path: str
    accept: str

    def ask(self, caller: Caller, **changes: Any) -> httpx.Response:
        return caller.ask("POST", self.path, **self.request(**changes))

    def request(self, **changes: Any) -> dict[str, Any]:
        return {"json": forecast_request(**changes), "headers": {"accept": self.accept}}

    def head(self, caller: Caller, **changes: Any) -> Any:
        """What an answer that must work says besides the forecasts."""
        answer = self.ask(caller, **changes)
        assert (answer.status_code, answer.headers["content-type"]) == (200, self.accept), answer.text
        if self.accept == ARROW:
            return json.loads(pa.ipc.open_stream(answer.content).schema.metadata[b"forecastle"])
        return json.loads(answer.text.splitlines()[0])


WAYS = [Way(ONE, "application/json"), Way(ONE, ARROW), Way(STREAM, LINES), Way(STREAM, ARROW)]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.path} {way.accept}")
STREAMS = WAYS[2:]


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Return the status, the code and the header Retry-After."""
    return answer.status_code, answer.json()["code"], answer.headers.get("retry-after")


def sometimes_broken() -> Forecaster:
    """Return a forecaster that overflows on a series that changes, and forecasts a constant one."""
    made = says(0, 0, 0, cell="rnn", units=8)
    made.members[0].weights["encoder_0/kernel"][0] = 50  # type: ignore[index]  # what was read
    made.members[0].weights["encoder_0/recurrent_kernel"][:] = 50  # type: ignore[index]  # and is not forgotten
    made.members[0].weights["head/kernel"][:] = 3e38  # type: ignore[index]
    return made


@every_way
@pytest.mark.parametrize("changes", [{"model": "x"}, {"version": 9}, {"alias": "x"}], ids=str)
def test_missing_models_versions_and_data_sets_are_not_found(acme: Caller, way: Way, changes: dict[str, Any]) -> None:
    assert refusal(way.ask(acme, **changes)) == (404, "not_found", None)


@every_way
def test_a_request_during_a_slow_load_is_refused_with_retry_after(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    gate = Gate(monkeypatch)
    with open_house(sqlite_template, tmp_path, load_timeout_s=0.1) as house:
        house.register(says(1, 2, 3))
        with gate.closed():
            assert refusal(way.ask(house.acme)) == (503, "unavailable", "5")
        wait_until(lambda: house.app.state.service.models.counts().models == 1)
        assert way.head(house.acme)["model"]["version"] == 1


@pytest.fixture(params=["another checksum", "no bundle"])
def damaged(request: pytest.FixtureRequest, house: House, acme: Caller) -> House:
    """A house whose champion is version 2, with a wrong checksum or with bytes that are not a bundle."""
    if request.param == "no bundle":
        house.register(b"\x80\x04 pickled nonsense")
        return house
    house.register(says(5, 5, 5))
    with house.database.write() as session:
        session.execute(update(Version).where(Version.number == 2).values(bundle=bundle.to_bytes(says(9, 9, 9))))
    return house


@every_way
def test_a_damaged_bundle_is_never_served_and_its_alias_falls_back(damaged: House, way: Way) -> None:
    assert refusal(way.ask(damaged.acme, version=2)) == (500, "corrupt_bundle", None)
    head = way.head(damaged.acme)
    assert (head["model"]["version"], [warning["code"] for warning in head["warnings"]]) == (1, ["fell_back"])
    assert "version 2 cannot be served" in head["warnings"][0]["message"]
    assert damaged.acme.get("/readyz")["checks"]["aliases"] == "1 serve an earlier version than they point at"


@every_way
def test_an_alias_without_a_fallback_is_refused_like_its_damaged_version(house: House, way: Way) -> None:
    house.register(b"no bundle")
    for _ in range(2):
        assert refusal(way.ask(house.acme)) == (500, "corrupt_bundle", None)


@every_way
def test_a_network_with_infinite_numbers_is_never_served_and_its_alias_falls_back(
    house: House, acme: Caller, way: Way
) -> None:
    house.register(sometimes_broken())
    assert refusal(way.ask(acme, version=2)) == (500, "model_broken", None)
    for _ in range(2):
        head = way.head(acme)
        assert (head["model"]["version"], [warning["code"] for warning in head["warnings"]]) == (1, ["fell_back"])
    metrics = house.operator.ask("GET", "/metrics").text
    assert 'forecasts_total{outcome="error"} 1.0' in metrics  # the first, by its number
    house.register(says(2, 2, 2))  # and with the next promotion all is well
    assert way.head(acme)["model"]["version"] == 3


@every_way
def test_a_network_with_infinite_numbers_and_no_fallback_is_refused(house: House, way: Way) -> None:
    house.register(sometimes_broken())
    for _ in range(2):
        assert refusal(way.ask(house.acme)) == (500, "model_broken", None)
    assert 'forecasts_total{outcome="error"} 2.0' in house.operator.ask("GET", "/metrics").text


@pytest.mark.parametrize("way", STREAMS, ids=str)
def test_a_network_that_breaks_during_a_stream_ends_it_and_is_not_served_again(
    house: House, acme: Caller, way: Way
) -> None:
    """The parts have two series; only the last series is not constant."""
    house.register(sometimes_broken())
    rows = [row for i in range(5) for row in series(f"s{i}", [7] * 4 if i < 4 else [4, 6, 8, 10])]
    answer = way.ask(acme, history=columns(rows), horizon=50)
    assert answer.status_code == 200
    if way.accept == LINES:
        head, *rows, end = map(json.loads, answer.text.splitlines())
        assert (head["model"]["version"], [one["unique_id"] for one in rows]) == (2, ["s0", "s1", "s2", "s3"])
    else:
        end = last_facts(answer.content)
    assert (end["error"]["status"], end["error"]["code"]) == (500, "model_broken")
    head = way.head(acme)
    assert (head["model"]["version"], head["warnings"][0]["code"]) == (1, "fell_back")


def last_facts(content: bytes) -> Any:
    """Return the outcome in the last batch, which the reader gets before it finds the stream truncated."""
    found = []
    with pytest.raises(pa.ArrowInvalid):
        found.extend(pa.ipc.open_stream(content).iter_batches_with_custom_metadata())
    return json.loads(found[-1][1][b"forecastle"])


def test_a_horizon_beyond_the_range_of_numbers_is_refused_and_breaks_no_alias(
    sqlite_template: Path, tmp_path: Path
) -> None:
    """Each step is 1.6 to 2.1 times as far away as the one before: after some 900 steps the numbers overflow."""
    limits = {"max_horizon": 2_000, "max_forecast_points": 10_000}
    with open_house(sqlite_template, tmp_path, **limits) as house:
        house.register(says(1, strategy="iterative", horizon=1))
        house.register(says(2, strategy="iterative", horizon=1))
        for path in (ONE, STREAM):
            request = {"json": forecast_request(horizon=2_000)}
            assert house.acme.refused("POST", path, **request) == (422, "invalid_input", "horizon_too_long")
        answer = house.acme.forecast(horizon=900)
        assert (answer["model"]["version"], len(answer["forecasts"][0]["mean"])) == (2, 900)
        assert [warning["code"] for warning in answer["warnings"]] == ["beyond_trained_horizon"]


@every_way
def test_a_full_queue_refuses_the_next_request(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    """One forecast is being made and one waits; a stream tries again a few times before it fails."""
    monkeypatch.setattr(forecast, "RETRY_WAITS_S", (0.001, 0.001))
    gate = Gate(monkeypatch)
    with slow_house(sqlite_template, tmp_path, max_waiting=1) as house:
        asking = Asking(house)
        with gate.closed():
            asking.ask(way.path, **way.request(horizon=12))
            assert gate.arrived.wait(10)
            asking.ask(way.path, **way.request(horizon=12))
            wait_until(lambda: waiting(house) == 1)
            assert refusal(way.ask(house.acme, horizon=12)) == (429, "too_many_requests", "1")
        assert asking.statuses() == [200, 200]


@every_way
def test_a_request_past_its_deadline_is_refused_and_never_forecast(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    gate = Gate(monkeypatch)
    with slow_house(sqlite_template, tmp_path, forecast_timeout_s=0.2) as house:
        asking = Asking(house)
        gate.rows.clear()
        with gate.closed():
            asking.ask(way.path, **way.request(horizon=12))
            assert gate.arrived.wait(10)
            asking.ask(way.path, **way.request(horizon=12, history=columns(series("a", [1, 2]) + series("b", [3, 4]))))
            wait_until(lambda: waiting(house) == 1)
            threading.Event().wait(0.3)
        assert asking.statuses() == [200, 504]
        assert next(a for a in asking.answers if a.status_code == 504).json()["code"] == "deadline_passed"
        assert set(gate.rows) == {1}  # never the two series of the second


@pytest.fixture
def wire(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[House, Gate, int]]:
    """A slow house that also listens on a real port."""
    gate = Gate(monkeypatch)
    with slow_house(sqlite_template, tmp_path) as house, listening(house.app, "httptools") as port:
        yield house, gate, port


@pytest.mark.parametrize("path", [ONE, STREAM])
def test_no_forecast_is_made_for_a_client_that_has_disconnected(wire: tuple[House, Gate, int], path: str) -> None:
    house, gate, port = wire
    two = forecast_request(horizon=12, history=columns(series("a", [1, 2]) + series("b", [3, 4])))
    asking = Asking(house)
    gate.rows.clear()
    with gate.closed():
        asking.ask(json=forecast_request(horizon=12))
        assert gate.arrived.wait(10)
        with socket.create_connection(("127.0.0.1", port)) as client:
            body = json.dumps(two).encode()
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.acme.key}\r\n"
            client.sendall(
                f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
            )
            wait_until(lambda: waiting(house) == 1)
        threading.Event().wait(0.6)  # it is noticed after a quarter of a second
    assert asking.statuses() == [200]
    assert house.acme.forecast(horizon=12)["horizon"] == 12  # the lane goes on, behind what was dropped
    assert set(gate.rows) == {1}
