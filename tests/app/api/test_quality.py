"""Forecasts over the API, then the values over the API: what came of them, in /quality, in answers and in metrics."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.store import interval_scales
from app.store.db import Database, now
from app.store.tables import AdaptedIntervals, ServedForecast
from app.work import quality
from models.evaluation.adaptive_intervals import initial_adaptation
from tests.app.api.conftest import House, open_house
from tests.app.api.tables import table
from tests.fakes import says
from tests.postgres import postgres_server

QUALITY = "/v1/models/demand/quality"
SHOP = {"name": "sales", "ids": ["shop"]}


@pytest.fixture(params=["sqlite", "postgresql"])
def watched(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    """A house that keeps every forecast of ``sales``, where demand says 11, 12, 9 of the shop after 4, 6, 8, 10."""
    url = postgres_server().new_database() if request.param == "postgresql" else None
    with open_house(sqlite_template, tmp_path, url, forecast_log_share=1.0) as house:
        house.register(says(1, 2, -1))
        yield house


def eventually(look: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < end_s, "it did not come to pass"
        time.sleep(0.05)
    return found


def logged(house: House, count: int) -> list[ServedForecast]:
    """What the log holds, once it holds ``count``."""

    def look() -> list[ServedForecast]:
        with house.database.read() as session:
            rows: list[ServedForecast] = session.query(ServedForecast).order_by(ServedForecast.id).all()
        return rows if len(rows) >= count else []

    rows: list[ServedForecast] = eventually(look)
    assert len(rows) == count
    return rows


def come(house: House, *values: float, since: int = 4) -> int:
    """The shop's next days, appended; how many forecasts were held against them."""
    first = np.datetime64("2026-01-05") + np.timedelta64(since - 4, "D")
    rows = [("shop", str(first + np.timedelta64(i, "D")), value) for i, value in enumerate(values)]
    house.acme.post("/v1/datasets/sales/rows", **table(rows, "json"))
    return quality.step(house.database, house.settings)


def test_what_came_of_a_forecast_is_told_by_the_api(watched: House) -> None:
    said = watched.acme.forecast(dataset=SHOP, levels=[80])["forecasts"][0]
    assert said["ds"][0].startswith("2026-01-05")
    [row] = logged(watched, 1)
    assert (row.series, row.horizon, row.scale, row.shadow) == ("shop", 3, 2.0, False)
    below = said["intervals"]["80"]["lo"][0] - 1
    assert come(watched, below, said["mean"][1]) == 1
    found = watched.acme.get(QUALITY)
    served = found["served"]
    assert (found["version"], served["forecasts"], served["points"]) == (1, 1, 2)
    assert served["mase"] == pytest.approx((said["mean"][0] - below) / 2 / 2)
    assert served["bias"] == served["mase"]
    assert served["backtest_mase"] == 0.75
    assert served["drift"] == pytest.approx(served["mase"] / 0.75)
    assert served["coverage"]["80"] == 0.5
    assert [(band["from_step"], band["to_step"], band["points"]) for band in found["bands"]] == [(1, 1, 1), (2, 3, 1)]
    assert (found["shadows"], found["adapted"]) == ([], None)
    assert watched.acme.get(f"{QUALITY}?version=1&days=7") == {**found, "days": 7}


def test_inline_history_and_older_revisions_are_not_held_against_anything(watched: House) -> None:
    watched.acme.forecast()
    watched.acme.forecast(dataset={**SHOP, "revision": 1})
    watched.acme.forecast(dataset=SHOP)
    [row] = logged(watched, 1)
    assert row.seen == 1


def test_a_stream_of_stored_series_is_kept_too(watched: House) -> None:
    answer = watched.acme.ask("POST", "/v1/forecasts/stream", json={"model": "demand", "dataset": {"name": "sales"}})
    assert answer.status_code == 200
    assert {row.series for row in logged(watched, 2)} == {"shop", "kiosk"}


def test_a_challenger_forecasts_the_same_unseen_and_both_are_compared(watched: House) -> None:
    watched.register(says(2, 2, 2), alias="challenger")
    answer = watched.acme.forecast(dataset=SHOP)
    assert answer["model"]["version"] == 1
    served, shadow = logged(watched, 2)
    assert (served.shadow, served.beside, shadow.shadow, shadow.beside) == (
        False,
        shadow.version_id,
        True,
        served.version_id,
    )
    mean = answer["forecasts"][0]["mean"]
    spread = mean[0] - 10  # one unit of the window: demand says 1, the challenger 2
    assert come(watched, mean[0] + spread) == 2
    [beside] = watched.acme.get(QUALITY)["shadows"]
    assert (beside["challenger"], beside["points"], beside["mase"]) == (2, 1, pytest.approx(0, abs=1e-6))
    assert beside["served_mase"] == pytest.approx(spread / 2)
    assert watched.acme.get(f"{QUALITY}?version=2")["served"]["points"] == 0


def test_the_version_that_waits_for_approval_is_the_challenger(watched: House) -> None:
    watched.decide(watched.register(says(2, 2, 2), alias=None), "pending")
    watched.acme.forecast(dataset=SHOP)
    assert [row.shadow for row in logged(watched, 2)] == [False, True]


def test_a_challenger_that_became_champion_makes_way_for_the_next(watched: House) -> None:
    watched.register(says(2, 2, 2), alias="challenger")
    second = watched.acme.put("/v1/models/demand/aliases/champion", json={"version": 2})["version"]
    third = watched.register(says(3, 3, 3), alias=None)
    watched.decide(third, "pending")
    watched.acme.forecast(dataset=SHOP)
    shadow = next(row for row in logged(watched, 2) if row.shadow)
    assert (second, shadow.version_id) == (2, third.id)


def test_a_challenger_that_cannot_be_loaded_costs_nobody_a_forecast(watched: House) -> None:
    watched.register(b"no bundle", alias="challenger")
    watched.acme.forecast(dataset=SHOP)
    assert [row.shadow for row in logged(watched, 1)] == [False]


def learned(database: Database, version_id: int, tenant_id: int, width: float) -> None:
    """The intervals of a version became ``width`` times as wide."""
    state = initial_adaptation()
    with database.write() as session:
        session.query(AdaptedIntervals).delete()
        session.add(
            AdaptedIntervals(
                tenant_id=tenant_id,
                version_id=version_id,
                moments=interval_scales.MIN_MOMENTS,
                state=state.to_json(),
                stretch=[[width] * 99] * 3 + [[2 * width] * 99],
                changed_at=now(session),
            )
        )


def test_intervals_that_learned_are_as_wide_as_they_should_be_and_say_so(watched: House) -> None:
    version = watched.register(says(1, 2, -1))
    learned(watched.database, version.id, version.tenant_id, 2.0)

    def answer() -> Any:
        found = watched.acme.forecast(dataset=SHOP, levels=[80])
        told = {warning["code"] for warning in found["warnings"]}
        return found if "intervals_adapted" in told else None

    plain = watched.acme.forecast(version=1, dataset=SHOP, levels=[80])["forecasts"][0]
    wide = eventually(answer)["forecasts"][0]
    assert wide["mean"] == plain["mean"]
    widths = [np.subtract(one["intervals"]["80"]["hi"], one["intervals"]["80"]["lo"]) for one in (wide, plain)]
    assert widths[0] == pytest.approx(2 * widths[1])
    shown = watched.acme.get(QUALITY)
    assert shown["adapted"] == {"80": 2.0, "95": 2.0}
    assert shown["adapted_by_steps"]["last"] == {"80": 2.0, "95": 2.0}
    assert shown["adapted_by_steps"]["beyond"] == {"80": 4.0, "95": 4.0}


def test_the_metrics_count_what_was_kept_and_say_what_came(watched: House) -> None:
    mean = watched.acme.forecast(dataset=SHOP)["forecasts"][0]["mean"]
    logged(watched, 1)
    assert come(watched, mean[0] + 3) == 1
    text = eventually(lambda: found if "forecasts_logged_total 1.0" in (found := metrics(watched)) else "")
    assert "forecastle_forecasts_not_logged_total 0.0" in text
    assert "forecastle_realised_points 1.0" in text
    assert "forecastle_realised_mase 1.5" in text
    assert "forecastle_realised_drift 2.0" in text
    assert 'forecastle_realised_coverage{level="80"} 0.0' in text


def metrics(house: House) -> str:
    return house.operator.ask("GET", "/metrics").text


def test_a_house_that_keeps_nothing_keeps_nothing(sqlite_template: Path, tmp_path: Path) -> None:
    with open_house(sqlite_template, tmp_path, forecast_log_share=0.0) as house:
        house.register(says(1, 2, -1))
        house.acme.forecast(dataset=SHOP)
        assert house.app.state.service.forecasting.log.counts() == (0, 0)


def test_an_empty_quality_states_its_reason(sqlite_template: Path, tmp_path: Path) -> None:
    with open_house(sqlite_template, tmp_path) as house:  # at the default share
        house.register(says(1, 2, -1))
        assert "no forecast of a stored data set was logged" in house.acme.get(QUALITY)["reason"]
        house.acme.forecast(dataset=SHOP)
        logged(house, 1)
        assert house.acme.get(QUALITY)["reason"].startswith("1 logged forecasts wait for actual values")
        assert come(house, 11.0) == 1
        assert house.acme.get(QUALITY)["reason"] is None
