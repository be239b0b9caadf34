"""Prediction of each value of a series from the values before it, as the past of the series teaches it.

The prediction is linear in the values one and two steps and one season before. Its errors show whether new values still
follow the past: those of noise, or of another series, are larger than the values are far from their own level.
"""

import numpy as np

from models.types import Floats

MIN_PAIRS = 12  # values of the past for each coefficient
OUTLIER = 3.0  # median distances from the level; a pair with a value further away counts less
RIDGE = 1e-3  # share of the mean square of the values, added to the diagonal of the normal equations


def pattern_errors(values: Floats, known: int, season: int) -> Floats:
    """Return the error of the prediction of each of ``values`` (n,), fitted to the first ``known`` of them.

    It is NaN if the value or one of those before it is missing, and everywhere if too few are known to fit anything.
    """
    errors = np.full(len(values), np.nan)
    # The most useful steps first, and as many as can be fitted.
    lags = [lag for lag in dict.fromkeys((1, season, 2, season + 1)) if lag <= known // 4]
    lags = lags[: (known - max(lags, default=0)) // MIN_PAIRS]
    if not lags or np.isnan(values[:known]).all():
        return errors
    centred = values - np.nanmedian(values[:known])
    before = np.stack([np.concatenate([np.full(lag, np.nan), centred[:-lag]]) for lag in lags], axis=1)
    taught = ~np.isnan(before[:known]).any(axis=1) & ~np.isnan(centred[:known])
    coefficients = _fit(before[:known][taught], centred[:known][taught])
    return errors if coefficients is None else centred - before @ coefficients


def _fit(before: Floats, values: Floats) -> Floats | None:
    """Return the coefficients of ``values`` (n,) on ``before`` (n, k); None if there are too few pairs or only zeros.

    Pairs with a value far from the level count less, so that outliers do not decide.
    """
    count, lags = before.shape
    if count < MIN_PAIRS * lags / 2 or not values.any():
        return None
    sizes = np.abs(values)
    size = OUTLIER * float(np.median(sizes)) or float(sizes.mean())
    before, values = before / size, values / size
    largest = np.maximum(np.abs(before).max(axis=1), np.abs(values))
    weighted = before / np.maximum(1.0, largest)[:, None] ** 2
    square = weighted.T @ before
    ridge = RIDGE * max(float(np.trace(square)) / lags, 1.0) * np.eye(lags)
    return np.asarray(np.linalg.solve(square + ridge, weighted.T @ values))
