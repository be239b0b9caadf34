"""Scores of windows, steps and intervals, computed by hand."""

import numpy as np
import pytest

from models.evaluation.intervals import Prediction
from models.evaluation.scoring import Actuals, PointForecasts, collect_errors, interval_score, owa, skill

NAN = np.nan


def actuals_of(actual, scale=1.0, squared_scale=1.0):
    actual = np.asarray(actual, dtype=float)
    units = np.ones(len(actual))
    return Actuals(actual, scale * units, squared_scale * units)


def flat(windows, steps, value=0.0, spread=1.0):
    return Prediction.of_points(np.full((windows, steps), value), np.full((windows, 1), spread))


def test_scores_by_hand():
    found = collect_errors(
        [(actuals_of([[4, 2]] * 3, scale=2, squared_scale=4), PointForecasts.same(np.full((3, 2), 5.0)))]
    )
    assert found.score() == {
        "mase": pytest.approx(1),  # errors 1 and 3, and naive errs by 2
        "smape": pytest.approx((200 / 9 + 600 / 7) / 2),
        "rmse": pytest.approx(5**0.5),
        "mse": pytest.approx(5),
        "rmsse": pytest.approx((5 / 4) ** 0.5),
    }
    assert found.steps() == {"mae": [1, 3], "mase": [0.5, 1.5]}


def test_absolute_errors_are_those_of_the_median_and_squared_errors_those_of_the_mean():
    points = PointForecasts(np.array([[4.0]]), np.array([[6.0]]))
    found = collect_errors([(actuals_of([[5.0]], scale=2, squared_scale=4), points)])
    assert found.score() == {"mase": 0.5, "smape": pytest.approx(200 / 9), "rmse": 1, "mse": 1, "rmsse": 0.5}
    further = collect_errors([(actuals_of([[5.0]]), PointForecasts(np.array([[4.0]]), np.array([[8.0]])))])
    assert (further.score()["mse"], further.steps()["mae"]) == (9, [1])


def test_errors_of_chunks_equal_those_of_the_whole():
    rng = np.random.default_rng(0)
    actual, forecast, scale = rng.normal(size=(7, 3)), rng.normal(size=(7, 3)), rng.uniform(1, 2, 7)
    actual[2], actual[3, 1] = NAN, NAN
    whole = collect_errors([(Actuals(actual, scale, scale), PointForecasts.same(forecast))])
    parts = collect_errors(
        [
            (Actuals(actual[i], scale[i], scale[i]), PointForecasts.same(forecast[i]))
            for i in np.array_split(np.arange(7), 3)
        ]
    )
    assert parts.score() == whole.score()
    assert parts.steps()["mase"] == pytest.approx(whole.steps()["mase"])


def test_constant_series_and_missing_values_do_not_count():
    both = Actuals(np.array([[1.0, 2.0], [1.0, NAN]]), np.array([0.0, 2.0]), np.array([0.0, 4.0]))
    found = collect_errors([(both, PointForecasts.same(np.array([[9.0, 9.0], [4.0, 9.0]])))])
    assert found.score()["mase"] == pytest.approx(1.5)  # of the second alone: 3 over 2
    assert found.steps() == {"mae": [(8 + 3) / 2, 7], "mase": [1.5, None]}
    assert (
        collect_errors([(actuals_of([[1.0]], scale=0), PointForecasts.same(np.zeros((1, 1))))]).score()["mase"] is None
    )


def test_a_score_can_be_limited_to_some_windows():
    found = collect_errors([(actuals_of([[1], [3]]), PointForecasts.same(np.zeros((2, 1))))])
    assert found.score(np.array([False, True]))["mase"] == 3


@pytest.mark.parametrize(
    ("model", "baseline", "expected"),
    [(1.0, 2.0, 0.5), (3.0, 2.0, -0.5), (None, 2.0, None), (1.0, None, None), (0.0, 2.0, 1.0)],
)
def test_skill_is_the_relative_reduction_of_the_error(model, baseline, expected):
    assert skill({"mase": model}, {"mase": baseline}) == expected


def test_owa_needs_four_numbers():
    naive2 = {"smape": 10.0, "mase": 2.0}
    assert owa({"smape": 5.0, "mase": 2.0}, naive2) == 0.75
    assert owa({"smape": 5.0, "mase": None}, naive2) is None
    assert owa({"smape": 5.0, "mase": 0.0}, {"smape": 10.0, "mase": 0.0}) == 0.75


def test_intervals_are_scored_on_the_later_half_and_calibrated_on_the_earlier():
    # nine early errors of 1, nine later: six of 1, three of 3
    actual = np.array([1.0] * 9 + [1.0] * 6 + [-3.0] * 3)[:, None]
    found = interval_score(flat(18, 1), actuals_of(actual, scale=2), np.repeat([0, 1], 9))
    assert found["coverage"] == {"80": pytest.approx(6 / 9), "95": None}
    assert found["msis"] is None
    # all quantiles but the median are -1 or 1, the median 0; at 1 only those below cost anything, and the median
    inside = 2 * sum(q for q in (0.1, 0.2, 0.3, 0.4)) + 0.5
    outside = sum((1 - q) * 2 for q in (0.1, 0.2, 0.3, 0.4)) + 0.5 * 3 + sum((1 - q) * 4 for q in (0.6, 0.7, 0.8, 0.9))
    assert found["wql"] == pytest.approx(2 * (6 * inside + 3 * outside) / 15 / 9)


def test_the_interval_score_of_m4_needs_nineteen_residuals():
    actual = np.ones((38, 1))
    found = interval_score(flat(38, 1), actuals_of(actual, scale=4), np.repeat([0, 1], 19))
    assert found["msis"] == pytest.approx(2 / 4)  # a width of 2, nothing outside, in MASE's unit
    assert found["coverage"] == {"80": 1.0, "95": 1.0}


def test_undefined_interval_scores_are_none():
    none = {"80": None, "95": None}
    parts = dict.fromkeys(("first", "middle", "last", "beyond"), none)
    nothing = {"coverage": none, "coverage_by_steps": parts, "wql": None, "msis": None}
    actual = np.ones((30, 2))
    assert interval_score(flat(30, 2), actuals_of(actual), np.zeros(30, dtype=int)) == nothing  # one origin
    assert interval_score(flat(30, 2, spread=0.0), actuals_of(actual), np.arange(30)) == nothing
    assert interval_score(flat(30, 2), actuals_of(actual * NAN), np.arange(30)) == nothing
