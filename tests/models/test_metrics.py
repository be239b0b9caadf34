"""Measures and baselines, worked by hand."""

import numpy as np
import pytest

from models import metrics
from models.baselines import naive, seasonal_naive

ACTUAL, FORECAST = np.array([[1.0, 2.0, 3.0], [10.0, 10.0, 10.0]]), np.array([[1.0, 4.0, 6.0], [10.0, 10.0, 10.0]])


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


def test_the_unit_of_mase_is_the_error_of_seasonal_naive_in_the_history():
    history = np.array([1.0, 5.0, 2.0, 8.0])
    assert metrics.naive_scale(history, 1) == pytest.approx((4 + 3 + 6) / 3)
    assert metrics.naive_scale(history, 2) == pytest.approx((1 + 3) / 2)
    assert np.isnan(metrics.naive_scale(history, 4))
    assert metrics.mase(ACTUAL, FORECAST, np.array([2.0, 2.0])).tolist() == pytest.approx([5 / 6, 0])


@pytest.mark.parametrize("scale", [0.0, np.nan])
def test_mase_of_a_constant_or_short_history_is_not_a_number(scale):
    assert np.isnan(metrics.mase(ACTUAL, FORECAST, np.array([scale, 1.0]))).tolist() == [True, False]


def test_naive_repeats_the_last_value():
    assert naive(np.array([[1.0, 2.0], [3.0, 4.0]]), 3).tolist() == [[2, 2, 2], [4, 4, 4]]


@pytest.mark.parametrize(
    ("season", "expected"),
    [(1, [4, 4, 4, 4, 4]), (2, [3, 4, 3, 4, 3]), (4, [1, 2, 3, 4, 1]), (5, [4, 4, 4, 4, 4])],
)
def test_seasonal_naive_repeats_the_last_season_and_is_naive_without_one(season, expected):
    assert seasonal_naive(np.array([[1.0, 2.0, 3.0, 4.0]]), 5, season).tolist() == [expected]
