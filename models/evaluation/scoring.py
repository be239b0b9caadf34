"""Scores of a forecaster on the windows of a backtest: errors by window and by step, and quality of the intervals."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.evaluation import metrics
from models.evaluation.horizon_parts import BEYOND, PARTS, parts_of
from models.evaluation.intervals import Calibration, Interval, Prediction, Rolled, calibrate
from models.evaluation.report import IntervalScore, Score, StepErrors
from models.types import Floats, Ints

REPORTED_LEVELS = (80, 95)
MSIS_LEVEL = 95  # as in M4
QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of the weighted quantile loss
QUANTILE_LEVELS = (20, 40, 60, 80)  # the central intervals between them


@dataclass(frozen=True, slots=True, eq=False)
class Actuals:
    """Observed values after W origins: ``actual`` (W, H), NaN where a value is missing.

    ``scale`` and ``squared_scale`` (W,) are the denominators of MASE and RMSSE.
    """

    actual: Floats
    scale: Floats
    squared_scale: Floats


class PointForecasts(NamedTuple):
    """Forecasts of B windows, (B, H) each: absolute errors are smallest for the median, squared ones for the mean."""

    median: Floats
    mean: Floats

    @classmethod
    def of(cls, prediction: Prediction) -> "PointForecasts":
        """Return the points of ``prediction``, within its bounds."""
        bounded = prediction.bounded()
        return cls(bounded.median, bounded.mean)

    @classmethod
    def same(cls, forecast: Floats) -> "PointForecasts":
        """Return the points of a method that has one number for each step."""
        return cls(forecast, forecast)


class Measure(NamedTuple):
    """Error measure of a report: ``compute`` returns one number for each window, (B,), from a forecast (B, H).

    ``squared``: whether it measures squared errors, and so the mean of a forecast; otherwise it measures the median.
    The score is the mean over windows, or its square root where ``root`` is set.
    """

    compute: Callable[[Actuals, Floats], Floats]
    squared: bool = False
    root: bool = False

    def of(self, actuals: Actuals, points: PointForecasts) -> Floats:
        """Return the measure of each window, (B,)."""
        return self.compute(actuals, points.mean if self.squared else points.median)


# The measures of every report, in its order. A new measure needs a function in ``metrics`` and an entry here.
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "mase": Measure(lambda actuals, forecast: metrics.mase(actuals.actual, forecast, actuals.scale)),
        "smape": Measure(lambda actuals, forecast: metrics.smape(actuals.actual, forecast)),
        "rmse": Measure(lambda actuals, forecast: metrics.mse(actuals.actual, forecast), squared=True, root=True),
        "mse": Measure(lambda actuals, forecast: metrics.mse(actuals.actual, forecast), squared=True),
        "rmsse": Measure(
            lambda actuals, forecast: metrics.rmsse(actuals.actual, forecast, actuals.squared_scale), squared=True
        ),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class WindowErrors:
    """Errors of one forecaster: ``windows`` maps each of ``MEASURES`` to its values on W windows, (W,).

    ``step_mae`` and ``step_mase`` (H,) are means over windows for each step.
    """

    windows: Mapping[str, Floats]
    step_mae: Floats
    step_mase: Floats

    def score(self, rows: NDArray[np.bool_] | slice = slice(None)) -> Score:
        """Return the mean of each measure over the windows ``rows``; None where no window has a value."""
        means = {name: _mean(values[rows]) for name, values in self.windows.items()}
        return {name: mean**0.5 if mean is not None and MEASURES[name].root else mean for name, mean in means.items()}

    def reorder(self, rows: Ints) -> "WindowErrors":
        """Return the errors with the windows in the order ``rows`` (W,)."""
        return replace(self, windows={name: values[rows] for name, values in self.windows.items()})

    def steps(self) -> StepErrors:
        """Return MAE and MASE of each step, means over windows."""
        return {"mae": [_finite(v) for v in self.step_mae], "mase": [_finite(v) for v in self.step_mase]}


def collect_errors(chunks: Iterable[tuple[Actuals, PointForecasts]]) -> WindowErrors:
    """Compute the errors of forecasts (B, H) against the actual values, chunk by chunk."""
    windows: list[list[Floats]] = []
    sums: list[Floats] = []
    for actuals, points in chunks:
        windows.append([measure.of(actuals, points) for measure in MEASURES.values()])
        absolute = np.abs(actuals.actual - points.median)
        scaled = absolute / np.where(actuals.scale > 0, actuals.scale, np.nan)[:, None]
        sums.append(np.stack([part for e in (absolute, scaled) for part in (np.nansum(e, 0), (~np.isnan(e)).sum(0))]))
    total = np.sum(sums, axis=0)
    mae, mase = (
        np.divide(total[i], total[i + 1], out=np.full(len(total[i]), np.nan), where=total[i + 1] > 0) for i in (0, 2)
    )
    columns = zip(MEASURES, zip(*windows, strict=True), strict=True)
    return WindowErrors({name: np.concatenate(values) for name, values in columns}, mae, mase)


def skill(model: Score, baseline: Score) -> float | None:
    """Return 1 - MASE of the model / MASE of the baseline, as ``metrics.relative_error``; None if one is undefined."""
    own, other = model["mase"], baseline["mase"]
    return None if own is None or other is None else 1.0 - metrics.relative_error(own, other)


def owa(model: Score, naive2: Score) -> float | None:
    """Return the overall weighted average relative to Naive2; None where it is undefined."""
    values = (model["smape"], model["mase"], naive2["smape"], naive2["mase"])
    return _finite(metrics.owa(*values)) if None not in values else None  # type: ignore[arg-type]


def interval_score(
    prediction: Prediction, actuals: Actuals, origin: Ints, rolled: Rolled | None = None
) -> IntervalScore:
    """Score the intervals of the later half of the origins, calibrated on the earlier half: coverage, WQL and MSIS.

    If the stride is shorter than the horizon, the last windows of the earlier half overlap the first of the later.
    Windows with a spread of 0 do not count. A measure is None where there are too few residuals for its levels.
    ``rolled``: forecasts beyond the horizon, halved in the same way by their own origins.
    """
    late = origin > origin.max() // 2
    early_rolled = late_rolled = None
    if rolled is not None:
        is_late = rolled.origin > rolled.origin.max() // 2
        early_rolled = rolled.rows(~is_late)
        late_rolled = rolled.rows(is_late & (rolled.prediction.spread[:, 0] > 0))
    calibration = calibrate(prediction.rows(~late), actuals.actual[~late], early_rolled)
    rows = late & (prediction.spread[:, 0] > 0)
    measured, actual, scale = prediction.rows(rows), actuals.actual[rows], actuals.scale[rows]
    highest = calibration.highest_level if rows.any() else 0
    levels = [level for level in (*QUANTILE_LEVELS, *REPORTED_LEVELS) if level <= highest]
    bounds = calibration.intervals(measured, levels)
    covered = {level: _mean(metrics.coverage(actual, *bounds[level])) for level in REPORTED_LEVELS if level <= highest}
    wql = None
    if highest >= max(QUANTILE_LEVELS):
        # The other quantiles are bounds of central intervals.
        below = [bounds[level].lo for level in reversed(QUANTILE_LEVELS)]
        above = [bounds[level].hi for level in QUANTILE_LEVELS]
        quantiles = np.stack([*below, measured.bounded().median, *above], axis=2)
        wql = _finite(metrics.wql(actual, quantiles, np.array(QUANTILES)))
    msis = metrics.msis(actual, *bounds[MSIS_LEVEL], MSIS_LEVEL, scale) if highest >= MSIS_LEVEL else None
    horizon = actual.shape[1]
    thirds = [np.flatnonzero(parts_of(horizon, horizon) == part) for part in range(BEYOND)]
    parts = {
        name: {str(level): _share_covered(actual[:, steps], bounds.get(level), steps) for level in REPORTED_LEVELS}
        for name, steps in zip(PARTS[:BEYOND], thirds, strict=True)
    }
    return {
        "coverage": {str(level): covered.get(level) for level in REPORTED_LEVELS},
        "coverage_by_steps": {**parts, "beyond": _coverage_beyond(calibration, late_rolled, actual.shape[1])},
        "wql": wql,
        "msis": None if msis is None else _mean(msis),
    }


def _coverage_beyond(calibration: Calibration, rolled: Rolled | None, trained: int) -> dict[str, float | None]:
    """Return the coverage of steps beyond the ``trained`` ones; None without forecasts so far or residuals."""
    levels = [level for level in REPORTED_LEVELS if level <= calibration.highest_level]
    if rolled is None or len(rolled.actual) == 0:
        return {str(level): None for level in REPORTED_LEVELS}
    bounds = calibration.intervals(rolled.prediction, levels)
    steps = np.arange(trained, rolled.actual.shape[1])
    return {str(level): _share_covered(rolled.actual[:, steps], bounds.get(level), steps) for level in REPORTED_LEVELS}


def _share_covered(actual: Floats, interval: Interval | None, steps: Ints) -> float | None:
    """Return the share of observed values of ``steps`` (h,) inside ``interval`` (B, H); None if there is none."""
    if interval is None:
        return None
    return _mean(metrics.coverage(actual, interval.lo[:, steps], interval.hi[:, steps]))


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return _finite(known.mean()) if len(known) else None


def _finite(value: float) -> float | None:
    """Return ``value``, or None for NaN and infinity, which JSON does not have."""
    return float(value) if np.isfinite(value) else None
