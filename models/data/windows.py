"""Windows of a panel: the origins to train on, and the values around them, copied only batch by batch.

An *origin* is a series and ``at``: its first ``at`` points are the past, and the forecast begins with the next one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.data.masks import has_any
from models.data.panel import Panel
from models.errors import InputError
from models.types import Floats, Ints

SHARE_VALIDATION = 0.1
MAX_HISTORY_VALUES = 2**18  # values of history read at a time, 2 MB


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """The origins ``first`` to ``last`` (N,) of each of N series, both included; none where last < first."""

    first: Ints
    last: Ints

    @property
    def counts(self) -> Ints:
        """Number of origins of each series, (N,)."""
        return np.asarray(np.maximum(self.last - self.first + 1, 0))

    def __len__(self) -> int:
        return int(self.counts.sum())

    def draw(self, rng: "np.random.Generator", size: int) -> tuple[Ints, Ints]:
        """Return ``size`` random origins, (series, at); a series' share is the square root of its number of origins.

        A compromise between equal series, as in the scores, and equal windows, where long series would dominate.
        """
        counts = self.counts
        share = np.cumsum(np.sqrt(counts))
        series = np.searchsorted(share, rng.random(size) * share[-1], side="right")
        return series, self.first[series] + rng.integers(counts[series])

    def spread(self, size: int) -> tuple[Ints, Ints]:
        """Return ``size`` origins evenly spread over all, (series, at); some are repeated if there are fewer."""
        upto = np.cumsum(self.counts)
        rows = np.linspace(0, upto[-1] - 1, size).astype(np.int64)
        series = np.searchsorted(upto, rows, side="right")
        return series, self.first[series] + rows - (upto[series] - self.counts[series])


def windows_of(panel: Panel, context: int, horizon: int, without: Ints | int = 0) -> Windows:
    """Return the origins of every series whose future of ``horizon`` points ends before its last ``without`` points.

    An origin has ``context`` points before it. In a series that is too short for that, origins with half of the series
    before them count too; in a series shorter than the horizon, so do origins with any point after them, unless
    ``without`` leaves points out.
    """
    length = panel.observed_lengths - without
    few = np.maximum(1, np.minimum(length - horizon, (length + 1) // 2))
    first = np.where(length - horizon >= context, context, np.minimum(context, few))
    reach = np.where(np.equal(without, 0) & (length - horizon < first), 1, horizon)
    return Windows(np.where(context > 0, first, 0), length - reach)


def newest_windows(panel: Panel, horizon: int, newest: int) -> Windows:
    """Return the origins whose whole future lies within the last ``newest`` points of their series."""
    length = panel.observed_lengths
    return Windows(np.maximum(length - newest, 1), length - horizon)


def newest_points(length: int, horizon: int) -> int:
    """Return the number of newest points that are held out to choose the epoch: a tenth, at least one horizon."""
    return max(horizon, int(SHARE_VALIDATION * length))


def split(panel: Panel, context: int, horizon: int, hold: bool) -> tuple[Windows, Windows | None]:
    """Return the windows to train on and, with ``hold``, the later windows that choose the epoch.

    No future of the former overlaps one of the latter.

    Raises:
        InputError: ``too_short`` if either would be empty.
    """
    newest = newest_points(panel.median_length, horizon) if hold else 0
    trained = windows_of(panel, context, horizon, without=newest)
    held = newest_windows(panel, horizon, newest) if hold else None
    if len(trained) == 0 or (held is not None and len(held) == 0):
        longest = int(panel.lengths.max(initial=0))
        message = f"the longest series has {longest} points to train on"
        needed = horizon + newest + 1 if hold else 2
        hint = f"a horizon of {horizon} needs at least {needed}; ask for less, or send longer series"
        raise InputError.of("too_short", message, hint, field="horizon")
    return trained, held


def take(flat: Floats, panel: Panel, series: Ints, begin: Ints, size: int) -> Floats:
    """Return the points ``begin`` (B,) to ``begin + size`` of each of ``series`` (B,): (B, size), NaN outside of it.

    ``flat`` is the panel's ``y``, or a covariate beside it.
    """
    first, end = panel.indptr[series] + begin, panel.indptr[series + 1]
    if not has_any((begin < 0) | (first + size > end)):
        if len(series) == 1:  # as for most forecasts: its points are next to each other
            begun = int(first[0])
            return flat[None, begun : begun + size].copy()
        return np.asarray(flat[first[:, None] + np.arange(size)])
    within = first[:, None] + np.arange(size)
    inside = (within >= (first - begin)[:, None]) & (within < end[:, None])
    return np.where(inside, flat[np.where(inside, within, 0)], np.nan)


def histories(panel: Panel, series: Ints, at: Ints) -> Iterator[tuple[Ints, Floats]]:
    """Yield the numbers of some of the origins (series, at), and all values before them, in parts of at most 2 MB.

    The values of a part are padded with NaN on the left, to the same width for all parts.
    """
    width = int(at.max())
    for part in np.array_split(np.arange(len(at)), max(1, math.ceil(len(at) * width / MAX_HISTORY_VALUES))):
        yield part, take(panel.y, panel, series[part], at[part] - width, width)
