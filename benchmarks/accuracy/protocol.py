"""Interface between the protocols and a library, and their common parts: windows, means over windows, coverage."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypedDict

import numpy as np

from models.data.panel import Panel
from models.evaluation import metrics
from models.evaluation.baselines import seasonal_naive
from models.evaluation.horizon_parts import PARTS, parts_of
from models.network.fields import FieldValues
from models.types import Floats, Ints

SINGLE_ORIGINS, PANEL_ORIGINS = 20, 5
SHARE_TESTED = 0.2  # of the median series, at its end
CHUNK = 1024  # windows at a time


class Answer(NamedTuple):
    """Forecast with ``median`` and the bounds of its interval at 80 %, each (B, H)."""

    median: Floats
    lo: Floats
    hi: Floats

    def steps(self, numbers: Ints) -> "Answer":
        """Return the forecast of the steps ``numbers``."""
        return Answer(*(side[:, numbers] for side in self))


Predictor = Callable[[Panel, Ints, Ints, int], Answer]
"""(panel, series (B,), at (B,), horizon) -> Answer: what follows the first ``at`` points of each series named."""


class Teach(Protocol):
    """Function that trains a predictor on a panel."""

    def __call__(self, panel: Panel, fields: FieldValues, held: int | None = None) -> Predictor:
        """Train on ``panel`` without its newest ``held`` points; with None the library reserves points for its
        intervals.
        """


def taught(
    teach: Teach, panel: Panel, fields: FieldValues, held: int | None = None
) -> tuple[Predictor, dict[str, float]]:
    """Train a predictor; return it with ``seconds`` and ``cpu_seconds``, the latter less affected by other
    processes.
    """
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    predictor = teach(panel, fields, held)
    took = {"seconds": time.perf_counter() - began_s, "cpu_seconds": time.process_time() - began_cpu_s}
    return predictor, {name: round(each, 1) for name, each in took.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Backtest plan: ``origins`` per series, ``stride`` steps apart; ``horizon`` steps follow the last origin."""

    horizon: int
    season: int
    origins: int
    stride: int

    @property
    def held_out(self) -> int:
        """Return the number of points at the end of every series that are excluded from training."""
        return self.horizon + (self.origins - 1) * self.stride

    def __str__(self) -> str:
        return f"horizon {self.horizon}, season {self.season}, {self.origins} origins {self.stride} apart"


def plan_for(panel: Panel, horizon: int, season: int) -> Plan:
    """Return five origins (20 for a single series) within the last fifth of the median series.

    The stride is at most the horizon, and one step if a fifth of the series is shorter than the horizon.
    """
    origins = SINGLE_ORIGINS if len(panel) == 1 else PANEL_ORIGINS
    room = max(horizon, int(SHARE_TESTED * panel.median_length)) - horizon
    stride = max(1, min(horizon, room // (origins - 1)))
    return Plan(horizon=horizon, season=season, origins=origins, stride=stride)


class Windows(NamedTuple):
    """W windows: ``series`` (W,), ``at`` (W,), ``origin`` (W,), actual values (W, H), scale of MASE (W,)."""

    series: Ints
    at: Ints
    origin: Ints
    actual: Floats
    unit: Floats


def windows_of(panel: Panel, plan: Plan) -> Windows:
    """Return the windows of ``plan``, earliest origin first.

    A series needs more than a season of history. Its scale of MASE is the error of seasonal naive before its first
    window.
    """
    back = plan.horizon + plan.stride * np.arange(plan.origins - 1, -1, -1)
    at = panel.lengths[None, :] - back[:, None]
    origin, series = np.nonzero(at > plan.season)
    moments = at[origin, series]
    first = {int(i): int(moments[series == i].min()) for i in np.unique(series)}
    units = {i: metrics.naive_scale(panel.series(i)[:before], plan.season) for i, before in first.items()}
    unit = np.array([units[int(i)] for i in series])
    return Windows(series, moments, origin, actual_of(panel, series, moments, plan.horizon), unit)


def actual_of(panel: Panel, series: Ints, at: Ints, horizon: int) -> Floats:
    """Return the ``horizon`` actual values after each origin, (B, H)."""
    return np.asarray(panel.y[(panel.indptr[series] + at)[:, None] + np.arange(horizon)])


def predict(predictor: Predictor, panel: Panel, windows: Windows) -> Answer:
    """Return the forecasts of all windows in chunks, in order of the origins, so that a predictor can learn from
    earlier windows.
    """
    horizon, parts = windows.actual.shape[1], []
    for origin in np.unique(windows.origin):
        rows = np.flatnonzero(windows.origin == origin)
        for some in (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)):
            parts.append(predictor(panel, windows.series[some], windows.at[some], horizon))
    return Answer(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def seasonal_naive_of(panel: Panel, windows: Windows, season: int) -> Floats:
    """Return the forecasts of seasonal naive for all windows, (W, H)."""
    horizon, moments = windows.actual.shape[1], zip(windows.series, windows.at, strict=True)
    return np.concatenate([seasonal_naive(panel.series(int(i))[None, :at], horizon, season) for i, at in moments])


def mean_error(errors: Floats, windows: Windows) -> float:
    """Return the mean of ``errors`` (W,) over the series of each origin, then over origins; NaN is ignored."""
    each = [errors[windows.origin == origin] for origin in np.unique(windows.origin)]
    means = [np.nanmean(some) for some in each if np.isfinite(some).any()]
    return float(np.mean(means)) if means else float("nan")


def mase_of(windows: Windows, mean: Floats) -> Floats:
    """Return the MASE of each window, (W,)."""
    return metrics.mase(windows.actual, mean, windows.unit)


class PartCoverage(TypedDict):
    """Coverage of a part of the horizon: the ``share`` of observed points inside, and on how many ``windows``.

    ``noise``: standard error of the share, were the windows independent; None for a single one.
    """

    share: float
    windows: int
    noise: float | None


def coverage_by_steps(actual: Floats, answer: Answer, horizon: int) -> dict[str, PartCoverage | None]:
    """Return the coverage of the first, middle and last third of the ``horizon`` and of the steps beyond it.

    None where a part has no observed value.
    """
    parts = parts_of(horizon, actual.shape[1])
    found = {name: np.flatnonzero(parts == number) for number, name in enumerate(PARTS)}
    return {name: _part_coverage(actual[:, steps], answer.steps(steps)) for name, steps in found.items()}


def _part_coverage(actual: Floats, answer: Answer) -> PartCoverage | None:
    rows = np.isfinite(actual).any(axis=1)
    windows = int(rows.sum())
    if not windows:
        return None
    each = [coverage_of(actual[i], Answer(*(side[i] for side in answer))) for i in np.flatnonzero(rows)]
    noise = float(np.std(each, ddof=1) / np.sqrt(windows)) if windows > 1 else None
    return {"share": coverage_of(actual, answer), "windows": windows, "noise": noise}


def coverage_of(actual: Floats, answer: Answer) -> float:
    """Return the share of observed points inside their interval."""
    seen = np.isfinite(actual)
    inside = (answer.lo <= actual) & (actual <= answer.hi)
    return float(inside[seen].mean())
