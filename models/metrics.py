"""Measures of forecast error. ``actual`` and ``forecast`` are (B, H); each measure gives one number per row, (B,).

Definitions: Hyndman & Koehler (2006), "Another look at measures of forecast accuracy" (MASE); Makridakis et al. (2020),
"The M4 Competition" (sMAPE from 0 to 200).
"""

import numpy as np

from models.panel import Floats

ROUNDING = 1e-12  # a share of the largest value


def mse(actual: Floats, forecast: Floats) -> Floats:
    """Mean squared error."""
    return np.asarray(np.square(actual - forecast).mean(axis=1))


def rmse(actual: Floats, forecast: Floats) -> Floats:
    """Root of the mean squared error."""
    return np.sqrt(mse(actual, forecast))


def mae(actual: Floats, forecast: Floats) -> Floats:
    """Mean absolute error."""
    return np.asarray(np.abs(actual - forecast).mean(axis=1))


def smape(actual: Floats, forecast: Floats) -> Floats:
    """Symmetric mean absolute percentage error, 0 to 200; a step where both are 0 counts as 0."""
    size = np.abs(actual) + np.abs(forecast)
    return np.asarray(200.0 * (np.abs(actual - forecast) / np.where(size == 0, 1.0, size)).mean(axis=1))


def naive_scale(history: Floats, season: int) -> float:
    """MASE's unit for one series: the mean absolute error of seasonal naive within ``history`` (n,).

    NaN where n <= season; 0 where the error is no more than rounding.
    """
    if len(history) <= season:
        return float("nan")
    scale = float(np.abs(history[season:] - history[:-season]).mean())
    return scale if scale > ROUNDING * float(np.abs(history).max()) else 0.0


def mase(actual: Floats, forecast: Floats, scale: Floats) -> Floats:
    """Mean absolute scaled error; ``scale`` (B,) from ``naive_scale``; NaN where the scale is 0 or NaN."""
    unit = np.where(scale > 0, scale, np.nan)
    return mae(actual, forecast) / unit
