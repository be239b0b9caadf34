"""Log of served forecasts: its records, its bounds, and that no request waits for it or fails by it."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from app.records import ForecastRecord
from app.serving.forecast_log import (
    CAPACITY,
    MAX_SERIES,
    ForecastLog,
    LogEntry,
    LogSource,
    MakeShadow,
    ShadowForecast,
    records_of,
)
from models.evaluation.intervals import Prediction
from models.evaluation.realised import from_bytes
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import forecast
from tests.fakes import calibration, says
from tests.models.samples import panel_of, ready_of

SOURCE = LogSource(tenant_id=7, model="demand", version_id=3, season=1, scales=None, dataset_id=5, revision=2)


def entry(series: int = 1, source: LogSource = SOURCE) -> LogEntry:
    """Return the forecast 1, 2, -1 spreads from the last value of series 4, 6, 8, 10."""
    panel, made = panel_of(*([4.0, 6.0, 8.0, 10.0] for _ in range(series))), says(1, 2, -1)
    return LogEntry(source, panel, forecast(ready_of(*made.members[0][:2]), calibration(3), panel, 3, [80]))


class Shelf:
    """Store of records that a test can make slow or broken."""

    def __init__(self) -> None:
        self.records: list[ForecastRecord] = []
        self.broken = False
        self.open = threading.Event()
        self.open.set()

    def write(self, records: Sequence[ForecastRecord]) -> int:
        self.open.wait(60)
        if self.broken:
            raise OSError("the database is away")
        self.records += records
        return len(records)


def log_of(shelf: Shelf, make_shadow: MakeShadow | None = None) -> ForecastLog:
    return ForecastLog(1.0, shelf.write, make_shadow, write_every_s=0.01)


def eventually(look: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_a_record_holds_the_prediction_and_the_unit_of_its_errors() -> None:
    one = entry()
    [record] = records_of(one)
    assert (record.series, record.horizon, record.scale, record.stretch) == ("s0", 3, 2.0, {})
    assert np.datetime64(record.start_us, "us") == one.forecast.starts[0]
    assert from_bytes([record.said]).median[0] == pytest.approx(one.forecast.median[0], rel=1e-6)


@pytest.mark.parametrize(("value", "unit"), [(5.0, 5.0), (0.0, None)])
def test_errors_on_a_constant_series_are_measured_in_its_size(value: float, unit: float | None) -> None:
    one = entry()
    one.panel.y[:] = value
    [record] = records_of(one)
    assert record.scale == unit


def test_a_record_holds_the_interval_scales() -> None:
    by_part = np.array([[1.0], [2.0], [3.0], [4.0]]) * np.arange(1.0, 100)
    [record] = records_of(entry(source=replace(SOURCE, scales=by_part)))
    assert record.stretch == {"80": [80.0, 160.0, 240.0, 320.0], "95": [95.0, 190.0, 285.0, 380.0]}


def test_only_some_series_of_a_large_forecast_are_recorded() -> None:
    found = {record.series for record in records_of(entry(series=100))}
    assert len(found) == MAX_SERIES


def test_queued_forecasts_are_written_and_counted() -> None:
    shelf = Shelf()
    log = log_of(shelf)
    for _ in range(3):
        log.put(entry())
    eventually(lambda: log.counts().kept == 3)
    assert len(shelf.records) == 3
    log.close()


def test_closing_writes_the_queued_forecasts_and_later_ones_are_dropped() -> None:
    shelf = Shelf()
    log = ForecastLog(1.0, shelf.write, write_every_s=60)
    log.put(entry())
    log.put(entry())
    log.close()
    assert len(shelf.records) == 2
    log.put(entry())
    assert log.counts() == (2, 1)


def test_an_unused_log_closes_at_once() -> None:
    log_of(Shelf()).close()


def test_forecasts_beyond_the_capacity_are_dropped_without_waiting() -> None:
    shelf, one = Shelf(), entry()
    shelf.open.clear()
    log = log_of(shelf)
    for _ in range(3 * CAPACITY):
        log.put(one)
    assert log.counts().dropped >= CAPACITY
    shelf.open.set()
    log.close()
    assert sum(log.counts()) == 3 * CAPACITY


def test_while_the_database_is_unreachable_forecasts_are_dropped_and_later_ones_are_written() -> None:
    shelf = Shelf()
    shelf.broken = True
    log = log_of(shelf)
    log.put(entry())
    eventually(lambda: log.counts().dropped == 1)
    shelf.broken = False
    log.put(entry())
    eventually(lambda: log.counts().kept == 1)
    log.close()


def test_the_sample_has_the_configured_share() -> None:
    shares = {share: ForecastLog(share, Shelf().write) for share in (0.0, 0.25, 1.0)}
    for log in shares.values():  # the first of a day are logged in any case
        _ = [log.draw(7) for _ in range(100)]
    found = {share: sum(log.draw(7) for _ in range(4_000)) / 4_000 for share, log in shares.items()}
    assert (found[0.0], found[1.0]) == (0.0, 1.0)
    assert found[0.25] == pytest.approx(0.25, abs=0.04)


def test_the_challengers_forecast_is_recorded_beside_the_served_one() -> None:
    shelf = Shelf()

    def make_shadow(source: LogSource, panel: object, horizon: int) -> ShadowForecast:
        return ShadowForecast(9, Prediction.of_points(np.full((1, horizon), 0.5), np.ones((1, 1))))

    log = log_of(shelf, make_shadow)
    log.put(entry(source=replace(SOURCE, scales=np.ones((4, 99)))))
    log.close()
    served, shadow = shelf.records
    assert (served.version_id, served.beside, served.shadow) == (3, 9, False)
    assert (shadow.version_id, shadow.beside, shadow.shadow, shadow.stretch) == (9, 3, True, {})
    assert from_bytes([shadow.said]).median.tolist() == [[0.5, 0.5, 0.5]]


def test_a_forecast_without_its_prediction_is_not_recorded() -> None:
    one = entry()
    made: Forecast = replace(one.forecast, prediction=None)
    assert list(records_of(one._replace(forecast=made))) == []


def test_the_first_forecasts_of_a_version_on_a_day_are_all_logged() -> None:
    now_s = [0.0]
    log = ForecastLog(1e-9, Shelf().write, clock=lambda: now_s[0])
    assert [log.draw(7) for _ in range(101)] == [True] * 100 + [False]
    assert log.draw(8)  # another version
    now_s[0] = 86_400.0
    assert log.draw(7)
    assert not ForecastLog(0.0, Shelf().write).draw(7)
