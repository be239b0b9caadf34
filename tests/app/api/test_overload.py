"""Limits of one request, and its effect on others."""

import threading
from pathlib import Path

import pytest

from tests.app.api.conftest import forecast_request, open_house
from tests.app.api.slow import SLOW, Asking, Gate, slow_house, wait_until, waiting
from tests.fakes import random_forecaster, says


def test_a_forecast_with_too_much_arithmetic_is_refused(sqlite_template: Path, tmp_path: Path) -> None:
    # 50 passes of 4 steps of 6 x 1000 x 1002 operations are 1.2 billion
    with open_house(sqlite_template, tmp_path, max_forecast_gflop=1) as house:
        house.register(random_forecaster(strategy="iterative", units=1000))
        request = {"json": forecast_request(horizon=50)}
        assert house.acme.refused("POST", "/v1/forecasts", **request) == (422, "invalid_input", "too_much_work")
        assert len(house.acme.forecast(horizon=40)["forecasts"][0]["mean"]) == 40


def test_a_forecast_beyond_the_queue_is_refused(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One forecast is being made and one waits: the third is refused with Retry-After."""
    gate = Gate(monkeypatch)
    with slow_house(sqlite_template, tmp_path, max_waiting=1) as house:
        asking = Asking(house)
        with gate.closed():
            asking.ask(**SLOW)
            assert gate.arrived.wait(10)
            asking.ask(**SLOW)
            wait_until(lambda: waiting(house) == 1)
            answer = house.acme.ask("POST", "/v1/forecasts", **SLOW)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
        assert answer.headers["retry-after"] == "1"
        assert asking.statuses() == [200, 200]


def test_a_forecast_past_its_deadline_is_refused(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with slow_house(sqlite_template, tmp_path, forecast_timeout_s=0.2) as house:
        asking = Asking(house)
        with gate.closed():
            asking.ask(**SLOW)
            assert gate.arrived.wait(10)
            asking.ask(**SLOW)
            wait_until(lambda: waiting(house) == 1)
            threading.Event().wait(0.3)
        assert asking.statuses() == [200, 504]
        late = next(answer for answer in asking.answers if answer.status_code == 504)
        assert (late.json()["code"], late.headers["retry-after"]) == ("deadline_passed", "1")


def test_slow_forecasts_do_not_delay_other_routes(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While eight forecasts hang, health and lists answer; then the forecasts do."""
    gate = Gate(monkeypatch)
    with slow_house(sqlite_template, tmp_path) as house:
        asking = Asking(house)
        with gate.closed():
            for _ in range(8):
                asking.ask(**SLOW)
            assert gate.arrived.wait(10)
            assert house.acme.get("/readyz")["status"] == "ok"
            assert len(house.acme.get("/v1/models")["items"]) == 1
            assert asking.answers == []
        assert asking.statuses() == [200] * 8


def test_a_slow_load_delays_no_other_route_and_has_a_timeout(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with open_house(sqlite_template, tmp_path, load_timeout_s=0.2) as house:
        house.register(says(1, 2, 3), model="cold")
        with gate.closed():  # the warm-up of a model is a pass of its network too
            answer = house.acme.ask("POST", "/v1/forecasts", json=forecast_request(model="cold"))
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["retry-after"] == "5"
            assert house.acme.get("/readyz")["status"] == "ok"
        wait_until(lambda: house.app.state.service.models.counts().models == 1)
        assert house.acme.forecast(model="cold")["model"]["version"] == 1
