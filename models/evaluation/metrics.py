"""Measures of forecast error. ``actual`` and ``forecast`` are (B, H); each measure returns one number per row, (B,).

NaN in ``actual`` is a missing value: the step does not count, and a row without observed values is NaN. NaN in a
forecast of an observed value makes its row NaN.

Definitions: Hyndman & Koehler (2006), "Another look at measures of forecast accuracy" (MASE); Makridakis et al. (2020),
"The M4 Competition" (sMAPE from 0 to 200, OWA, MSIS); Makridakis et al. (2022), "M5 accuracy competition" (RMSSE);
Koenker & Bassett (1978), "Regression quantiles" (pinball loss).
"""

import numpy as np

from models.types import Floats

ROUNDING = 64 * float(np.finfo(np.float64).eps)  # a share of the largest value: 1e13 + 10 differs from 1e13
EXACT = 1e-6  # scaled error, up to which a forecast counts as exact


def row_means(errors: Floats, actual: Floats) -> Floats:
    """Return the mean of ``errors`` (B, H) over the observed steps, (B,)."""
    observed = ~np.isnan(actual)
    count = observed.sum(axis=1)
    total = np.where(observed, errors, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))


def mse(actual: Floats, forecast: Floats) -> Floats:
    """Return the mean squared error."""
    return row_means(np.square(actual - forecast), actual)


def rmse(actual: Floats, forecast: Floats) -> Floats:
    """Return the root mean squared error."""
    return np.sqrt(mse(actual, forecast))


def mae(actual: Floats, forecast: Floats) -> Floats:
    """Return the mean absolute error."""
    return row_means(np.abs(actual - forecast), actual)


def smape(actual: Floats, forecast: Floats) -> Floats:
    """Return the symmetric mean absolute percentage error, 0 to 200; a step where both values are 0 counts as 0."""
    size = np.abs(actual) + np.abs(forecast)
    return row_means(200.0 * (np.abs(actual - forecast) / np.where(size == 0, 1.0, size)), actual)


def naive_scale(history: Floats, season: int) -> float:
    """Return the denominator of MASE for one series: the mean absolute error of seasonal naive in ``history`` (n,).

    Pairs with a missing value do not count. NaN if there is no pair, for example if n <= season; 0 if the error is no
    larger than rounding.
    """
    return _seasonal_difference(history, season, 1)


def squared_scale(history: Floats, season: int) -> float:
    """Return the denominator of RMSSE: as ``naive_scale``, but the mean *squared* error. The M5 competition has
    ``season`` 1.
    """
    return _seasonal_difference(history, season, 2)


def error_unit(history: Floats, season: int, power: int = 1) -> float:
    """Return the unit in which errors of one series are measured, from its ``history`` (n,).

    That is the denominator of MASE, or of RMSSE if ``power`` is 2. Exactly periodic and short histories have none: then
    it is the naive error (as for season 1), or the mean of ``|y| ** power`` if that has none either; 0 for zeros only.
    """
    unit = variation(history, season, power)
    return unit if unit > 0 else mean_size(history, power)


def variation(history: Floats, season: int, power: int = 1) -> float:
    """Return the mean seasonal difference of ``history`` (n,), or that of neighbours if the former has no size.

    Differences are absolute, to the power ``power``. It is 0 for a history without two different neighbours.
    """
    units = (_seasonal_difference(history, lag, power) for lag in (season, 1))
    return next((unit for unit in units if unit > 0), 0.0)


def mean_size(history: Floats, power: int = 1) -> float:
    """Return the mean of ``|y| ** power`` of the observed values of ``history`` (n,); 0 if there is none."""
    values = np.abs(history[~np.isnan(history)]) ** power
    return float(values.mean()) if len(values) else 0.0


def relative_error(own: float, other: float) -> float:
    """Return ``own / other``, two mean scaled errors; beside an ``other`` that is exact both are at least ``EXACT``."""
    return own / other if other > EXACT else max(own, EXACT) / EXACT


def _seasonal_difference(history: Floats, season: int, power: int) -> float:
    """Return the mean of ``|y[t] - y[t - season]| ** power``, 0 if it is no larger than rounding."""
    differences = np.abs(history[season:] - history[:-season]) ** power
    differences = differences[~np.isnan(differences)]
    if len(differences) == 0:
        return float("nan")
    scale = float(differences.mean())
    return scale if scale > (ROUNDING * float(np.nanmax(np.abs(history)))) ** power else 0.0


def mase(actual: Floats, forecast: Floats, scale: Floats) -> Floats:
    """Return the mean absolute scaled error; ``scale`` (B,) from ``naive_scale``; NaN if the scale is 0 or NaN."""
    return mae(actual, forecast) / _positive_or_nan(scale)


def rmsse(actual: Floats, forecast: Floats, scale: Floats) -> Floats:
    """Return the root mean squared scaled error; ``scale`` (B,) from ``squared_scale``; NaN if that is 0 or NaN."""
    return np.sqrt(mse(actual, forecast) / _positive_or_nan(scale))


def owa(smape: float, mase: float, naive2_smape: float, naive2_mase: float) -> float:
    """Return M4's overall weighted average: two means over series, each over Naive2's (see ``relative_error``)."""
    return (relative_error(smape, naive2_smape) + relative_error(mase, naive2_mase)) / 2


def pinball(actual: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """Return the pinball loss of ``quantiles`` (B, H, Q) at ``levels`` (Q,), 0 to 1: (B, H, Q), NaN if not observed."""
    above = actual[:, :, None] - quantiles
    return np.maximum(levels * above, (levels - 1) * above)


def wql(actual: Floats, quantiles: Floats, levels: Floats) -> float:
    """Return the weighted quantile loss, mean over levels: twice the pinball loss over the sum of |actual|.

    One number for all B rows, as in GluonTS; NaN if nothing was observed or every value is 0.
    """
    size = float(np.nansum(np.abs(actual)))
    observed = ~np.isnan(actual)
    return (
        float(2 * pinball(actual, quantiles, levels)[observed].sum() / (size * len(levels))) if size else float("nan")
    )


def coverage(actual: Floats, lo: Floats, hi: Floats) -> Floats:
    """Return the share of observed values from ``lo`` to ``hi`` (B, H), bounds included."""
    return row_means(((lo <= actual) & (actual <= hi)).astype(np.float64), actual)


def msis(actual: Floats, lo: Floats, hi: Floats, level: int, scale: Floats) -> Floats:
    """Return the mean scaled interval score of central intervals of ``level`` percent (M4: 95).

    It is the width, plus 2 / (1 - level) times the distance of a value outside the interval (Gneiting & Raftery, 2007),
    divided by ``scale`` (B,) from ``naive_scale``.
    """
    outside = np.maximum(lo - actual, 0) + np.maximum(actual - hi, 0)
    return row_means(hi - lo + outside * 200 / (100 - level), actual) / _positive_or_nan(scale)


def _positive_or_nan(scale: Floats) -> Floats:
    return np.where(scale > 0, scale, np.nan)
