"""Robust statistics of consecutive blocks of a series, for the comparison of new points with old ones."""

from dataclasses import dataclass, replace

import numpy as np

from models.evaluation.pattern import pattern_errors
from models.types import Floats, Ints

MIN_BLOCK, USUAL_BLOCK = 4, 12  # points
SEASONS = 3  # in a block: after a change of the level, two thirds of its seasonal differences do not cross the change
SHARE_KNOWN = 1 / 3  # of the points of a block; with fewer values its statistics are unknown
MIN_ERRORS = 12  # of a block, for a statement about its pattern
MIN_PAST = 4  # blocks of the past; fewer do not show its variation
MAX_PAST = 1_000  # blocks


@dataclass(frozen=True, slots=True, eq=False)
class BlockStatistics:
    """Statistics of K blocks of ``length`` points, (K,) each; NaN where a block has too few values.

    ``start``: first point of the block. ``missing``, ``zeros``, ``repeats``: shares of the points without a value, of
    the values that are 0, and of the values that equal the one before and are not 0. ``magnitude``: median of the
    absolute values that are not 0. ``level``: median. ``spread``: between the quantiles of 10 and 90 %.
    ``error``: mean distance of the errors of ``pattern_errors`` from their median, which no moved level changes.
    ``unexplained``: ``error`` in units of the mean distance of the values from their level: 1 if the values before help
    as much as the level alone, above 1 if they mislead.
    """

    start: Ints
    length: int
    missing: Floats
    zeros: Floats
    repeats: Floats
    magnitude: Floats
    level: Floats
    spread: Floats
    error: Floats
    unexplained: Floats


def block_length(past: int, new: int, season: int) -> int | None:
    """Return the points of a block, three seasons if there are as many; None if the series is too short."""
    length = min(max(SEASONS * season, USUAL_BLOCK), new, past // MIN_PAST)
    return length if length >= MIN_BLOCK else None


def blocks_of(past: Floats, new: Floats, length: int, season: int) -> tuple[BlockStatistics, BlockStatistics]:
    """Return the statistics of the blocks of ``past`` and of ``new``, which follows it; ``start`` of the latter counts
    from the first new point.

    Blocks of the past end at its end, at most ``MAX_PAST`` of them. Those of ``new`` end at its end; if points remain
    before them, one more block begins at the first new point.
    """
    values, known = np.concatenate([past, new]), len(past)
    errors = pattern_errors(values, known, season)
    old = known - length * np.arange(min(known // length, MAX_PAST), 0, -1)
    starts = np.arange(len(new) - length, -1, -length)[::-1]
    starts = starts if starts[0] == 0 else np.concatenate([[0], starts])
    # Errors across the border are left out if enough others exist: the border may be a change of the level.
    across = season + 1 if len(new) - season - 1 >= max(MIN_ERRORS, length * SHARE_KNOWN) else 0
    later = errors.copy()
    later[known : known + across] = np.nan
    now = _statistics(values, later, known + starts, length)
    return _statistics(values, errors, old, length), replace(now, start=starts)


def _statistics(values: Floats, errors: Floats, starts: Ints, length: int) -> BlockStatistics:
    """Return the statistics of the blocks of ``values`` and of their pattern ``errors`` at ``starts``."""
    repeated = np.append(False, values[1:] == values[:-1]) & (values != 0)
    at = starts[:, None] + np.arange(length)
    blocks, missing = values[at], np.isnan(values[at])
    observed = np.maximum(1, (~missing).sum(axis=1))
    predicted = np.where(np.isnan(errors[at]), np.nan, blocks)
    error, distance = _distance(errors[at]), _distance(predicted)
    return BlockStatistics(
        start=starts,
        length=length,
        missing=missing.mean(axis=1),
        zeros=(blocks == 0).sum(axis=1) / observed,
        repeats=repeated[at].sum(axis=1) / observed,
        magnitude=_quantile(np.where(blocks == 0, np.nan, np.abs(blocks)), 0.5, 1),
        level=_quantile(blocks, 0.5),
        spread=_quantile(blocks, 0.9) - _quantile(blocks, 0.1),
        error=error,
        unexplained=np.divide(error, distance, out=np.full(len(error), np.nan), where=distance > 0),
    )


def _distance(values: Floats) -> Floats:
    """Return the mean distance of each row (K, L) from its median, without NaN; NaN with too few values."""
    median, count = _quantile(values, 0.5), (~np.isnan(values)).sum(axis=1)
    total = np.nansum(np.abs(values - median[:, None]), axis=1)
    return np.where(np.isnan(median) | (count < MIN_ERRORS), np.nan, total / np.maximum(1, count))


def _quantile(blocks: Floats, q: float, least: int | None = None) -> Floats:
    """Return the nearest quantile of each row of ``blocks`` (K, L), without NaN; NaN with fewer than ``least`` values.

    ``least`` is a third of the row unless given.
    """
    ordered, counts = np.sort(blocks, axis=1), (~np.isnan(blocks)).sum(axis=1)
    at = np.rint(np.maximum(counts - 1, 0) * q).astype(np.int64)
    found = np.take_along_axis(ordered, at[:, None], axis=1)[:, 0]
    enough = counts >= (blocks.shape[1] * SHARE_KNOWN if least is None else least)
    return np.asarray(np.where(enough & (counts > 0), found, np.nan), dtype=np.float64)
