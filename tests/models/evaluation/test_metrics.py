"""Measures, computed by hand, and compared with published scores if the data are available."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.evaluation import metrics
from models.evaluation.baselines import naive2

NAN = np.nan
ACTUAL, FORECAST = np.array([[1.0, 2.0, 3.0], [10.0, 10.0, 10.0]]), np.array([[1.0, 4.0, 6.0], [10.0, 10.0, 10.0]])
DATA = Path(os.environ.get("BENCH_DATA", Path(__file__).parents[4] / "shared" / "data"))


def test_errors_by_hand():
    # errors 0, 2, 3
    assert metrics.mae(ACTUAL, FORECAST).tolist() == pytest.approx([5 / 3, 0])
    assert metrics.mse(ACTUAL, FORECAST).tolist() == pytest.approx([13 / 3, 0])
    assert metrics.rmse(ACTUAL, FORECAST).tolist() == pytest.approx([(13 / 3) ** 0.5, 0])
    # 200 * mean of 0/2, 2/6, 3/9
    assert metrics.smape(ACTUAL, FORECAST).tolist() == pytest.approx([200 * (2 / 3) / 3, 0])


@pytest.mark.parametrize(("actual", "forecast", "smape"), [(0, 0, 0), (1, 0, 200), (1, -1, 200), (0, 1e-300, 200)])
def test_smape_goes_from_0_to_200(actual, forecast, smape):
    assert metrics.smape(np.array([[float(actual)]]), np.array([[float(forecast)]])).tolist() == [smape]


@pytest.mark.parametrize("measure", [metrics.mae, metrics.mse, metrics.rmse, metrics.smape])
def test_missing_values_do_not_count(measure):
    gap = np.array([[1.0, NAN, 3.0], [NAN, NAN, NAN]])
    without = measure(np.array([[1.0, 3.0]]), np.array([[1.0, 6.0]]))
    assert measure(gap, FORECAST).tolist() == pytest.approx([without[0], NAN], nan_ok=True)


def test_nan_in_a_forecast_counts_only_where_a_value_was_observed():
    forecast = np.array([[1.0, NAN], [NAN, 2.0]])
    assert metrics.mae(np.array([[1.0, NAN], [1.0, 2.0]]), forecast).tolist() == pytest.approx([0, NAN], nan_ok=True)


def test_the_scale_of_mase_is_the_error_of_seasonal_naive_in_the_history():
    history = np.array([1.0, 5.0, 2.0, 8.0])
    assert metrics.naive_scale(history, 1) == pytest.approx((4 + 3 + 6) / 3)
    assert metrics.naive_scale(history, 2) == pytest.approx((1 + 3) / 2)
    assert np.isnan(metrics.naive_scale(history, 4))
    assert metrics.mase(ACTUAL, FORECAST, np.array([2.0, 2.0])).tolist() == pytest.approx([5 / 6, 0])


def test_the_scale_of_rmsse_is_squared_before_the_mean():
    history = np.array([1.0, 5.0, 2.0, 8.0])
    assert metrics.squared_scale(history, 1) == pytest.approx((16 + 9 + 36) / 3)
    # 13/3 over 4, and its root
    assert metrics.rmsse(ACTUAL, FORECAST, np.array([4.0, 4.0])).tolist() == pytest.approx([(13 / 12) ** 0.5, 0])


def test_where_the_season_repeats_exactly_or_is_too_long_errors_are_measured_in_steps_or_size():
    assert metrics.error_unit(np.array([1.0, 5.0, 2.0, 8.0]), 2) == 2
    assert metrics.error_unit(np.array([1.0, 5.0, 1.0, 5.0]), 2) == 4
    assert metrics.error_unit(np.array([1.0, 5.0, 2.0]), 7, power=2) == (16 + 9) / 2
    assert metrics.error_unit(np.array([-3.0, NAN, -3.0]), 1, power=2) == 9
    assert metrics.error_unit(np.array([NAN, 0.0, 0.0]), 1) == metrics.error_unit(np.array([NAN]), 1) == 0


def test_pairs_with_a_missing_value_do_not_count_in_the_scale():
    history = np.array([1.0, NAN, 2.0, 8.0, 5.0])
    assert metrics.naive_scale(history, 1) == pytest.approx((6 + 3) / 2)
    assert metrics.squared_scale(history, 2) == pytest.approx((1 + 9) / 2)
    assert np.isnan(metrics.naive_scale(np.array([1.0, NAN, 2.0]), 1))


@pytest.mark.parametrize("scale", [metrics.naive_scale, metrics.squared_scale])
def test_rounding_errors_are_not_variation(scale):
    assert scale(np.array([0.1 + 0.2, 0.3, 0.1 + 0.2, 0.3]), 1) == 0


@pytest.mark.parametrize("scale", [0.0, NAN])
def test_scaled_errors_of_a_constant_or_short_history_are_not_numbers(scale):
    units = np.array([scale, 1.0])
    for errors in (metrics.mase(ACTUAL, FORECAST, units), metrics.rmsse(ACTUAL, FORECAST, units)):
        assert np.isnan(errors).tolist() == [True, False]


def test_owa_is_the_mean_of_two_ratios_to_naive2():
    assert metrics.owa(5.0, 1.0, 10.0, 2.0) == 0.5
    assert metrics.owa(10.0, 1.0, 10.0, 2.0) == 0.75
    assert metrics.owa(0.0, 1e-9, 0.0, 0.0) == 1  # both exact


def test_the_pinball_loss_weighs_what_lies_above_a_high_quantile_more():
    quantiles = np.array([[[8.0, 12.0]]])
    # 10 is 2 above the quantile of 0.1, which costs 0.1 a unit, and 2 below that of 0.9, which costs 0.1 as well
    assert metrics.pinball(np.array([[10.0]]), quantiles, np.array([0.1, 0.9])).ravel().tolist() == pytest.approx(
        [0.2, 0.2]
    )
    # 13 is 5 above the one and 1 above the other
    assert metrics.pinball(np.array([[13.0]]), quantiles, np.array([0.1, 0.9])).ravel().tolist() == pytest.approx(
        [0.5, 0.9]
    )


def test_weighted_quantile_loss_by_hand_without_missing_values():
    quantiles, levels = np.array([[[8.0, 12.0], [8.0, 12.0], [0.0, 0.0]]]), np.array([0.1, 0.9])
    actual = np.array([[10.0, 13.0, NAN]])
    # twice the losses above, by level, over 10 + 13, and the mean of the two
    assert metrics.wql(actual, quantiles, levels) == pytest.approx((2 * 0.7 / 23 + 2 * 1.1 / 23) / 2)
    assert np.isnan(metrics.wql(actual[:, 2:], quantiles[:, 2:], levels))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8), st.floats(-100, 100))
def test_the_weighted_loss_of_the_median_alone_is_the_absolute_error_over_the_size(values, forecast):
    actual = np.array([values])
    size = np.abs(actual).sum()
    assume(size >= 1e-6)
    quantiles = np.full((1, len(values), 1), forecast)
    assert metrics.wql(actual, quantiles, np.array([0.5])) == pytest.approx(np.abs(actual - forecast).sum() / size)


def test_coverage_includes_the_bounds_and_skips_missing_values():
    lo, hi = np.full((1, 4), 1.0), np.full((1, 4), 2.0)
    assert metrics.coverage(np.array([[1.0, 2.0, 2.1, NAN]]), lo, hi).tolist() == pytest.approx([2 / 3])


def test_the_scaled_interval_score_is_the_width_plus_forty_times_the_distance_outside():
    lo, hi = np.full((1, 3), 1.0), np.full((1, 3), 3.0)
    # width 2, three times; 0.5 below and 1 above, each over alpha / 2 = 0.025; in units of 4
    score = metrics.msis(np.array([[2.0, 0.5, 4.0]]), lo, hi, 95, np.array([4.0]))
    assert score.tolist() == pytest.approx([(2 + 40 * (0.5 + 1) / 3) / 4])


@pytest.fixture(scope="module")
def m4():
    """By data set: season, training histories, and a table of the forecasts of M4's methods with the actual values."""
    if not (DATA / "m4_reference_forecasts.parquet").exists():
        pytest.skip(f"no M4 data in {DATA.name}: set BENCH_DATA to the folder of the benchmark's data")
    reference = pd.read_parquet(DATA / "m4_reference_forecasts.parquet")
    found = {}
    for name, season in (("m4_hourly", 24), ("m4_weekly", 1)):
        rows = pd.read_parquet(DATA / f"{name}.parquet")
        training = rows[rows.split == "train"].groupby("unique_id", sort=False).y
        histories = {unique_id: y.to_numpy() for unique_id, y in training}
        found[name] = (season, histories, reference[reference.unique_id.isin(histories.keys())])
    return found


def columns_of(m4, dataset, *names):
    season, histories, table = m4[dataset]
    ids = table.unique_id.unique()
    shaped = (table[name].to_numpy().reshape(len(ids), -1) for name in names)
    return season, [histories[unique_id] for unique_id in ids], *shaped


@pytest.mark.parametrize("dataset", ["m4_hourly", "m4_weekly"])
def test_the_definitions_reproduce_the_scores_of_m4s_submissions(m4, dataset):
    expected = pd.read_csv(DATA / "m4_submission_scores_recomputed.csv").query("dataset == @dataset")
    assert len(expected) == 7
    base = None
    for row in expected.itertuples():
        column = f"sub{row.submission}" if row.submission.isdigit() else row.submission
        season, histories, actual, forecast = columns_of(m4, dataset, "y", column)
        scale = np.array([metrics.naive_scale(history, season) for history in histories])
        mean = metrics.smape(actual, forecast).mean(), metrics.mase(actual, forecast, scale).mean()
        base = base or mean  # Naive2 comes first
        assert [*mean, metrics.owa(*mean, *base)] == pytest.approx([row.sMAPE, row.MASE, row.OWA], rel=1e-14, abs=0)


@pytest.mark.parametrize("dataset", ["m4_hourly", "m4_weekly"])
def test_naive2_is_that_of_m4(m4, dataset):
    season, histories, theirs = columns_of(m4, dataset, "Naive2")
    ours = np.stack([naive2(history, theirs.shape[1], season) for history in histories])
    assert ours == pytest.approx(theirs, rel=1e-8)


@given(st.integers(-40, 40), st.integers(0, 9))
def test_scaled_errors_do_not_depend_on_the_unit_of_the_values(power, seed):
    unit, values = 2.0**power, np.random.default_rng(seed).normal(size=40)
    history, actual, forecast = values[:30], values[30:35][None], values[35:][None]
    scales = [np.array([metrics.naive_scale(factor * history, 7)]) for factor in (1.0, unit)]
    assert scales[1] == unit * scales[0]
    assert metrics.mase(unit * actual, unit * forecast, scales[1]) == metrics.mase(actual, forecast, scales[0])
    assert metrics.squared_scale(unit * history, 1) == unit**2 * metrics.squared_scale(history, 1)
    assert metrics.error_unit(unit * history, 50) == unit * metrics.error_unit(history, 50)


@pytest.mark.parametrize("level", [0.0, 1e-15, 1e6, 1e13])
def test_differences_of_values_far_from_0_are_no_rounding(level):
    assert metrics.naive_scale(level + np.array([10.0, 20.0, 30.0, 10.0, 20.0]), 1) == 12.5
