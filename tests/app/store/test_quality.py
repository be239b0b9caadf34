"""Served forecasts held against what came: sums by hand, each value once, whatever the order."""

from functools import partial
from typing import Any

import pytest

from app.records import ForecastRecord
from app.store import forecast_log, interval_scales, quality, realised
from app.store.db import Database
from app.store.quality import Comparison, Quality
from app.store.tables import AdaptedIntervals, Realised, ServedForecast
from tests.app.store.conftest import at_once
from tests.app.store.growing import Growing


@pytest.fixture
def sales(database: Database) -> Growing:
    """Two series of five days."""
    return Growing(database, [1, 2, 3, 4, 5], [1, 1, 1, 1, 1])


def realise(sales: Growing, limit: int = 100) -> int:
    with sales.database.write() as session:
        return realised.realise(session, limit)


def seen(sales: Growing) -> Quality:
    with sales.database.read() as session:
        return quality.quality_of(session, sales.tenant_id, "demand")


def test_errors_bias_and_coverage_are_those_by_hand(sales: Growing) -> None:
    # Said 6, 7, 4 with a radius of 0.8 (80 %) and 0.95 (95 %); 5, 7.9, 4 came: in MASE's unit of 2 errors of
    # 0.5, -0.45 and 0. In the backtest each step had a MASE of 0.5.
    version = sales.version()
    assert sales.serve(version, [6, 7, 4]) == 1
    sales.append([5, 7.9, 4], [1, 1, 1])
    assert realise(sales) == 1
    found = seen(sales)
    assert (found.forecasts, found.points) == (1, 3)
    assert found.mase == pytest.approx(0.95 / 3)
    assert found.backtest_mase == pytest.approx(0.5)
    assert found.drift == pytest.approx(0.95 / 1.5)
    assert found.bias == pytest.approx(0.05 / 3, abs=1e-6)
    assert found.coverage == {80: pytest.approx(1 / 3), 95: pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("factors", "covered"),
    [([0.5, 1.0, 2.0, 1.0], 2 / 3), (0.5, 0.0)],  # of each part of the horizon; an earlier release wrote one for all
)
def test_values_are_compared_with_the_intervals_as_wide_as_they_were_served(
    sales: Growing, factors: list[float] | float, covered: float
) -> None:
    # Half-widths of 0.4, 0.8 and 1.6 about 6, or 0.4 at each of the three steps; 6.5 came.
    sales.serve(sales.version(), [6, 6, 6], stretch={"80": factors, "95": factors})
    sales.append([6.5, 6.5, 6.5], [1, 1, 1])
    realise(sales)
    assert seen(sales).coverage[80] == pytest.approx(covered)


def test_nothing_is_known_before_anything_came(sales: Growing) -> None:
    assert seen_without_a_model(sales) == Quality(coverage={})
    sales.serve(sales.version(), [6, 7, 4])
    assert realise(sales) == 0
    assert seen(sales) == Quality(coverage={80: None, 95: None})


def seen_without_a_model(sales: Growing) -> Quality:
    with sales.database.read() as session:
        return quality.quality_of(session, sales.tenant_id, "never-was")


def test_each_value_counts_once_however_often_one_looks(sales: Growing) -> None:
    sales.serve(sales.version(), [6, 7, 4])
    counted = []
    for value in (6, 9, 4, 100):
        sales.append([value], [1])
        counted.append(realise(sales))
        assert realise(sales) == 0
    assert counted == [1, 1, 1, 0]  # after its last step nothing more is looked for
    found = seen(sales)
    assert (found.forecasts, found.points, found.mase) == (1, 3, pytest.approx(1 / 3))


def test_a_value_that_is_missing_is_not_waited_for(sales: Growing) -> None:
    sales.serve(sales.version(), [6, 7, 4])
    sales.append([6, float("nan"), 4], [1, 1, 1])
    assert realise(sales) == 1
    assert (seen(sales).points, realise(sales)) == (2, 0)


def test_the_same_forecast_served_twice_counts_once(sales: Growing) -> None:
    version = sales.version()
    assert [sales.serve(version, [6, 7, 4]) for _ in range(3)] == [1, 0, 0]
    assert sales.serve(version, [6, 7]) == 1  # another horizon is another forecast


def test_what_is_joined_at_a_time_is_bounded_and_goes_on_where_it_stopped(sales: Growing) -> None:
    version = sales.version()
    for at in range(5, 10):
        sales.serve(version, [6], at=at)
    sales.append([6, 6, 6, 6, 6], [1, 1, 1, 1, 1])
    assert [realise(sales, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert (seen(sales).forecasts, seen(sales).points) == (5, 5)


def test_forecasts_of_different_days_see_only_what_came_after_each(sales: Growing) -> None:
    version = sales.version()
    sales.serve(version, [6, 6])
    sales.append([6], [1])
    sales.serve(version, [8, 8])  # from one revision later
    sales.append([10, 8], [1, 1])
    assert [realise(sales) for _ in range(3)] == [1, 1, 0]
    assert seen(sales).points == 4
    assert seen(sales).mase == pytest.approx((0 + 4 + 2 + 0) / 2 / 4)


def test_several_who_join_at_once_count_every_value_once(database: Database) -> None:
    sales = Growing(database, [1, 2, 3, 4, 5], [1, 1, 1, 1, 1])
    version = sales.version()
    for at in range(5, 25):
        sales.serve(version, [6], at=at)
    sales.append([6] * 20, [1] * 20)

    def until_done() -> int:
        return sum(iter(partial(realise, sales, 3), 0))

    at_once([until_done] * 4)
    until_done()
    assert seen(sales).points == 20


def test_a_series_that_does_not_vary_has_coverage_but_no_error(sales: Growing) -> None:
    sales.serve(sales.version(), [1, 1, 1], series="s1", scale=None)
    sales.append([6, 6, 6], [1, 1, 9])
    realise(sales)
    found = seen(sales)
    assert (found.points, found.mase, found.drift) == (0, None, None)
    assert found.coverage[80] == pytest.approx(2 / 3)


def test_bands_tell_near_steps_from_far_ones(sales: Growing) -> None:
    version = sales.version()
    sales.serve(version, [0, 0, 0, 0, 0, 0, 0, 0, 0])
    sales.append([2, 4, 4, 8, 8, 8, 8, 16, 16], [1] * 9)
    realise(sales)
    with sales.database.read() as session:
        bands = quality.by_band(session, version, 30)
    assert {band: (one.forecasts, one.points, one.mase) for band, one in bands.items()} == {
        0: (1, 1, 1.0),
        1: (0, 2, 2.0),
        2: (0, 4, 4.0),
        3: (0, 2, 8.0),
    }


def test_errors_twice_those_of_the_backtest_are_a_drift_that_one_may_be_sure_of(sales: Growing) -> None:
    version = sales.version()
    for at in range(5, 45):  # of a horizon of one: 40 blocks
        sales.serve(version, [0], at=at)
    sales.append([1.5 if day % 2 else 2.5 for day in range(40)], [1] * 40)
    realise(sales)
    found = seen(sales)
    assert found.drift == pytest.approx(2.0)
    assert found.confidence is not None
    assert found.confidence > 0.99


def test_the_intervals_of_a_version_learn_and_another_begins_anew(sales: Growing) -> None:
    first, second = sales.version(), sales.version()
    for at in range(5, 5 + interval_scales.MIN_MOMENTS):  # of a horizon of one: each is a moment
        sales.serve(first, [6], at=at)
    sales.append([60] * interval_scales.MIN_MOMENTS, [1] * interval_scales.MIN_MOMENTS)
    realise(sales)
    with sales.database.read() as session:
        found = interval_scales.load(session, [first.id, second.id])
    assert set(found) == {first.id}
    assert found[first.id][0, 79] > 2


def test_a_shadow_is_held_against_the_same_values_and_judged_by_nobody_else(sales: Growing) -> None:
    champion, challenger = sales.version(), sales.version(alias="challenger")
    shadow = sales.record(challenger, [7, 7, 7], shadow=True, beside=champion.id)
    assert sales.log(shadow, sales.record(champion, [6, 6, 6], beside=challenger.id)) == 2
    sales.append([8, 8, 8], [1, 1, 1])
    assert realise(sales) == 2
    assert (seen(sales).points, seen(sales).mase) == (3, 1.0)
    with sales.database.read() as session:
        [found] = quality.comparisons(session, champion, 30)
        assert quality.of_version(session, challenger, 30).points == 0
        assert interval_scales.load(session, [challenger.id]) == {}
    assert found == Comparison(
        challenger=2, champion=1, points=3, mase=0.5, champion_mase=1.0, gain=0.5, confidence=None
    )


def test_a_shadow_of_what_was_served_before_is_not_kept(sales: Growing) -> None:
    champion, challenger = sales.version(), sales.version(alias="challenger")
    sales.serve(champion, [6])
    shadow = sales.record(challenger, [7], shadow=True, beside=champion.id)
    assert sales.log(shadow, sales.record(champion, [6], beside=challenger.id)) == 0


def test_what_is_old_is_forgotten(sales: Growing) -> None:
    sales.serve(sales.version(), [6, 6, 6])
    sales.append([8, 8, 8], [1, 1, 1])
    realise(sales)
    with sales.database.write() as session:
        assert forecast_log.forget(session, log_days=1, quality_days=1, max_rows=10) == 0
        assert forecast_log.forget(session, log_days=-1, quality_days=1, max_rows=10) == 1
        assert forecast_log.forget(session, log_days=1, quality_days=-1, max_rows=10) == 2
        assert session.query(ServedForecast).count() == session.query(Realised).count() == 0


def test_a_bundle_that_cannot_be_read_stops_nobody_elses_forecasts(sales: Growing) -> None:
    broken, sound = sales.version(), sales.version()
    with sales.database.write() as session:
        session.get_one(type(broken), broken.id).bundle = b"torn"
    for version in (broken, sound):
        sales.serve(version, [6, 6, 6])
    sales.append([6, 6, 6], [1, 1, 1])
    assert realise(sales) == 2
    assert seen(sales).points == 3


@pytest.mark.parametrize("torn", [ServedForecast, AdaptedIntervals])
def test_a_damaged_row_stops_nobody_elses_forecasts(sales: Growing, torn: type[Any]) -> None:
    broken, sound = sales.version(), sales.version()
    sales.serve(broken, [6, 6, 6])
    sales.append([6], [1])
    realise(sales)
    sales.serve(sound, [6, 6])
    with sales.database.write() as session:
        row = session.query(torn).one() if torn is AdaptedIntervals else session.get_one(torn, 1)
        row.said, row.state = b"torn", {}
    sales.append([6, 6], [1, 1])
    assert [realise(sales), realise(sales)] == [2, 0]
    assert seen(sales).points == 2
    with sales.database.read() as session:
        assert quality.of_version(session, broken, 30).points == 1  # all of what is damaged, or nothing


def test_blocks_of_several_horizons_are_put_in_order_of_time(sales: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    # First ten forecasts of one day, all wrong; then ten of four days, all right: only the newest ten tell.
    monkeypatch.setattr(quality, "MAX_BLOCKS", 10)
    champion, challenger = sales.version(), sales.version(alias="challenger")
    places = [(1, at, 0.0) for at in range(5, 15)] + [(4, at, 8.0) for at in range(25, 65, 4)]
    for horizon, at, value in places:
        shadow = sales.record(challenger, [8 - value] * horizon, at, shadow=True, beside=champion.id)
        sales.log(sales.record(champion, [value] * horizon, at, beside=challenger.id), shadow)
    sales.append([8] * 60, [1] * 60)
    realise(sales)
    found = seen(sales)
    assert found.confidence is not None
    assert found.confidence < 0.01  # that errors have grown
    with sales.database.read() as session:
        [beside] = quality.comparisons(session, champion, 30)
    assert beside.confidence is not None
    assert beside.confidence < 0.01  # that the challenger, which was right at first, errs less


def test_the_fields_of_a_record_are_those_of_the_table() -> None:
    columns = set(ServedForecast.__table__.columns.keys())
    assert set(ForecastRecord.__slots__) - {"revision"} == columns - {"id", "seen", "points", "done", "served_at"}
