"""Origins of a backtest: the points in time from which it forecasts, chosen as serving would see them.

Origins are counted back from the last value of each series: the last origin leaves ``horizon`` points to forecast, each
earlier one lies ``stride`` points before the next. Training data end before the first origin. An origin is a series and
the number of its points that are known.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.data.bounds import UNBOUNDED, Bounds, bound_rows
from models.data.lengths import SeriesLengths
from models.data.panel import Panel
from models.data.validation import format_time
from models.data.windows import histories, take
from models.errors import InputError
from models.evaluation import metrics
from models.evaluation.scoring import Actuals
from models.types import Floats, Ints

MAX_ORIGINS = 30
MIN_ORIGINS = 5
MAX_WINDOWS = 200  # with more windows than this, more origins than MAX_ORIGINS add little
MAX_TOTAL_WINDOWS = 20_000  # windows; with more, fewer origins than MAX_ORIGINS suffice
WANTED_RESIDUALS = 19  # of each step: the fewest that give an interval of 95 %
SHARE_HELD_OUT = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestPlan:
    """``origins`` points in time, ``stride`` points apart, from each of which ``horizon`` steps are forecast."""

    horizon: int
    origins: int
    stride: int

    @property
    def held_out(self) -> int:
        """Return the number of points at the end of each series that no model may be trained on."""
        return self.horizon + (self.origins - 1) * self.stride


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpan:
    """Windows of a comparison: their number, that of their origins, and the first and last forecast time (ISO 8601)."""

    first: str
    last: str
    origins: int
    windows: int


def plan_for(panel: Panel | SeriesLengths, horizon: int, season: int) -> BacktestPlan:
    """Return a plan that holds out a fifth of the median series, at least twice the horizon.

    It holds out up to a third if that gives the ``WANTED_RESIDUALS`` that an interval of 95 % needs. There are at most
    30 origins, more for few series, fewer for very many. The stride and the season have no common factor, so that
    origins fall on every phase of the season.
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
    """The W windows of a plan, ordered by origin (earliest first), then by series.

    ``series``, ``at`` (points known) and ``origin`` (number of the origin, from 0): (W,). ``scale`` and
    ``squared_scale`` (N,): the denominators of MASE and RMSSE of each series, from the values before its first origin
    (see ``units_of``). ``stride``: points between two origins. ``limits``: bounds of the forecasts of baselines.
    """

    panel: Panel
    horizon: int
    season: int
    series: Ints
    at: Ints
    origin: Ints
    scale: Floats
    squared_scale: Floats
    left_out: int  # series that take part in no origin
    stride: int
    limits: Bounds = UNBOUNDED

    def __len__(self) -> int:
        return len(self.at)

    def actuals(self, rows: Ints) -> Actuals:
        """Return the values that followed the origins of the windows ``rows`` (B,)."""
        series = self.series[rows]
        actual = take(self.panel.y, self.panel, series, self.at[rows], self.horizon)
        return Actuals(actual, self.scale[series], self.squared_scale[series])

    def clip(self, rows: Ints, forecast: Floats) -> Floats:
        """Return a ``forecast`` (B, H) of the windows ``rows`` within the bounds that a model's forecast has there."""
        bounds = bound_rows(self.panel, self.limits, self.series[rows], self.at[rows])
        return forecast if bounds is None else bounds.clip(forecast)

    def histories(self, rows: Ints) -> Iterator[tuple[Ints, Floats]]:
        """Yield the values known at the windows ``rows``, padded with NaN on the left, in parts of at most 2 MB."""
        for part, past in histories(self.panel, self.series[rows], self.at[rows]):
            yield rows[part], past

    def beyond(self, count: int) -> tuple[Ints, Ints]:
        """Return at most ``count`` windows, drawn as by ``sample``, with more values after them than the horizon.

        Returns:
            Their numbers, and the number of values that follow each: (B,).
        """
        left = self.panel.observed_lengths[self.series] - self.at
        rows = np.flatnonzero(left > self.horizon)
        if len(rows) > count:
            rows = np.sort(np.random.default_rng(0).choice(rows, count, replace=False))
        return rows, left[rows]

    def sample(self, count: int) -> Ints:
        """Return the numbers of at most ``count`` windows, drawn at random with a fixed seed."""
        if count >= len(self):
            return np.arange(len(self))
        return np.sort(np.random.default_rng(0).choice(len(self), count, replace=False))


def origins_of(panel: Panel, plan: BacktestPlan, season: int) -> Origins:
    """Return the windows of ``plan`` that have a value before the origin and at least one to forecast.

    A forecast begins after an observed value, as in serving: if values before an origin are missing, the origin moves
    back to just after the last value.

    Raises:
        InputError: ``too_short`` if no series has such a window.
    """
    back = np.repeat(np.arange(plan.origins)[::-1], len(panel))
    series, origin = np.tile(np.arange(len(panel)), plan.origins), np.repeat(np.arange(plan.origins), len(panel))
    at = panel.observed_lengths[series] - plan.horizon - back * plan.stride
    newest = np.maximum.accumulate(np.where(np.isnan(panel.y), -1, np.arange(len(panel.y))))
    begin = panel.indptr[series]
    at = np.where(at > 0, newest[begin + np.maximum(at, 1) - 1] - begin + 1, at)
    known = np.concatenate([[0], np.cumsum(~np.isnan(panel.y))])
    now = panel.indptr[series] + np.maximum(at, 0)
    takes_part = (at > 0) & (known[now + np.where(at > 0, plan.horizon, 0)] > known[now])
    takes_part[np.flatnonzero(at[: -len(panel)] == at[len(panel) :])] = False  # the same point as the next origin
    if not takes_part.any():
        longest = panel.observed_lengths.max(initial=0)
        if longest > plan.held_out:
            message = (
                f"no value is followed by another within {plan.horizon} steps: the gaps are as long as the horizon"
            )
            raise InputError.of("too_short", message, "ask for a longer horizon", field="horizon")
        message = f"the longest series has {longest} points"
        hint = f"a backtest of {plan.horizon} steps needs {plan.horizon + 1}; ask for a shorter horizon, or send more"
        raise InputError.of("too_short", message, hint, field="horizon")
    series, at, origin = series[takes_part], at[takes_part], origin[takes_part]
    first = np.zeros(len(panel), dtype=np.int64)
    first[series[::-1]] = at[::-1]
    before = [panel.series(i)[: first[i]] for i in range(len(panel))]
    scale, squared = (units_of(before, season, power) for power in (1, 2))
    left_out = int((first == 0).sum())
    return Origins(panel, plan.horizon, season, series, at, origin, scale, squared, left_out, plan.stride)


def units_of(histories: Sequence[Floats], season: int, power: int) -> Floats:
    """Return the units of the errors of each of N ``histories``, (N,), all above 0, as ``metrics.error_unit``.

    The unit of a constant history is at least the median unit of the others: a series that was 0, or close to it, must
    not outweigh all others once it begins. If all are 0, the unit is 1.
    """
    varying = np.array([metrics.variation(y, season, power) for y in histories])
    sizes = np.array([metrics.mean_size(y, power) for y in histories])
    usual = float(np.median(varying[varying > 0])) if (varying > 0).any() else 0.0
    units = np.where(varying > 0, varying, np.maximum(sizes, usual))
    return np.where(units > 0, units, 1.0)


def span_of(origins: Origins, rows: Ints) -> WindowSpan:
    """Return the span of the windows ``rows`` (B,), at least one, of ``origins``."""
    panel, begin, at = origins.panel, origins.panel.starts[origins.series[rows]], origins.at[rows]
    first, last = panel.freq.after(begin, at).min(), panel.freq.after(begin, at + origins.horizon - 1).max()
    return WindowSpan(
        first=format_time(first),
        last=format_time(last),
        origins=len(np.unique(origins.origin[rows])),
        windows=len(rows),
    )
