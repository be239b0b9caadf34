"""Mean of a forecast whose network learned something else, such as quantiles or absolute errors.

A median and a few quantiles determine a mean only as far as the tails of the distribution are known. Demand that is
zero on most days has a median of zero and a mean above the highest quantile that a network learns. The backtest
measures the rest: the mean residual in units of each window's spread, one number for all windows and steps, so that
sums of the mean agree with sums of the values. Measured without error, it is added as it is; otherwise it is reduced
by the share of its square that sampling error explains (the positive part of James & Stein, 1961, "Estimation with
Quadratic Loss").
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.types import Floats, Ints

MIN_GROUPS = 3  # groups of residuals; the error of a mean of fewer is not known
ROUNDS = 30  # of the fixed-point iteration; one is exact where no bound clips
Clip = Callable[[Floats, Ints], Floats]  # values (B, H) of the windows with the numbers (B,) -> within their bounds


class MeanCorrection(NamedTuple):
    """Correction of a mean: ``shift`` times the spread of a window and, where a window holds only zeros,
    ``after_zeros`` in data units, since it has no spread.
    """

    shift: float = 0.0
    after_zeros: float = 0.0

    def apply(self, median: Floats, mean: Floats, spread: Floats) -> Floats:
        """Return the corrected ``mean`` (B, H) of windows with the ``spread`` (B, 1)."""
        if self.shift:
            mean = mean + self.shift * spread
        if self.after_zeros and not spread.all():
            mean = mean + np.where(_all_zero(median, spread), self.after_zeros, 0.0)
        return mean


NO_CORRECTION = MeanCorrection()


class Residuals(NamedTuple):
    """Predictions and ``actual`` values (B, H) of B windows; NaN was not observed.

    ``groups`` (B,): number of the group of each window, such as its origin; errors of one group depend on each other.
    """

    median: Floats
    mean: Floats
    spread: Floats
    actual: Floats
    groups: Ints


@np.errstate(
    over="ignore", under="ignore", invalid="ignore", divide="ignore"
)  # values near the largest float: the correction is then 0
def fit_mean(residuals: Residuals, clip: Clip) -> MeanCorrection:
    """Return the correction by which sums of the clipped mean equal sums of the actual values, shrunk by its error."""
    median, mean, spread, _, _ = residuals
    idle = _all_zero(median, spread)
    units = np.where(spread > 0, spread, 0.0)
    shift = _ratio(residuals, np.broadcast_to(units, mean.shape), clip)
    after_zeros = _ratio(residuals, np.broadcast_to(np.where(idle, 1.0, 0.0), mean.shape), clip)
    return MeanCorrection(shift, after_zeros)


def _all_zero(median: Floats, spread: Floats) -> NDArray[np.bool_]:
    """Return for each window, (B, 1), whether it holds only zeros: it has no spread, and its forecast is 0."""
    return np.asarray((spread == 0) & (median == 0).all(axis=1, keepdims=True))


def _ratio(residuals: Residuals, units: Floats, clip: Clip) -> float:
    """Return the multiple of ``units`` (B, H) that the mean lacks on the observed values, shrunk by its error."""
    counted = ~np.isnan(residuals.actual) & (units > 0)
    rows = np.flatnonzero(counted.any(axis=1))
    counted, units, mean = counted[rows], units[rows], residuals.mean[rows]
    actual, total = np.where(counted, residuals.actual[rows], 0.0), units[counted].sum()
    names, groups = np.unique(residuals.groups[rows], return_inverse=True)
    if len(names) < MIN_GROUPS or not 0 < total < np.inf:
        return 0.0
    factor, missing = np.float64(0), np.zeros(len(rows))
    for _ in range(ROUNDS):
        missing = (actual - np.where(counted, clip(mean + factor * units, rows), 0.0)).sum(axis=1)
        step = missing.sum() / total
        factor += step
        if abs(step) <= 1e-9 * abs(factor):
            break
    if factor == 0:
        return 0.0
    errors = np.bincount(groups, missing) / total / factor
    kept = 1 - float(np.square(errors).sum()) * len(names) / (len(names) - 1)
    return float(factor * kept) if np.isfinite(factor * kept) and kept > 0 else 0.0
