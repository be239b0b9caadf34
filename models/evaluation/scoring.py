"""What a backtest says of a forecaster: its errors over windows and by step, and how honest its intervals are."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation import metrics
from models.evaluation.intervals import Calibration, Prediction, calibrate
from models.evaluation.report import IntervalScore, Score, StepErrors
from models.types import Floats, Ints

REPORTED_LEVELS = (80, 95)
MSIS_LEVEL = 95  # as in M4
QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of the weighted quantile loss
QUANTILE_LEVELS = (20, 40, 60, 80)  # the central intervals between them


@dataclass(frozen=True, slots=True, eq=False)
class Actuals:
    """What came after W moments: ``actual`` (W, H), NaN = never observed; ``scale`` and ``squared`` (W,), MASE's and
    RMSSE's units.
    """

    actual: Floats
    scale: Floats
    squared: Floats


@dataclass(frozen=True, slots=True, eq=False)
class WindowErrors:
    """The errors of one forecaster on W windows: MASE, sMAPE, MSE and RMSSE of each, (4, W), and by step, (H,)."""

    windows: Floats
    step_mae: Floats
    step_mase: Floats

    def score(self, rows: NDArray[np.bool_] | slice = slice(None)) -> Score:
        """MASE, sMAPE, RMSE, MSE and RMSSE, the mean over windows; None where it cannot be said."""
        mase, smape, mse, rmsse = (_mean(values) for values in self.windows[:, rows])
        rmse = None if mse is None else mse**0.5
        return {"mase": mase, "smape": smape, "rmse": rmse, "mse": mse, "rmsse": rmsse}

    def steps(self) -> StepErrors:
        """MAE and MASE of each step, the mean over windows."""
        return {"mae": [_finite(v) for v in self.step_mae], "mase": [_finite(v) for v in self.step_mase]}


def collect_errors(chunks: Iterable[tuple[Actuals, Floats]]) -> WindowErrors:
    """The errors of forecasts (B, H) that come chunk by chunk, each beside what came."""
    rows: list[Floats] = []
    sums: list[Floats] = []
    for truth, forecast in chunks:
        actual = truth.actual
        measures = [
            metrics.mase(actual, forecast, truth.scale),
            metrics.smape(actual, forecast),
            metrics.mse(actual, forecast),
            metrics.rmsse(actual, forecast, truth.squared),
        ]
        rows.append(np.stack(measures))
        absolute = np.abs(actual - forecast)
        scaled = absolute / np.where(truth.scale > 0, truth.scale, np.nan)[:, None]
        sums.append(np.stack([part for e in (absolute, scaled) for part in (np.nansum(e, 0), (~np.isnan(e)).sum(0))]))
    total = np.sum(sums, axis=0)
    mae, mase = (_divided(total[i], total[i + 1]) for i in (0, 2))
    return WindowErrors(np.concatenate(rows, axis=1), mae, mase)


def skill(model: Score, baseline: Score) -> float | None:
    """1 - MASE of the model / MASE of the baseline; None where that cannot be said."""
    own, other = model["mase"], baseline["mase"]
    return 1.0 - own / other if own is not None and other else None


def owa(model: Score, naive2: Score) -> float | None:
    """Overall weighted average relative to Naive2; None where that cannot be said."""
    values = (model["smape"], model["mase"], naive2["smape"], naive2["mase"])
    return _finite(metrics.owa(*values)) if None not in values else None  # type: ignore[arg-type]


def interval_score(prediction: Prediction, truth: Actuals, origin: Ints) -> IntervalScore:
    """Coverage, WQL and MSIS on the later half of the origins, of intervals calibrated on the earlier half.

    Where the stride is shorter than the horizon, the last windows of one half overlap the first of the other. None for
    what so few residuals cannot vouch for; windows without a spread do not count.
    """
    late = origin > origin.max() // 2
    known = prediction.spread[:, 0] > 0
    early = calibrate(prediction.rows(~late), truth.actual[~late])
    rows = late & known
    measured, actual, scale = prediction.rows(rows), truth.actual[rows], truth.scale[rows]
    most = early.highest_level if rows.any() else 0
    made = early.intervals(measured, [level for level in (*QUANTILE_LEVELS, *REPORTED_LEVELS) if level <= most])
    covered = {level: _mean(metrics.coverage(actual, *made[level])) for level in REPORTED_LEVELS if level <= most}
    msis = metrics.msis(actual, *made[MSIS_LEVEL], MSIS_LEVEL, scale) if most >= MSIS_LEVEL else np.array([np.nan])
    return {
        "coverage": {str(level): covered.get(level) for level in REPORTED_LEVELS},
        "wql": _wql(early, measured, actual) if most >= max(QUANTILE_LEVELS) else None,
        "msis": _mean(msis),
    }


def _wql(calibration: Calibration, prediction: Prediction, actual: Floats) -> float | None:
    made = calibration.intervals(prediction, QUANTILE_LEVELS)
    below = [made[level].lo for level in reversed(QUANTILE_LEVELS)]
    above = [made[level].hi for level in QUANTILE_LEVELS]
    quantiles = np.stack([*below, prediction.mean, *above], axis=2)
    return _finite(metrics.wql(actual, quantiles, np.array(QUANTILES)))


def _divided(total: Floats, count: Floats) -> Floats:
    return np.asarray(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return _finite(known.mean()) if len(known) else None


def _finite(value: float) -> float | None:
    """``value`` for JSON, which knows neither NaN nor infinity."""
    return float(value) if np.isfinite(value) else None
