"""Realised errors as sums: by hand, and independent of the order in which values arrive."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.bounds import RowBounds
from models.data.calendar import parse_freq
from models.data.serialization import pack
from models.evaluation.intervals import Interval, Prediction
from models.evaluation.realised import ErrorSums, block_of, expected_steps, from_bytes, steps_from, sum_errors, to_bytes
from models.evaluation.report import BacktestReport

NAN = np.nan
DAY_US = 86_400_000_000
HALF = np.full(4, 0.5)


def predicted(*means: list[float]) -> Prediction:
    return Prediction.of_points(np.array(means), np.ones((len(means), 1)))


def test_the_sums_of_two_series_by_hand() -> None:
    # In units of 2 and 4: errors of 1 and -0.5 at the first step, of 1 at the second of one series.
    actual = np.array([[8.0, 8.0, NAN, NAN], [12.0, NAN, NAN, NAN]])
    bounds = {80: Interval(np.full((2, 4), 9.0), np.full((2, 4), 12.0))}
    found = sum_errors(predicted([10, 10, 10, 10], [10, 10, 10, 10]), actual, np.array([2.0, 4.0]), HALF, bounds)
    assert found == {0: ErrorSums(2, 1.5, 0.5, 1.0, 2, 1, 0, 0), 1: ErrorSums(1, 1.0, 1.0, 0.5, 1, 0, 0, 0)}


def test_a_series_without_a_scale_counts_for_its_intervals_only() -> None:
    bounds = {95: Interval(np.zeros((1, 1)), np.ones((1, 1)))}
    for unit in (0.0, NAN):
        found = sum_errors(predicted([5.0]), np.array([[1.0]]), np.array([unit]), HALF[:1], bounds)
        assert found == {0: ErrorSums(judged_95=1, covered_95=1)}


def test_bands_end_at_powers_of_two() -> None:
    found = sum_errors(predicted([0.0] * 9), np.ones((1, 9)), np.ones(1), np.ones(9), {})
    assert {band: sums.points for band, sums in found.items()} == {0: 1, 1: 2, 2: 4, 3: 2}


@given(st.integers(0, 2**32 - 1))
def test_the_sums_of_two_parts_add_up_to_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, actual = predicted(*rng.normal(size=(3, 6)).tolist()), rng.normal(size=(3, 6))
    scale, bounds = rng.uniform(1, 2, 3), {80: Interval(-np.ones((3, 6)), np.ones((3, 6)))}
    first = rng.random((3, 6)) < 0.5
    parts = [sum_errors(prediction, np.where(own, actual, NAN), scale, np.ones(6), bounds) for own in (first, ~first)]
    whole = sum_errors(prediction, actual, scale, np.ones(6), bounds)
    for band, sums in whole.items():
        both = np.sum([part.get(band, ErrorSums()) for part in parts], axis=0)
        assert both == pytest.approx(np.array(sums))


def test_steps_of_the_backtest_end_with_the_last_and_are_the_mean_where_it_has_none() -> None:
    model = BacktestReport(
        horizon=3,
        season=1,
        origins=2,
        windows=4,
        series_left_out=0,
        scores={"model": {"mase": 0.75}},
        skill=0.25,
        coverage={},
        steps={"model": {"mae": [1.0, None, 2.0], "mase": [0.5, None, 1.0]}},
    )
    assert expected_steps(model, 5).tolist() == [0.5, 0.75, 1.0, 1.0, 1.0]
    assert expected_steps(replace(model, steps=None), 2).tolist() == [0.75, 0.75]
    assert np.isnan(expected_steps(replace(model, steps=None, scores={"model": {"mase": None}}), 2)).all()


def test_a_stored_prediction_is_read_back_unchanged() -> None:
    quantiles = np.arange(12.0).reshape(2, 2, 3)
    prediction = Prediction.of_quantiles(
        np.array([[1.5, 2.5], [3.5, 4.5]]), np.array([[1.0], [2.0]]), quantiles, (0.1, 0.5, 0.9)
    )
    back = from_bytes([to_bytes(prediction, 0), to_bytes(prediction, 1)])
    assert back.quantiles is not None
    assert (back.median.tolist(), back.spread.tolist()) == (prediction.median.tolist(), prediction.spread.tolist())
    assert (back.mean.tolist(), back.mean[0, 0] == back.median[0, 0]) == (prediction.mean.tolist(), False)
    assert (back.quantiles.tolist(), tuple(back.levels)) == (quantiles.tolist(), (0.1, 0.5, 0.9))
    assert from_bytes([to_bytes(predicted([1.0, 2.0]), 0)]).quantiles is None


def test_a_prediction_stored_before_means_were_kept_is_read_with_its_median_as_mean() -> None:
    old = pack({"levels": [0.5]}, {"mean": np.array([1.0, 2.0]), "spread": np.ones(1), "quantiles": np.ones((2, 1))})
    back = from_bytes([old])
    assert (back.median.tolist(), back.mean.tolist(), back.spread.tolist()) == ([[1, 2]], [[1, 2]], [[1]])


def test_small_variation_of_large_numbers_is_stored() -> None:
    meter = Prediction.of_quantiles(
        np.array([[1e9 + 1, 1e9 + 2.5]]), np.array([[0.5]]), np.array([[[1e9], [1e9 + 0.25]]]), (0.5,)
    )
    back = from_bytes([to_bytes(meter, 0)])
    assert back.quantiles is not None
    assert meter.quantiles is not None
    assert (back.median - 1e9).tolist() == [[1.0, 2.5]]
    assert (back.quantiles == meter.quantiles).all()


def test_the_step_of_a_value_is_counted_in_its_calendar() -> None:
    months, start = parse_freq("MS"), int(np.datetime64("2026-03-01", "us").astype(np.int64))
    assert steps_from(start, np.datetime64("2026-01-01", "us"), 4, months).tolist() == [-2, -1, 0, 1]
    assert steps_from(start, np.datetime64("2027-03-01", "us"), 1, months).tolist() == [12]


def test_forecasts_that_begin_within_a_horizon_share_a_block() -> None:
    days = parse_freq("D")
    blocks = [block_of(day * DAY_US, 7, days) for day in range(21)]
    assert blocks == [0] * 7 + [1] * 7 + [2] * 7


def test_a_prediction_keeps_the_bounds_of_its_series_and_is_scored_within_them() -> None:
    free = predicted([-4.0, 6.0])
    low = free._replace(bounds=RowBounds(np.array([[0.0]]), None))
    high = free._replace(bounds=RowBounds(None, np.array([[5.0]])))
    back = from_bytes([to_bytes(one, 0) for one in (free, low, high)])
    assert back.median.tolist() == [[-4, 6]] * 3
    assert back.bounded().median.tolist() == [[-4, 6], [0, 6], [-4, 5]]
    assert from_bytes([to_bytes(free, 0)]).bounds is None
    found = sum_errors(low, np.array([[0.0, NAN]]), np.ones(1), HALF[:2], {})
    assert found == {0: ErrorSums(1, 0.0, 0.0, 0.5)}  # the served forecast was 0, not -4
