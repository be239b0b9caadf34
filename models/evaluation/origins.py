"""Origins: the moments of a backtest, as they would be in serving.

They are counted from the last value of each series: the last one leaves ``horizon`` points to be forecast, each earlier
one lies ``stride`` points before. What a model may be fitted to ends before the first origin. A moment is a series and
the number of its points that are known.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.data.panel import Panel
from models.data.windows import take
from models.errors import Fault, InputError
from models.evaluation import metrics
from models.evaluation.scoring import Actuals
from models.types import Floats, Ints

MAX_ORIGINS = 30
MIN_ORIGINS = 5
MAX_WINDOWS = 200  # beyond this, more origins than MAX_ORIGINS tell little more
MAX_TOTAL_WINDOWS = 20_000  # windows: beyond this, fewer origins than MAX_ORIGINS tell enough
WANTED_RESIDUALS = 19
SHARE_HELD_OUT = 0.2
MAX_HISTORY_VALUES = 2**18  # values of history read at a time, 2 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestPlan:
    """``origins`` moments, ``stride`` points apart, from each of which ``horizon`` steps are forecast."""

    horizon: int
    origins: int
    stride: int

    @property
    def held_out(self) -> int:
        """Points at the end of each series that no model may be fitted to."""
        return self.horizon + (self.origins - 1) * self.stride


def plan_for(panel: Panel, horizon: int, season: int) -> BacktestPlan:
    """A plan that holds out a fifth of the median series, at least twice the horizon.

    Up to a third is held out where that gives the ``WANTED_RESIDUALS`` that an interval of 95 % needs. There are at
    most 30 origins, more where the series are few, fewer where they are very many. The stride shares no factor with
    the season, so that origins fall on every phase of it.
    """
    length, count = panel.median_length, max(1, len(panel))
    wanted = min(horizon + WANTED_RESIDUALS - 1, length // 3)
    room = max(2 * horizon, int(SHARE_HELD_OUT * length), wanted) - horizon
    most = max(MIN_ORIGINS, min(max(MAX_ORIGINS, MAX_WINDOWS // count), MAX_TOTAL_WINDOWS // count))
    stride = max(1, room // (most - 1))
    while math.gcd(stride, season) > 1:
        stride -= 1
    return BacktestPlan(horizon=horizon, origins=min(most, room // stride + 1), stride=stride)


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """The W moments of a plan, by origin (earliest first), then series.

    ``series``, ``at`` and ``origin`` (its number from 0), (W,); ``scale`` and ``squared`` (N,), the units of MASE and
    RMSSE of each series: what seasonal naive errs before the first origin. ``stride``: points between two origins.
    """

    panel: Panel
    horizon: int
    season: int
    series: Ints
    at: Ints
    origin: Ints
    scale: Floats
    squared: Floats
    left_out: int  # series that take part in no origin
    stride: int

    def __len__(self) -> int:
        return len(self.at)

    def truth(self, rows: Ints) -> Actuals:
        """What came after the moments of number ``rows`` (B,)."""
        series = self.series[rows]
        actual = take(self.panel.y, self.panel, series, self.at[rows], self.horizon)
        return Actuals(actual, self.scale[series], self.squared[series])

    def pasts(self, rows: Ints) -> Iterator[tuple[Ints, Floats]]:
        """All that was known at the moments of number ``rows``, padded with NaN on the left, some moments at a time."""
        width = int(self.at[rows].max())
        for part in np.array_split(rows, math.ceil(len(rows) * width / MAX_HISTORY_VALUES)):
            yield part, take(self.panel.y, self.panel, self.series[part], self.at[part] - width, width)

    def some(self, most: int) -> Ints:
        """The numbers of at most ``most`` windows, drawn alike from all, always the same ones."""
        if most >= len(self):
            return np.arange(len(self))
        return np.sort(np.random.default_rng(0).choice(len(self), most, replace=False))


def origins_of(panel: Panel, plan: BacktestPlan, season: int) -> Origins:
    """The moments of ``plan`` that have a value before and one to be forecast.

    As in serving, a forecast begins after a value: where some are missing before an origin, earlier by as many.

    Raises:
        InputError: ``too_short`` where no series has any.
    """
    back = np.repeat(np.arange(plan.origins)[::-1], len(panel))
    series, origin = np.tile(np.arange(len(panel)), plan.origins), np.repeat(np.arange(plan.origins), len(panel))
    at = _after_a_value(panel, series, panel.observed_lengths[series] - plan.horizon - back * plan.stride)
    known = np.concatenate([[0], np.cumsum(~np.isnan(panel.y))])
    now = panel.indptr[series] + np.maximum(at, 0)
    takes_part = (at > 0) & (known[now + np.where(at > 0, plan.horizon, 0)] > known[now])
    takes_part[np.flatnonzero(at[: -len(panel)] == at[len(panel) :])] = False  # the next origin is the same moment
    if not takes_part.any():
        raise InputError([_too_short(panel, plan)])
    series, at, origin = series[takes_part], at[takes_part], origin[takes_part]
    first = np.zeros(len(panel), dtype=np.int64)
    first[series[::-1]] = at[::-1]
    histories = [panel.series(i)[: first[i]] for i in range(len(panel))]
    scale = np.array([metrics.naive_scale(y, season) for y in histories])
    squared = np.array([metrics.squared_scale(y, season) for y in histories])
    left_out = int((first == 0).sum())
    return Origins(panel, plan.horizon, season, series, at, origin, scale, squared, left_out, plan.stride)


def _after_a_value(panel: Panel, series: Ints, at: Ints) -> Ints:
    """The moments (series, at), each moved back to just after the last value before it; 0 or less without any."""
    newest = np.maximum.accumulate(np.where(np.isnan(panel.y), -1, np.arange(len(panel.y))))
    begin = panel.indptr[series]
    return np.where(at > 0, newest[begin + np.maximum(at, 1) - 1] - begin + 1, at)


def _too_short(panel: Panel, plan: BacktestPlan) -> Fault:
    longest = panel.observed_lengths.max(initial=0)
    if longest > plan.held_out:
        message = f"of no {plan.horizon} steps after a value any was observed: the gaps are as long as the horizon"
        return Fault(code="too_short", field="horizon", message=message, hint="ask for a longer horizon")
    message = f"the longest series has {longest} points"
    hint = f"a backtest of {plan.horizon} steps needs {plan.horizon + 1}; ask for a shorter horizon, or send more"
    return Fault(code="too_short", field="horizon", message=message, hint=hint)
