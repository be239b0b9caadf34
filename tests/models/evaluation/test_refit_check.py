"""The comparison of a forecaster with itself before its refit."""

import numpy as np
import pytest

from models.data.panel import Panel
from models.evaluation.backtest import Predict
from models.evaluation.intervals import Prediction
from models.evaluation.origins import BacktestPlan, Origins, origins_of, span_of
from models.evaluation.refit_check import RefitErrors, check_refit
from models.types import Ints
from tests.models.samples import panel_of

# Values 0, 1, 0, 1, …: the error of naive is 1, so that MASE is the mean absolute error.
PANEL = panel_of([float(i % 2) for i in range(40)])
ORIGINS = origins_of(PANEL, BacktestPlan(horizon=2, origins=10, stride=1), 1)
ROWS = np.arange(len(ORIGINS))


def says(value: float) -> Predict:
    """Return a forecaster of one value for all steps."""

    def predict(panel: Panel, series: Ints, at: Ints, horizon: int) -> Prediction:
        made = np.full((len(at), horizon), value)
        return Prediction(made, made, np.ones((len(at), 1)))

    return predict


def test_a_refit_that_keeps_the_error_and_the_forecasts_is_kept() -> None:
    found = check_refit(says(0.5), says(0.5), [("newest", ORIGINS, ROWS)])
    assert found.kept
    assert found.sets == (RefitErrors(on="newest", windows=10, before=0.5, after=0.5, distance=0.0),)


@pytest.mark.parametrize(("value", "kept"), [(1.02, True), (1.06, False)])
def test_an_error_may_grow_by_a_twentieth(value: float, kept: bool) -> None:
    # Above 1 the error of a constant is the constant minus a half.
    assert check_refit(says(1.5), says(value + 0.5), [("newest", ORIGINS, ROWS)]).kept is kept


def test_forecasts_that_have_moved_by_more_than_their_error_are_not_kept() -> None:
    # 0 and 1 have the same mean error of a half, and are twice that apart.
    [moved] = check_refit(says(0.0), says(1.0), [("former", ORIGINS, ROWS)]).sets
    assert (moved.before, moved.after, moved.distance, moved.is_bounded) == (0.5, 0.5, 1.0, False)


def test_one_set_beyond_the_bounds_is_enough() -> None:
    def forgets(panel: Panel, series: Ints, at: Ints, horizon: int) -> Prediction:
        made = np.repeat(np.where(at < 35, 3.0, 0.5)[:, None], horizon, axis=1)
        return Prediction(made, made, np.ones((len(at), 1)))

    late, early = np.flatnonzero(ORIGINS.at >= 35), np.flatnonzero(ORIGINS.at < 35)
    assert check_refit(says(0.5), forgets, [("newest", ORIGINS, late)]).kept
    found = check_refit(says(0.5), forgets, [("newest", ORIGINS, late), ("former", ORIGINS, early)])
    assert not found.kept
    assert [each.is_bounded for each in found.sets] == [True, False]


def test_a_refit_without_finite_forecasts_is_not_kept() -> None:
    assert not check_refit(says(0.5), says(np.nan), [("newest", ORIGINS, ROWS)]).kept


def test_errors_on_constant_series_are_in_units_of_their_size() -> None:
    flat = origins_of(panel_of([5.0] * 40), BacktestPlan(horizon=2, origins=10, stride=1), 1)
    [found] = check_refit(says(4.0), says(3.0), [("newest", flat, np.arange(len(flat)))]).sets
    assert (found.before, found.after, found.distance) == pytest.approx((0.2, 0.4, 0.2))


def test_windows_without_values_to_compare_say_nothing() -> None:
    assert check_refit(says(0.5), says(9.0), [("former", ORIGINS, ROWS[:0])]).kept


def test_the_span_of_windows_is_from_their_first_to_their_last_forecast_value() -> None:
    def span(origins: Origins, rows: Ints) -> tuple[str, str, int, int]:
        found = span_of(origins, rows)
        return found.first, found.last, found.origins, found.windows

    assert span(ORIGINS, ROWS) == ("2024-01-30T00:00:00", "2024-02-09T00:00:00", 10, 10)
    assert span(ORIGINS, ROWS[:1]) == ("2024-01-30T00:00:00", "2024-01-31T00:00:00", 1, 1)
