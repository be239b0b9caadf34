"""What one request may cost, and what happens to the others meanwhile."""

import threading
from pathlib import Path

import pytest

from app.api import forecasts
from tests.app.api.conftest import Caller, House, forecast_request, open_house
from tests.fakes import random_forecaster, says


def test_a_forecast_that_would_take_too_much_work_is_refused(sqlite_template: Path, tmp_path: Path) -> None:
    # 50 passes of 4 steps of 6 x 1000 x 1002 operations are 1.2 billion
    with open_house(sqlite_template, tmp_path, max_forecast_gflop=1) as house:
        house.register(random_forecaster(strategy="iterative", units=1000))
        request = {"json": forecast_request(horizon=50)}
        assert house.acme.refused("POST", "/v1/forecasts", **request) == (422, "invalid_input", "too_much_work")
        assert len(house.acme.forecast(horizon=40)["forecasts"][0]["mean"]) == 40


def test_forecasts_that_would_wait_too_long_are_turned_away(
    house: House, acme: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecasts, "MOST_WAITING", 0)
    answer = acme.ask("POST", "/v1/forecasts", json=forecast_request())
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "5")


def test_slow_forecasts_do_not_hold_up_the_rest(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight forecasts that hang, of which two may run: health and lists answer, and in the end so do they."""
    go_on = threading.Event()
    make_forecast = forecasts.make_forecast

    def slow(*arguments: object) -> object:
        assert go_on.wait(30)
        return make_forecast(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(forecasts, "make_forecast", slow)
    with open_house(sqlite_template, tmp_path, forecast_threads=2) as house:
        house.register(says(1, 2, -1))
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(house.acme.ask("POST", "/v1/forecasts", json=forecast_request()).status_code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert house.acme.get("/readyz")["status"] == "ok"
        assert len(house.acme.get("/v1/models")["items"]) == 1
        assert statuses == []
        go_on.set()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 8
