"""Per-window normalisation: part of the forecaster, so that serving cannot differ from training.

A window is measured from the mean of its last season (its last value where it holds no whole season), in units of its
mean absolute deviation from there. A forecaster that only sees such numbers obeys f(a x + b) = a f(x) + b for a > 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.panel import Floats

# A spread below this share of the level is rounding, not signal: the window counts as constant.
LEAST_SPREAD = 1e-12
FARTHEST = 1e4  # no point of a window of up to 10,000 is farther away; what follows a nearly constant one may be


class Scaled(NamedTuple):
    """``values`` (B, T) float32 in window units; ``level`` and ``spread`` (B, 1) to come back; spread 0 = constant."""

    values: NDArray[np.float32]
    level: Floats
    spread: Floats


def normalise(past: Floats, season: int) -> Scaled:
    """``past`` (B, T) in window units."""
    context = past.shape[1]
    level = past[:, -season if 1 < season <= context else -1 :].mean(axis=1, keepdims=True)
    spread = np.abs(past - level).mean(axis=1, keepdims=True)
    spread = np.where(spread <= LEAST_SPREAD * np.abs(level), 0.0, spread)
    return Scaled(to_window_units(past, level, spread), level, spread)


def inputs(values: NDArray[np.float32], season: int) -> NDArray[np.float32]:
    """What the network reads of ``values`` (B, T): (B, T, C), each value and the one a season before its successor.

    The second channel is 0 (the level of the window) where the window does not reach back so far, or the season is 1.
    """
    lag = np.zeros_like(values)
    if 1 < season <= values.shape[1]:
        lag[:, season - 1 :] = values[:, : values.shape[1] - season + 1]
    return np.stack([values, lag], axis=2)


def to_window_units(values: Floats, level: Floats, spread: Floats) -> NDArray[np.float32]:
    """``values`` (B, any) measured from ``level`` (B, 1) in units of ``spread`` (B, 1), at most ``FARTHEST`` of them.

    A constant window has no unit: whatever follows it is 0, as ``to_data_units`` will say of it.
    """
    away = np.divide(values - level, spread, out=np.zeros(values.shape), where=spread > 0)
    return np.clip(away, -FARTHEST, FARTHEST).astype(np.float32)


def to_data_units(values: NDArray[np.float32], level: Floats, spread: Floats) -> Floats:
    """What ``to_window_units`` did, undone; a constant window gives its level."""
    return level + values.astype(np.float64) * spread
