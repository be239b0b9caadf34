"""The forecasts that a model must beat: the same face as a forecaster's, windows in and steps out."""

import numpy as np

from models.panel import Floats


def naive(past: Floats, horizon: int) -> Floats:
    """The last value, ``horizon`` times: ``past`` (B, T) -> (B, H)."""
    return np.repeat(past[:, -1:], horizon, axis=1)


def seasonal_naive(past: Floats, horizon: int, season: int) -> Floats:
    """The values of the last season, over and over: ``past`` (B, T) -> (B, H); naive where T < season."""
    if season > past.shape[1]:
        return naive(past, horizon)
    return past[:, -season + np.arange(horizon) % season]
