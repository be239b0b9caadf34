"""Likeness of a series to those of the training panel, by two ratios that its scale and level do not change.

A network can only be trusted on windows such as it was trained on. The seasonal ratio is the mean difference of values
a season apart, the step ratio that of neighbours, both over the mean distance of values from their mean: a strong
season, a trend or noise gives each its own ratios. They are cheap enough for every forecast.
"""

import numpy as np

from models.data.masks import has_all, has_any
from models.data.panel import Panel
from models.data.windows import take
from models.network.scaling import observed_mean
from models.types import Float32, Floats, Ints

MAX_SAMPLED = 4_000  # windows of the training panel
TAIL = 0.005  # share of the training windows outside of the usual range, on each side
MARGIN = 1.25  # factor by which the range is wider than its quantiles
MIN_WINDOWS = 20  # with fewer, a range would exclude what is only rare
NO_ROWS = np.zeros(0, dtype=np.int64)
UNKNOWN = np.zeros((2, 2), dtype=np.float32)  # ratios are not negative, and no range ends at 0


def points_judged(context: int, season: int) -> int:
    """Return the number of newest points by which a series is judged."""
    return max(context, 2 * season)


def ratios(past: Floats, season: int) -> Floats:
    """Return the seasonal ratio and the step ratio of the windows ``past`` (B, n), (B, 2).

    NaN is missing. Both are NaN for a constant window, and the seasonal ratio for one that is not longer than a season.
    """
    found, count = np.full((len(past), 2), np.nan), past.shape[1]
    mean = observed_mean if has_any(np.isnan(past)) else _complete_mean  # this runs at every forecast
    spread = mean(np.abs(past - mean(past)))
    spread[spread == 0] = np.nan
    for column, lag in enumerate((season, 1)):
        if lag < count:
            found[:, column : column + 1] = mean(np.abs(past[:, lag:] - past[:, :-lag])) / spread
    return found


def usual_range(panel: Panel, context: int, season: int) -> Float32:
    """Return the lowest and the highest usual ratios of windows of ``panel``, (2, 2); ``UNKNOWN`` for few windows.

    The windows end at every point from two seasons on, or at ``MAX_SAMPLED`` of them, evenly spread.
    """
    first, last = 2 * season + 1, panel.observed_lengths
    counts = np.maximum(last - first + 1, 0)
    total = int(counts.sum())
    if total < MIN_WINDOWS:
        return UNKNOWN
    picked = np.linspace(0, total - 1, min(total, MAX_SAMPLED)).astype(np.int64)
    ends = np.cumsum(counts)
    series = np.searchsorted(ends, picked, side="right")
    at = first + picked - (ends - counts)[series]
    found = ratios_at(panel, series, at, context, season)
    found = found[np.isfinite(found).all(axis=1)]
    if len(found) < MIN_WINDOWS:
        return UNKNOWN
    low, high = np.quantile(found, [TAIL, 1 - TAIL], axis=0)
    return np.stack([low / MARGIN, high * MARGIN]).astype(np.float32)


def ratios_at(panel: Panel, series: Ints, at: Ints, context: int, season: int) -> Floats:
    """Return the ratios of the windows before the moments (series, at), (B, 2)."""
    points = points_judged(context, season)
    return ratios(take(panel.y, panel, series, at - points, points), season)


def unusual(found: Floats, usual: Float32) -> Ints:
    """Return the rows of the ratios ``found`` (B, 2) that lie outside of ``usual``; none if that is unknown."""
    low, high = usual
    if has_all((found >= low) & (found <= high)):
        return NO_ROWS
    return np.flatnonzero(((found < low) | (found > high) & (low < high)).any(axis=1))


def _complete_mean(values: Floats) -> Floats:
    return np.asarray(np.add.reduce(values, axis=1, keepdims=True) / values.shape[1])
