"""Deviation of the newest blocks of a series from its past ones, in units of how much the past blocks differ."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.types import Floats

MIN_OLD = 3  # blocks of the past
PRIOR_BLOCKS = 4.0  # weight of the usual deviation, in blocks, beside that of the past itself
SMALL_SAMPLE = 3.0  # quantiles of Student's t are those of the normal distribution times 1 + 3 / degrees of freedom
PARTS = (1, 3)  # all new blocks are compared together, and the newest third of them


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviationRule:
    """Upper limit of a statistic: ``times`` deviations above the median of the past, ``margin`` above its maximum.

    ``usual``: the standard deviation of a block of ordinary series. ``least``: the limit is not below this.
    """

    times: float
    usual: float
    margin: float = 0.0
    least: float = -math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Deviation:
    """Result for M new blocks: whether each ``deviates``, and the ``limit`` that applied to it, (M,) each.

    ``median`` is that of the past, NaN if it has too few blocks.
    """

    deviates: NDArray[np.bool_]
    limit: Floats
    median: float


def find_deviation(old: Floats, now: Floats, rule: DeviationRule) -> Deviation:
    """Find the new blocks whose statistic is above its limit: ``now`` (M,), after the past blocks ``old`` (K,).

    The newest blocks are compared together by their median, with the medians of as many consecutive blocks of the past.
    """
    found = Deviation(np.zeros(len(now), dtype=np.bool_), np.full(len(now), np.nan), np.nan)
    old = old[~np.isnan(old)]
    if len(old) < MIN_OLD:
        return found
    median = float(np.median(old))
    for part in PARTS:
        first = len(now) - math.ceil(len(now) / part)
        newest = now[first:][~np.isnan(now[first:])]
        if len(newest) == 0:
            continue
        limit = _limit(old, median, len(newest), rule)
        if _low_median(newest) > limit:
            found.deviates[first:], found.limit[first:] = True, limit
    return Deviation(found.deviates, found.limit, median)


def _limit(old: Floats, median: float, count: int, rule: DeviationRule) -> float:
    """Return the limit of the median of ``count`` new blocks."""
    width = min(count, max(1, len(old) // 4))
    similar = _low_median(np.lib.stride_tricks.sliding_window_view(old, width))
    independent = len(old) / width
    degrees = PRIOR_BLOCKS + independent - 1
    squares = PRIOR_BLOCKS * rule.usual**2 + (independent - 1) * float(similar.var())
    distance = rule.times * math.sqrt(squares / degrees * (1 + 1 / independent)) * (1 + SMALL_SAMPLE / degrees)
    return max(median + distance, float(similar.max()) + rule.margin, rule.least)


def _low_median(values: Floats) -> Floats:
    """Return the lower median over the last axis: one block of two that holds a change of the level has no effect."""
    return np.asarray(np.sort(values, axis=-1)[..., (values.shape[-1] - 1) // 2])
