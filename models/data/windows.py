"""Panel -> windows: which moments can be learned from, and the values around them, copied only batch by batch.

A *moment* is a series and ``at``: its first ``at`` points are the past, and the forecast begins with the next one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.panel import Panel
from models.errors import Fault, InputError
from models.types import Floats, Ints

SHARE_VALIDATION = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """For each of N series the moments from ``first`` to ``last`` (N,), both included; none where last < first."""

    first: Ints
    last: Ints

    @property
    def counts(self) -> Ints:
        """Moments of each series, (N,)."""
        return np.asarray(np.maximum(self.last - self.first + 1, 0))

    def __len__(self) -> int:
        return int(self.counts.sum())

    def draw(self, rng: "np.random.Generator", size: int) -> tuple[Ints, Ints]:
        """``size`` random moments, (series, at): a series comes up as the square root of how many it has.

        Between every series alike, as scores count them, and every window alike, which lets the long ones drown the
        short.
        """
        counts = self.counts
        share = np.cumsum(np.sqrt(counts))
        series = np.searchsorted(share, rng.random(size) * share[-1], side="right")
        return series, self.first[series] + rng.integers(counts[series])

    def spread(self, size: int) -> tuple[Ints, Ints]:
        """``size`` moments evenly spread over all there are, (series, at); some of them twice where there are fewer."""
        upto = np.cumsum(self.counts)
        rows = np.linspace(0, upto[-1] - 1, size).astype(np.int64)
        series = np.searchsorted(upto, rows, side="right")
        return series, self.first[series] + rows - (upto[series] - self.counts[series])


def windows_of(panel: Panel, context: int, horizon: int, without: Ints | int = 0) -> Windows:
    """The moments of every series whose whole future of ``horizon`` points lies before its last ``without`` points.

    A moment has ``context`` points before it. Of a series that is too short for many such, those with half of the
    series before them count too, and where it does not even hold the horizon, those with any point after them (but not
    where the points after them are to be left out).
    """
    length = panel.observed_lengths - without
    few = np.maximum(1, np.minimum(length - horizon, (length + 1) // 2))
    first = np.where(length - horizon >= context, context, np.minimum(context, few))
    reach = np.where(np.equal(without, 0) & (length - horizon < first), 1, horizon)
    return Windows(np.where(context > 0, first, 0), length - reach)


def newest_windows(panel: Panel, horizon: int, newest: int) -> Windows:
    """The moments whose whole future lies within the last ``newest`` points of their series."""
    length = panel.observed_lengths
    return Windows(np.maximum(length - newest, 1), length - horizon)


def newest_points(length: int, horizon: int) -> int:
    """Points at the end of a series of ``length`` that are not taught but choose the epoch: a tenth, or one horizon."""
    return max(horizon, int(SHARE_VALIDATION * length))


def split(panel: Panel, context: int, horizon: int, hold: bool) -> tuple[Windows, Windows | None]:
    """The windows to teach with and, where ``hold``, the later ones to choose the epoch by.

    No taught future reaches into the latter.

    Raises:
        InputError: ``too_short`` where either would be empty.
    """
    newest = newest_points(panel.median_length, horizon) if hold else 0
    taught = windows_of(panel, context, horizon, without=newest)
    held = newest_windows(panel, horizon, newest) if hold else None
    if len(taught) == 0 or (held is not None and len(held) == 0):
        longest = int(panel.lengths.max(initial=0))
        message = f"the longest series has {longest} points to teach with"
        needed = horizon + newest + 1 if hold else 2
        hint = f"a horizon of {horizon} needs at least {needed}; ask for less, or send longer series"
        raise InputError([Fault(code="too_short", field="horizon", message=message, hint=hint)])
    return taught, held


def take(flat: NDArray[np.floating], panel: Panel, series: Ints, begin: Ints, size: int) -> Floats:
    """The points ``begin`` (B,) to ``begin + size`` of each of ``series`` (B,), (B, size); NaN outside the series.

    ``flat`` is the panel's ``y``, or a covariate beside it.
    """
    if (begin >= 0).all() and (begin + size <= panel.lengths[series]).all():
        whole: Floats = flat[(panel.indptr[series] + begin)[:, None] + np.arange(size)]
        return whole
    within = begin[:, None] + np.arange(size)
    inside = (within >= 0) & (within < panel.lengths[series][:, None])
    where = panel.indptr[series][:, None] + np.where(inside, within, 0)
    return np.where(inside, flat[where], np.nan)
