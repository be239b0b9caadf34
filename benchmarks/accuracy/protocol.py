"""What the protocols need of a library, and what they have in common: moments to forecast from, and means over them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from models.data.panel import Panel
from models.evaluation import metrics
from models.evaluation.baselines import seasonal_naive
from models.types import Floats, Ints

SINGLE_ORIGINS, PANEL_ORIGINS = 20, 5
SHARE_TESTED = 0.2  # of the median series, at its end
CHUNK = 1024  # windows at a time


class Answer(NamedTuple):
    """A forecast: ``mean``, and the ends of its interval at 80 %, each (B, H)."""

    mean: Floats
    lo: Floats
    hi: Floats


Predictor = Callable[[Panel, Ints, Ints, int], Answer]
"""(panel, series (B,), at (B,), horizon) -> Answer: what follows the first ``at`` points of each series named."""


class Teach(Protocol):
    """What makes a predictor of a panel."""

    def __call__(self, panel: Panel, fields: Mapping[str, Any], held: int | None = None) -> Predictor:
        """Teach on ``panel`` but for its newest ``held`` points; None: the library keeps some, to make intervals."""


def taught(
    teach: Teach, panel: Panel, fields: Mapping[str, Any], held: int | None = None
) -> tuple[Predictor, dict[str, float]]:
    """The predictor, and what it took: ``seconds``, and ``cpu_seconds``, which a busy machine changes less."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    predictor = teach(panel, fields, held)
    took = {"seconds": time.perf_counter() - began_s, "cpu_seconds": time.process_time() - began_cpu_s}
    return predictor, {name: round(each, 1) for name, each in took.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``origins`` moments a series, ``stride`` steps apart; the last leaves ``horizon`` steps to be forecast."""

    horizon: int
    season: int
    origins: int
    stride: int

    @property
    def held_out(self) -> int:
        """Points at the end of every series that nobody may be taught."""
        return self.horizon + (self.origins - 1) * self.stride

    def __str__(self) -> str:
        return f"horizon {self.horizon}, season {self.season}, {self.origins} origins {self.stride} apart"


def plan_for(panel: Panel, horizon: int, season: int) -> Plan:
    """Five origins, 20 for a single series, as far apart as a fifth of the median series lets them be.

    They are never further apart than the horizon; where a fifth is shorter than the horizon, one step apart.
    """
    origins = SINGLE_ORIGINS if len(panel) == 1 else PANEL_ORIGINS
    room = max(horizon, int(SHARE_TESTED * panel.median_length)) - horizon
    stride = max(1, min(horizon, room // (origins - 1)))
    return Plan(horizon=horizon, season=season, origins=origins, stride=stride)


class Windows(NamedTuple):
    """W forecasts to be made: ``series`` (W,), ``at`` (W,), ``origin`` (W,), what came (W, H), MASE's unit (W,)."""

    series: Ints
    at: Ints
    origin: Ints
    actual: Floats
    unit: Floats


def windows_of(panel: Panel, plan: Plan) -> Windows:
    """The windows of ``plan``, earliest origin first; a series takes part where it has more than a season behind it.

    MASE's unit of a series is the error of seasonal naive in what lies before its first window.
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
    """The ``horizon`` points that came at each moment, (B, H)."""
    return np.asarray(panel.y[(panel.indptr[series] + at)[:, None] + np.arange(horizon)])


def predict(predictor: Predictor, panel: Panel, windows: Windows) -> Answer:
    """The forecasts of all windows, origin after origin, a chunk at a time: what came before may be learned from."""
    horizon, parts = windows.actual.shape[1], []
    for origin in np.unique(windows.origin):
        rows = np.flatnonzero(windows.origin == origin)
        for some in (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)):
            parts.append(predictor(panel, windows.series[some], windows.at[some], horizon))
    return Answer(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def seasonal_naive_of(panel: Panel, windows: Windows, season: int) -> Floats:
    """Seasonal naive's forecasts of all windows, (W, H)."""
    horizon, moments = windows.actual.shape[1], zip(windows.series, windows.at, strict=True)
    return np.concatenate([seasonal_naive(panel.series(int(i))[None, :at], horizon, season) for i, at in moments])


def mean_error(errors: Floats, windows: Windows) -> float:
    """The mean of ``errors`` (W,) over the series of each origin, then over origins; NaN does not count."""
    each = [errors[windows.origin == origin] for origin in np.unique(windows.origin)]
    means = [np.nanmean(some) for some in each if np.isfinite(some).any()]
    return float(np.mean(means)) if means else float("nan")


def mase_of(windows: Windows, mean: Floats) -> Floats:
    """MASE of each window, (W,)."""
    return metrics.mase(windows.actual, mean, windows.unit)


def coverage_of(actual: Floats, answer: Answer) -> float:
    """The share of the observed points that lie in their interval."""
    seen = np.isfinite(actual)
    inside = (answer.lo <= actual) & (actual <= answer.hi)
    return float(inside[seen].mean())
