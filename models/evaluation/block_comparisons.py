"""Comparisons of the new blocks of a series with its past ones, each of which sets the limits of the new ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.evaluation.block_deviation import DeviationRule, find_deviation
from models.evaluation.block_statistics import MIN_PAST, BlockStatistics
from models.evaluation.metrics import ROUNDING
from models.types import Floats

AuditCode = Literal["missing", "zeros", "stuck", "unit", "noise", "season", "spread", "level"]

SHARE_LIMIT = 0.4  # of points: zeros, repeated or missing values beyond the largest share of a past block
# Of the logarithms of noise and spread, and of the share of the variation that the values before do not explain.
NOISE = DeviationRule(times=4.0, usual=0.3, margin=math.log(2.0))
SPREAD = DeviationRule(times=4.0, usual=0.3, margin=math.log(1.5))
SEASON = DeviationRule(times=3.2, usual=0.12, least=1.0)
MAX_UNEXPLAINED = 0.85  # median of the past; above it there is no pattern whose loss would show
FLOOR = 1e-6  # share of the largest spread, below which noise and spread are not told apart
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
    """Return the tests of noise, season and spread. A larger level explains a larger spread and noise."""
    largest, widest = float(np.fmax.reduce(old.magnitude)), float(np.fmax.reduce(old.spread))
    growth = np.log(np.fmax(1.0, _ratios(now.magnitude, largest)))
    floor = float(np.nanmax([0.0, FLOOR * widest, ROUNDING * largest]))
    tests: dict[AuditCode, BlockTest] = {}
    if floor > 0:
        error, spread, new_error, new_spread = (
            np.log(np.maximum(values, floor)) for values in (old.error, old.spread, now.error, now.spread)
        )
        noise, wide = (
            find_deviation(error, new_error - growth, NOISE),
            find_deviation(spread, new_spread - growth, SPREAD),
        )
        narrow = find_deviation(-spread, -new_spread, SPREAD)
        limit = np.where(narrow.deviates, -narrow.limit, wide.limit + growth)
        tests["noise"] = BlockTest(noise.deviates, now.error, _usual(old.error), np.exp(noise.limit + growth))
        tests["spread"] = BlockTest(wide.deviates | narrow.deviates, now.spread, _usual(old.spread), np.exp(limit))
    found = find_deviation(old.unexplained, now.unexplained, SEASON)
    helped = found.deviates & (found.median < MAX_UNEXPLAINED)
    tests["season"] = BlockTest(helped, now.unexplained, found.median, found.limit)
    return tests


def compare_unit(old: BlockStatistics, now: BlockStatistics, moved: NDArray[np.bool_]) -> BlockTest:
    """Return the test of the magnitude: far from that of every past block, or moved by about a power of ten."""
    usual = _usual(old.magnitude[-MIN_PAST:])
    largest, smallest = float(np.fmax.reduce(old.magnitude)), float(np.fmin.reduce(old.magnitude))
    far = (now.magnitude > UNIT_LIMIT * largest) | (now.magnitude < smallest / UNIT_LIMIT)
    tens = np.log10(_ratios(now.magnitude, usual))
    near_ten = (np.abs(tens - np.rint(tens)) <= POWER_OF_TEN) & (np.rint(tens) != 0) & moved
    return BlockTest(far | near_ten, now.magnitude, usual, UNIT_LIMIT * usual)


def _ratios(values: Floats, other: float) -> Floats:
    """Return ``values`` (K,) / ``other``, within ``MAX_RATIO`` of 1; NaN if ``other`` is 0."""
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(values / (other or np.nan), 1 / MAX_RATIO, MAX_RATIO))


def _usual(values: Floats) -> float:
    """Return the median without NaN; 0 if there are only NaN."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


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
    most = LEVEL_LIMIT * doubt * reach + 2 * _usual(old.error)
    last = float(old.level[-1])
    move = now.level - last
    return BlockTest(np.abs(move) > most, now.level, last, last + np.sign(move) * most)
