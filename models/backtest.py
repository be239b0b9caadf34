"""Rolling-origin backtest: forecast from several moments of the past, compare with what came.

Origins are counted from the end of each series: the last one leaves ``horizon`` points to be forecast, each earlier one
lies ``stride`` points before. What a model may be fitted to ends before the first origin.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import metrics
from models.baselines import naive, seasonal_naive
from models.calendar import Ints
from models.engines import Engine
from models.errors import Fault, InputError
from models.forecaster import predict
from models.intervals import Calibration, calibrate, coverage
from models.panel import Floats, Panel
from models.spec import Spec

Score = dict[str, float | None]

MOST_ORIGINS = 30
MOST_WINDOWS = 200  # beyond this, more origins than MOST_ORIGINS tell little more
WANTED_RESIDUALS = 19
SHARE_HELD_OUT = 0.2
REPORTED_LEVELS = (80, 95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``origins`` moments, ``stride`` points apart, from each of which ``horizon`` steps are forecast."""

    horizon: int
    origins: int
    stride: int

    @property
    def held_out(self) -> int:
        """Points at the end of each series that no model may be fitted to."""
        return self.horizon + (self.origins - 1) * self.stride


def plan_for(panel: Panel, horizon: int, season: int) -> Plan:
    """A plan that holds out a fifth of the median series, at least twice the horizon.

    Up to a third is held out where that gives the ``WANTED_RESIDUALS`` that an interval of 95 % needs. There are at
    most 30 origins, more where the series are few. The stride shares no factor with the season, so that origins fall
    on every phase of it.
    """
    length = panel.median_length
    wanted = min(horizon + WANTED_RESIDUALS - 1, length // 3)
    room = max(2 * horizon, int(SHARE_HELD_OUT * length), wanted) - horizon
    most = max(MOST_ORIGINS, MOST_WINDOWS // max(1, len(panel)))
    stride = max(1, room // (most - 1))
    while math.gcd(stride, season) > 1:
        stride -= 1
    return Plan(horizon=horizon, origins=min(most, room // stride + 1), stride=stride)


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """The W windows of a plan, by origin (earliest first), then series.

    ``past`` (W, any), ``actual`` (W, H), ``scale`` (W,): MASE's unit; ``origin`` (W,): number of the origin from 0.
    """

    past: Floats
    actual: Floats
    scale: Floats
    origin: Ints
    left_out: int  # series too short to take part


def origins_of(panel: Panel, plan: Plan, width: int, season: int) -> Origins:
    """The windows of ``plan`` with a past of ``width`` points; shorter series are left out.

    Raises:
        InputError: ``too_short`` where that leaves none.
    """
    rows = np.flatnonzero(panel.lengths >= width + plan.held_out).tolist()
    if not rows:
        message = f"the longest series has {panel.lengths.max(initial=0)} points"
        hint = (
            f"a past of {width} and a backtest of {plan.held_out} points need {width + plan.held_out}; "
            "ask for a shorter context or horizon, or send longer series"
        )
        raise InputError([Fault(code="too_short", field="context", message=message, hint=hint)])
    past, actual = [], []
    for back in range(plan.origins - 1, -1, -1):
        for y in map(panel.series, rows):
            at = len(y) - plan.horizon - back * plan.stride
            past.append(y[at - width : at])
            actual.append(y[at : at + plan.horizon])
    scales = [metrics.naive_scale(y[: -plan.held_out], season) for y in map(panel.series, rows)]
    origin = np.repeat(np.arange(plan.origins), len(rows))
    scale = np.tile(scales, plan.origins)
    return Origins(np.stack(past), np.stack(actual), scale, origin, len(panel) - len(rows))


def score(origins: Origins, forecast: Floats) -> Score:
    """MASE, sMAPE, RMSE and MSE of ``forecast`` (W, H), the mean over windows; MASE is None if no series varies."""
    mase = metrics.mase(origins.actual, forecast, origins.scale)
    squared = float(metrics.mse(origins.actual, forecast).mean())
    return {
        "mase": float(np.nanmean(mase)) if np.isfinite(mase).any() else None,
        "smape": float(metrics.smape(origins.actual, forecast).mean()),
        "rmse": math.sqrt(squared),
        "mse": squared,
    }


def skill(model: Score, baseline: Score) -> float | None:
    """1 - MASE of the model / MASE of the baseline; None where that cannot be said."""
    own, other = model["mase"], baseline["mase"]
    return 1.0 - own / other if own is not None and other else None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a backtest found: ``report`` (JSON values, see ``evaluate``) and the calibration of the intervals."""

    report: dict[str, Any]
    calibration: Calibration

    @property
    def skill(self) -> float | None:
        """1 - MASE / MASE of seasonal naive."""
        value: float | None = self.report["skill"]
        return value


def evaluate(spec: Spec, engine: Engine, origins: Origins) -> Evaluation:
    """Score a network beside seasonal naive and naive on the same windows, and calibrate its intervals there.

    The coverage reported is that of the later half of the origins, with intervals calibrated on the earlier half (where
    the stride is shorter than the horizon, the last windows of one overlap the first of the other). The calibration
    returned uses them all.
    """
    horizon = origins.actual.shape[1]
    mean, spread = predict(spec, engine, origins.past, horizon)
    residuals = (origins.actual - mean) / np.where(spread == 0, np.nan, spread)
    scores = {
        "model": score(origins, mean),
        "seasonal_naive": score(origins, seasonal_naive(origins.past, horizon, spec.season)),
        "naive": score(origins, naive(origins.past, horizon)),
    }
    report = {
        "horizon": horizon,
        "season": spec.season,
        "origins": int(origins.origin.max()) + 1,
        "windows": len(origins.origin),
        "series_left_out": origins.left_out,
        "scores": scores,
        "skill": skill(scores["model"], scores["seasonal_naive"]),
        "coverage": _coverage(residuals, origins.origin),
    }
    return Evaluation(report, calibrate(residuals))


def _coverage(residuals: Floats, origin: Ints) -> dict[str, float | None]:
    late = origin > origin.max() // 2
    early = calibrate(residuals[~late])
    measured = residuals[late & np.isfinite(residuals).all(axis=1)]
    return {str(level): coverage(measured, early, level) for level in REPORTED_LEVELS}
