"""Robust statistics of consecutive blocks of a series, for the comparison of new points with old ones."""

from dataclasses import dataclass

import numpy as np

from models.types import Floats, Ints

MIN_BLOCK, USUAL_BLOCK = 4, 12  # points
SEASONS = 3  # in a block: after a change of the level, two thirds of its seasonal differences do not cross the change
MIN_PAST = 4  # blocks of the past; fewer do not show its variation
MAX_PAST = 1_000  # blocks


@dataclass(frozen=True, slots=True, eq=False)
class BlockStatistics:
    """Statistics of K blocks of ``length`` points, (K,) each; NaN where a block has too few values.

    ``start``: first point of the block. ``missing``, ``zeros``, ``repeats``: shares of the points without a value, of
    the values that are 0, and of the values that equal the one before and are not 0. ``magnitude``: median of the
    absolute values that are not 0. ``level``: median. ``spread``: between the quantiles of 10 and 90 %.
    ``difference``: median distance of the seasonal differences from their own median, which no moved level changes.
    ``step_correlation`` and ``season_correlation``: of the values with those one step and one season before.
    """

    start: Ints
    length: int
    missing: Floats
    zeros: Floats
    repeats: Floats
    magnitude: Floats
    level: Floats
    spread: Floats
    difference: Floats
    step_correlation: Floats
    season_correlation: Floats


def block_length(past: int, new: int, season: int) -> int | None:
    """Return the points of a block, three seasons if there are as many; None if the series is too short."""
    length = min(max(SEASONS * season, USUAL_BLOCK), new, past // MIN_PAST)
    return length if length >= MIN_BLOCK else None


def past_blocks(past: Floats, length: int, season: int) -> BlockStatistics:
    """Return the statistics of the blocks that end at the end of ``past``, at most ``MAX_PAST`` of them."""
    count = min(len(past) // length, MAX_PAST)
    return _statistics(past, len(past) - length * np.arange(count, 0, -1), length, season, 0)


def new_blocks(past: Floats, new: Floats, length: int, season: int) -> BlockStatistics:
    """Return the statistics of the blocks of ``new``, which follow ``past``; ``start`` counts from the first new point.

    The blocks end at the end of ``new``; if points remain before them, one more block begins at the first new point.
    """
    starts = np.arange(len(new) - length, -1, -length)[::-1]
    starts = starts if starts[0] == 0 else np.concatenate([[0], starts])
    # Differences across the border are left out if enough others exist: the border may be a change of the level.
    without = season if len(new) >= 2 * season + MIN_BLOCK else 0
    return _statistics(np.concatenate([past, new]), starts, length, season, without, len(past))


def _statistics(
    values: Floats, starts: Ints, length: int, season: int, without: int, offset: int = 0
) -> BlockStatistics:
    """Return the statistics of the blocks of ``values`` at ``starts`` + ``offset``.

    ``without``: seasonal differences of so many points from ``offset`` on are left out.
    """
    lag = max(1, season)
    before_one, before_season = _lagged(values, 1), _lagged(values, lag)
    before_season[offset : offset + without] = np.nan
    differences = values - before_season
    repeated = (values == before_one) & (values != 0)
    at = (starts + offset)[:, None] + np.arange(length)
    blocks, missing = values[at], np.isnan(values[at])
    observed = np.maximum(1, (~missing).sum(axis=1))
    change = differences[at]
    return BlockStatistics(
        start=starts,
        length=length,
        missing=missing.mean(axis=1),
        zeros=(blocks == 0).sum(axis=1) / observed,
        repeats=repeated[at].sum(axis=1) / observed,
        magnitude=_quantile(np.where(blocks == 0, np.nan, np.abs(blocks)), 0.5, 1),
        level=_quantile(blocks, 0.5),
        spread=_quantile(blocks, 0.9) - _quantile(blocks, 0.1),
        difference=_quantile(np.abs(change - _quantile(change, 0.5)[:, None]), 0.5),
        step_correlation=_correlation(blocks, before_one[at]),
        season_correlation=_correlation(blocks, before_season[at]),
    )


def _lagged(values: Floats, lag: int) -> Floats:
    """Return the value ``lag`` points before each, NaN where there is none."""
    return np.concatenate([np.full(min(lag, len(values)), np.nan), values[:-lag]])


def _correlation(left: Floats, right: Floats) -> Floats:
    """Return the correlation of each row (K, L), over pairs without NaN; NaN with few or equal values."""
    both = ~(np.isnan(left) | np.isnan(right))
    count = np.maximum(1, both.sum(axis=1))[:, None]
    left, right = (
        np.where(both, part - np.where(both, part, 0).sum(axis=1)[:, None] / count, 0) for part in (left, right)
    )
    # Root by root: the product of two sums of squares of values near 1e100 would overflow.
    scale = np.sqrt((left**2).sum(axis=1)) * np.sqrt((right**2).sum(axis=1))
    usable = (scale > 0) & (count[:, 0] >= both.shape[1] / 3)
    return np.asarray(np.divide((left * right).sum(axis=1), scale, out=np.full(len(scale), np.nan), where=usable))


def _quantile(blocks: Floats, q: float, least: int | None = None) -> Floats:
    """Return the nearest quantile of each row of ``blocks`` (K, L), without NaN; NaN with fewer than ``least`` values.

    ``least`` is a third of the row unless given.
    """
    ordered, counts = np.sort(blocks, axis=1), (~np.isnan(blocks)).sum(axis=1)
    at = np.rint(np.maximum(counts - 1, 0) * q).astype(np.int64)
    found = np.take_along_axis(ordered, at[:, None], axis=1)[:, 0]
    enough = counts >= (blocks.shape[1] / 3 if least is None else least)
    return np.asarray(np.where(enough & (counts > 0), found, np.nan), dtype=np.float64)
