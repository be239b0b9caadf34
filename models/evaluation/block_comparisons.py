"""Comparisons of the new blocks of a series with its past ones, each of which sets the limits of the new ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.evaluation.block_statistics import MIN_PAST, BlockStatistics
from models.types import Floats

AuditCode = Literal["missing", "zeros", "stuck", "unit", "noise", "season", "spread", "level"]

SHARE_LIMIT = 0.4  # of points: zeros, repeated or missing values beyond the largest share of a past block
SPREAD_UP, SPREAD_DOWN = 3.0, 5.0  # times the largest, and divisor of the smallest spread of a past block
NOISE_LIMIT = 2.0  # times the largest seasonal difference of a past block
CORRELATION_LIMIT = 0.25  # below the smallest correlation of a past block
MIN_CORRELATION = 0.5  # of the median past block, for its loss to say something
MIN_CORRELATED, MIN_CORRELATED_BLOCKS = 12, 6  # points of a block, and blocks of the past
LEVEL_LIMIT = 2.5  # times the largest move of the level over the same time in the past
FEW_BLOCKS = 8.0  # number of past blocks (or pairs of them) with which the limits are twice as wide
UNIT_LIMIT = 50.0  # ratio of magnitudes
MAX_RATIO = 1e9
POWER_OF_TEN = 0.02  # tolerance in the logarithm to base 10 of a ratio of magnitudes, 5 %

SHARES: Mapping[AuditCode, str] = {"missing": "missing", "zeros": "zeros", "stuck": "repeats"}


@dataclass(frozen=True, slots=True, eq=False)
class BlockTest:
    """Comparison of K new blocks with the past: whether each is ``beyond`` the ``limit``, and its number ``after``."""

    beyond: NDArray[np.bool_]
    after: Floats
    before: float
    limit: Floats | float


def compare_shares(old: BlockStatistics, now: BlockStatistics) -> dict[AuditCode, BlockTest]:
    """Return the tests of shares of points: one is beyond if it is far above that of every past block."""
    tests: dict[AuditCode, BlockTest] = {}
    codes: Sequence[AuditCode] = ("missing", "zeros", "stuck")
    for code in codes:
        usually, recently = (getattr(blocks, SHARES[code]) for blocks in (old, now))
        limit = float(usually.max()) + SHARE_LIMIT
        tests[code] = BlockTest(recently >= limit, recently, float(np.median(usually)), limit)
    return tests


def compare_variation(old: BlockStatistics, now: BlockStatistics) -> dict[AuditCode, BlockTest]:
    """Return the tests of spread, noise and correlation. A larger level explains a larger spread and noise."""
    doubt = 1 + FEW_BLOCKS / len(old.level)
    growth = np.fmax(1.0, _ratios(now.magnitude, _largest(old.magnitude)))
    wide, narrow = SPREAD_UP * doubt * growth * _largest(old.spread), _smallest(old.spread) / (SPREAD_DOWN * doubt)
    loud = NOISE_LIMIT * doubt * growth * _largest(old.difference)
    is_narrow = now.spread < narrow
    correlations = [
        BlockTest(now_each < least, now_each, _usual(old_each), least)
        for old_each, now_each in (
            (old.step_correlation, now.step_correlation),
            (old.season_correlation, now.season_correlation),
        )
        for least in [_least_correlation(old_each, now.length)]
    ]
    return {
        "noise": BlockTest(now.difference > loud, now.difference, _usual(old.difference), loud),
        "season": max(correlations, key=lambda test: float(np.mean(test.beyond))),
        "spread": BlockTest(
            (now.spread > wide) | is_narrow, now.spread, _usual(old.spread), np.where(is_narrow, narrow, wide)
        ),
    }


def compare_unit(old: BlockStatistics, now: BlockStatistics, moved: NDArray[np.bool_]) -> BlockTest:
    """Return the test of the magnitude: far from that of every past block, or moved by about a power of ten."""
    usual = _usual(old.magnitude[-MIN_PAST:])
    largest, smallest = _largest(old.magnitude), _smallest(old.magnitude)
    far = (now.magnitude > UNIT_LIMIT * largest) | (now.magnitude < smallest / UNIT_LIMIT)
    tens = np.log10(_ratios(now.magnitude, usual))
    near_ten = (np.abs(tens - np.rint(tens)) <= POWER_OF_TEN) & (np.rint(tens) != 0) & moved
    return BlockTest(far | near_ten, now.magnitude, usual, UNIT_LIMIT * usual)


def _least_correlation(usually: Floats, length: int) -> float:
    """Return the smallest plausible correlation of a block, -1 if the past has too few or has none to lose."""
    if length < MIN_CORRELATED or (~np.isnan(usually)).sum() < MIN_CORRELATED_BLOCKS:
        return -1.0
    usual = float(np.nanmedian(usually))
    if usual < MIN_CORRELATION:
        return -1.0
    return min(float(np.nanmin(usually)) - CORRELATION_LIMIT, usual / 2)


def _ratios(values: Floats, other: float) -> Floats:
    """Return ``values`` (K,) / ``other``, within ``MAX_RATIO`` of 1; NaN if ``other`` is 0."""
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(values / (other or np.nan), 1 / MAX_RATIO, MAX_RATIO))


def _usual(values: Floats) -> float:
    """Return the median without NaN; 0 if there are only NaN."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def _largest(values: Floats) -> float:
    """Return the largest value without NaN; NaN if there are only NaN: then no value is above it."""
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else np.nan


def _smallest(values: Floats) -> float:
    """Return the smallest value without NaN; NaN if there are only NaN: then no value is below it."""
    known = values[~np.isnan(values)]
    return float(known.min()) if len(known) else np.nan


def compare_level(old: BlockStatistics, now: BlockStatistics) -> BlockTest:
    """Return the test of the distance of the level from that of the last past block.

    The limit is a multiple of the largest distance between two past blocks as far apart. If the past is shorter than
    that, the largest distance grows with time as a trend would.
    """
    apart = np.ceil((now.start + now.length) / now.length).astype(np.int64)
    lags = np.minimum(apart, max(1, len(old.level) // 2))
    by_lag = np.zeros(int(lags.max()) + 1)
    for lag in np.unique(lags):
        distances = np.abs(old.level[lag:] - old.level[:-lag])
        by_lag[lag] = np.max(distances[~np.isnan(distances)], initial=0.0)
    reach = np.maximum.accumulate(by_lag)[lags] * np.maximum(1.0, apart / lags)
    doubt = 1 + FEW_BLOCKS / (len(old.level) - lags)
    most = LEVEL_LIMIT * doubt * reach + 2 * _usual(old.difference)
    last = float(old.level[-1])
    move = now.level - last
    return BlockTest(np.abs(move) > most, now.level, last, last + np.sign(move) * most)
