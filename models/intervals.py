"""Prediction intervals by split conformal calibration, step by step.

The residuals of forecasts that the network was not fitted to, in window units, are sorted for each step; the radius for
a level is their finite-sample quantile: with n residuals the ceil((n + 1) level)-th smallest (Vovk, Gammerman & Shafer,
*Algorithmic Learning in a Random World*, 2005; Lei et al., "Distribution-Free Predictive Inference for Regression",
2018). Per-step calibration follows Stankeviciute et al., "Conformal Time-Series Forecasting" (2021), without their
correction for all steps at once: each step is covered by itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import Fault, InputError
from models.panel import Floats

LEVELS = np.arange(1, 100)  # percent


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """``radii`` (H, 99) float32 in window units, level 1 to 99 %; NaN where ``count`` residuals are too few for it."""

    radii: NDArray[np.float32]
    count: int

    @property
    def highest_level(self) -> int:
        """The highest level, in percent, that this many residuals can vouch for; 0 if none."""
        return int(min(99, np.floor(100 * self.count / (self.count + 1))))

    def radius(self, level: int, horizon: int) -> Floats:
        """Half the width of the interval for ``level`` percent, (horizon,), in window units.

        Beyond the calibrated steps it grows with the square root of the step, as for a random walk.

        Raises:
            InputError: the level is higher than the calibration can vouch for, or not a percentage.
        """
        if not 1 <= level <= 99:
            message, hint = f"level {level} is not a percentage from 1 to 99", "ask for levels such as 80 or 95"
            raise InputError([Fault(code="bad_level", field="levels", message=message, hint=hint)])
        if level > self.highest_level:
            message = f"level {level} needs more than the {self.count} calibration residuals of this version"
            hint = f"ask for at most {self.highest_level}, or train on longer history"
            raise InputError([Fault(code="level_too_high", field="levels", message=message, hint=hint)])
        known = self.radii[:, level - 1].astype(np.float64)
        beyond = np.arange(len(known) + 1, horizon + 1)
        return np.concatenate([known, known[-1] * np.sqrt(beyond / len(known))])[:horizon]


def calibrate(residuals: Floats) -> Calibration:
    """The calibration from ``residuals`` (N, H), actual minus forecast in window units; rows with NaN are left out."""
    scores = np.sort(np.abs(residuals[np.isfinite(residuals).all(axis=1)]), axis=0)
    scores = np.minimum(scores, np.finfo(np.float32).max)
    count = len(scores)
    rank = np.ceil((count + 1) * LEVELS / 100).astype(int)
    radii = np.full((scores.shape[1], len(LEVELS)), np.nan, dtype=np.float32)
    reachable = rank <= count
    radii[:, reachable] = scores[rank[reachable] - 1].T
    return Calibration(radii, count)


def coverage(residuals: Floats, calibration: Calibration, level: int) -> float | None:
    """Share of ``residuals`` (N, H) inside the interval for ``level`` percent; None where nothing can be said."""
    if level > calibration.highest_level or len(residuals) == 0:
        return None
    inside = np.abs(residuals) <= calibration.radius(level, residuals.shape[1])
    return float(inside.mean())
