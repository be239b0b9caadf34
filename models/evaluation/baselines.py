"""Baseline forecasts that a model must beat.

Naive, seasonal naive and drift are fast and vectorised: ``past`` (B, T) -> (B, H), NaN = missing. Naive2, Theta and
ETS are fitted to one history at a time, (n,) -> (H,). Definitions: Hyndman & Athanasopoulos, *Forecasting: Principles
and Practice* (3rd ed., 2021), ch. 5; Naive2 as in Makridakis et al. (2020), "The M4 Competition".
"""

import warnings
from collections.abc import Callable, Mapping

import numpy as np

from models.errors import ForecastError
from models.types import Floats, Ints

MAX_FITTED = 1_000  # points; with more, fitting takes seconds and changes little
MAX_ADJUSTED = 10_000  # points for Naive2, above the longest series of M4
MAX_SEASON = {"theta": 60, "ets": 24}  # longer seasons take minutes, or cannot be fitted at all
SEASONS_TO_TEST = 3  # of history that Naive2 needs to test for a season
TEST_90_PERCENT = 1.645


class CannotFit(ForecastError):
    """A baseline could not be fitted to a history; the message gives the reason."""


def naive(past: Floats, horizon: int) -> Floats:
    """Return the last observed value, ``horizon`` times; NaN if nothing was observed."""
    rows, last = np.arange(len(past)), _last_observed(past)
    return np.repeat(past[rows, last][:, None], horizon, axis=1)


def seasonal_naive(past: Floats, horizon: int, season: int) -> Floats:
    """Return for each step the newest value observed a whole number of seasons before it.

    A step without such a value, for example if T < ``season``, gets the naive forecast. Padding the past with NaN on
    its left changes nothing.
    """
    newest = np.full((len(past), season), np.nan)
    newest[:, max(season - past.shape[1], 0) :] = past[:, -season:]
    gaps = np.isnan(newest).any(axis=1)  # rows that need more of the past than the last season
    if gaps.any():
        rows = past[gaps]
        folds = np.pad(rows, ((0, 0), (-rows.shape[1] % season, 0)), constant_values=np.nan)
        folds = folds.reshape(len(rows), -1, season).swapaxes(1, 2).reshape(len(rows) * season, -1)
        of_phase = naive(folds, 1).reshape(len(rows), season)  # newest value observed at each phase
        newest[gaps] = np.where(np.isnan(of_phase), naive(rows, 1), of_phase)
    return np.asarray(newest[:, np.arange(horizon) % season])


def drift(past: Floats, horizon: int) -> Floats:
    """Return the line through the first and the last observed value, extended; naive if both are the same value."""
    rows, last = np.arange(len(past)), _last_observed(past)
    first = np.argmax(~np.isnan(past), axis=1)
    value, span = past[rows, last], np.maximum(last - first, 1)
    slope = (value - past[rows, first]) / span
    ahead = past.shape[1] - last[:, None] + np.arange(horizon)
    return np.asarray(value[:, None] + slope[:, None] * ahead)


def _last_observed(past: Floats) -> Ints:
    """Return the column of the last observed value of each row, (B,); the last column if there is none."""
    return np.asarray(past.shape[1] - 1 - np.argmax(~np.isnan(past[:, ::-1]), axis=1))


def interpolate_gaps(history: Floats) -> Floats:
    """Return ``history`` (n,) from its first observed value on, with linearly interpolated gaps.

    Raises:
        CannotFit: nothing was observed.
    """
    known = np.flatnonzero(~np.isnan(history))
    if len(known) == 0:
        raise CannotFit("no value of the history was observed")
    return np.interp(np.arange(known[0], len(history)), known, history[known])


def naive2(history: Floats, horizon: int, season: int) -> Floats:
    """Return the naive forecast of the seasonally adjusted ``history`` (n,) if a 90 % test finds a season; else naive.

    It reads the last ``MAX_ADJUSTED`` points. The factors are those of the classical multiplicative decomposition; if
    one of them is 0 or less, the forecast is naive.

    Raises:
        CannotFit: nothing was observed.
    """
    y = interpolate_gaps(history)[-MAX_ADJUSTED:]
    factors = _seasonal_factors(y, season) if _is_seasonal(y, season) else np.ones(1)
    if not (np.isfinite(factors).all() and (factors > 0).all()):
        factors = np.ones(1)
    phase = np.arange(len(y) - 1, len(y) + horizon) % len(factors)
    return np.asarray(y[-1] * factors[phase[1:]] / factors[phase[0]])


def _is_seasonal(y: Floats, season: int) -> bool:
    """Return whether the autocorrelation at lag ``season`` exceeds its bound, given those at shorter lags."""
    if season == 1 or len(y) < SEASONS_TO_TEST * season:
        return False
    centred = y - y.mean()
    power = float(centred @ centred)
    if power == 0:
        return False
    acf = np.array([centred[lag:] @ centred[: len(y) - lag] for lag in range(1, season + 1)]) / power
    bound = TEST_90_PERCENT * np.sqrt((1 + 2 * np.square(acf[:-1]).sum()) / len(y))
    return bool(abs(acf[-1]) > bound)


def _seasonal_factors(y: Floats, season: int) -> Floats:
    """Return the factor of each phase, (season,), with mean 1: the mean ratio of value to centred moving average."""
    weights = np.ones(season) if season % 2 else np.concatenate([[0.5], np.ones(season - 1), [0.5]])
    trend = np.convolve(y, weights / season, mode="valid")
    margin = (len(weights) - 1) // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = y[margin : margin + len(trend)] / trend
        phase = np.arange(margin, margin + len(trend)) % season
        means = np.bincount(phase, ratio, season) / np.bincount(phase, minlength=season)
        return np.asarray(means / means.mean())


def theta(history: Floats, horizon: int, season: int) -> Floats:
    """Return the forecast of statsforecast's AutoTheta (Fiorucci et al., 2016) on the last ``MAX_FITTED`` points.

    Raises:
        CannotFit: statsforecast is not installed or cannot fit ``history`` (n,), or the season is over 60.
    """
    return _statistical("theta", history, horizon, season)


def ets(history: Floats, horizon: int, season: int) -> Floats:
    """Return the forecast of statsforecast's AutoETS (Hyndman et al., 2002) on the last ``MAX_FITTED`` points.

    Raises:
        CannotFit: statsforecast is not installed or cannot fit ``history`` (n,), or the season is over 24.
    """
    return _statistical("ets", history, horizon, season)


def fitting_cost_s(name: str, points: int, season: int) -> float:
    """Return the approximate processor time of one fit of ``theta`` or ``ets`` to ``points`` of history, in seconds.

    Measured with statsforecast 2.1 on a Xeon of 2.6 GHz. It is known before the fit and independent of the machine.
    """
    fitted = min(points, MAX_FITTED)
    if name == "theta":
        return 1.2e-4 * fitted
    return 5e-5 * fitted if season == 1 else 0.02 + 5e-4 * fitted


def _statistical(name: str, history: Floats, horizon: int, season: int) -> Floats:
    if season > MAX_SEASON[name]:
        raise CannotFit(f"a season of {season} is over {MAX_SEASON[name]}, which takes minutes to fit")
    y = interpolate_gaps(history)[-MAX_FITTED:]
    try:
        from statsforecast.models import AutoETS, AutoTheta  # noqa: PLC0415 - an extra, 5 s and 300 MB: not for serving
    except ImportError as error:
        raise CannotFit("statsforecast is not installed; install the extra `worker`") from error
    model = {"theta": AutoTheta, "ets": AutoETS}[name](season_length=season)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            mean = np.asarray(model.forecast(y=y, h=horizon)["mean"], dtype=np.float64)
    except Exception as error:  # it raises bare Exception; a failed baseline must not end a backtest
        raise CannotFit(f"statsforecast cannot fit it: {str(error)[:100]}") from error
    if not np.isfinite(mean).all():
        raise CannotFit("statsforecast gave NaN or infinity")
    return mean


Quick = Callable[[Floats, int, int], Floats]  # past (B, T), horizon, season -> (B, H)
Fitted = Callable[[Floats, int, int], Floats]  # history (n,), horizon, season -> (H,)

QUICK: Mapping[str, Quick] = {
    "seasonal_naive": seasonal_naive,
    "naive": lambda past, horizon, _: naive(past, horizon),
    "drift": lambda past, horizon, _: drift(past, horizon),
}
FITTED: Mapping[str, Fitted] = {"naive2": naive2, "theta": theta, "ets": ets}
