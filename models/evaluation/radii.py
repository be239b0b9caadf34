"""Radii of prediction intervals from residuals: finite-sample quantiles, pooled over steps where a step has too few.

Of n scores the radius for a level is the ceil((n + 1) level)-th smallest (Vovk, Gammerman & Shafer, *Algorithmic
Learning in a Random World*, 2005). Steps are calibrated by themselves (Stankeviciute et al., "Conformal Time-Series
Forecasting", 2021). A level that few scores of a step exceed is an extreme value of that step: it is taken from the
scores of all steps instead, each in units of its own step's moderate radius.
"""

import numpy as np
from numpy.typing import NDArray

from models.types import Floats, Ints

LEVELS = np.arange(1, 100)  # percent
MIN_EXCEEDING = 10  # scores of a step that lie beyond a radius which is measured on this step alone
MIN_WINDOWS = 10  # with a value beyond the trained steps, without which no radius is measured there
# Beyond the trained horizon radii are measured in ranges of steps, as multiples of the horizon; each is that of the
# middle of its range.
RANGES = ((1.0, 1.5), (1.5, 2.0), (2.0, 3.0), (3.0, 4.0))
MAX_REACH = 4  # times the trained horizon, up to which radii are measured
MIN_UNIT = 1e-9  # of the moderate radius of a step, as a share of the largest


def step_radii(scores: Floats) -> NDArray[np.float32]:
    """Return the radius of each step and level, (H, 99), from ``scores`` (N, H) of 0 or more; they grow with the level.

    NaN where a step has too few finite scores for a level: fewer than level / (1 - level).
    """
    own = _ranked(scores.T, LEVELS)
    count = int(np.isfinite(scores).sum(axis=0).min())
    moderate = max(50, int(100 - 100 * MIN_EXCEEDING / max(count, 1)))
    if count and moderate < LEVELS[-1] and scores.shape[1] > 1:
        unit = own[:, moderate - 1 : moderate]
        unit = np.maximum(unit, MIN_UNIT * unit.max())
        if (unit > 0).all():
            pooled = _ranked((scores / unit.T).reshape(1, -1), LEVELS)
            first = moderate if count * (100 - moderate) >= 100 * MIN_EXCEEDING else 0
            own[:, first:] = np.where(np.isnan(own), np.nan, unit * pooled)[:, first:]
    return _finite(np.maximum.accumulate(own, axis=1))


def range_radii(scores: Floats, trained: int) -> NDArray[np.float32]:
    """Return the radius for each of ``RANGES`` and level, (R, 99), from ``scores`` (N, h) of steps from the first on.

    They fall neither from range to range nor with the level. NaN where a range has scores of too few windows.
    """
    steps = np.arange(1, scores.shape[1] + 1) / trained
    made = np.full((len(RANGES), len(LEVELS)), np.nan)
    for row, (begin, end) in enumerate(RANGES):
        inside = scores[:, (steps > begin) & (steps <= end)]
        if np.isfinite(inside).any(axis=1).sum() >= MIN_WINDOWS:
            made[row] = _ranked(inside.reshape(1, -1), LEVELS)[0]
    return _finite(np.where(np.isnan(made), np.nan, np.fmax.accumulate(made, axis=0)))


def beyond_radii(known: Floats, trained: int, horizon: int) -> Floats:
    """Return the radii of the steps from ``trained`` + 1 to ``horizon`` of one level from those of the ranges, (R,).

    Linear between the middles of the ranges; beyond the last known one they grow with the root of the step, as for a
    random walk. NaN if none is known.
    """
    steps = np.arange(trained + 1, horizon + 1) / trained
    there = np.flatnonzero(np.isfinite(known))
    if len(there) == 0:
        return np.full(len(steps), np.nan)
    middles = np.array([(begin + end) / 2 for begin, end in RANGES])[there]
    return np.asarray(np.interp(steps, middles, known[there]) * np.sqrt(np.maximum(steps / middles[-1], 1)))


def _ranked(rows: Floats, levels: Ints) -> Floats:
    """Return for each row and level the ceil((n + 1) level)-th smallest of its n finite scores, (R, K), or NaN."""
    ordered = np.sort(np.where(np.isfinite(rows), rows, np.nan), axis=1)  # NaN is sorted last
    count = np.isfinite(ordered).sum(axis=1)
    rank = -(-(count[:, None] + 1) * levels // 100)
    padded = np.pad(ordered, ((0, 0), (0, 1)), constant_values=np.nan)
    found = np.take_along_axis(padded, np.minimum(rank - 1, padded.shape[1] - 1), axis=1)
    return np.where(rank <= count[:, None], found, np.nan)


def _finite(radii: Floats) -> NDArray[np.float32]:
    return np.minimum(radii, np.finfo(np.float32).max).astype(np.float32)
