"""Per-window normalisation: part of the forecaster, so that serving cannot differ from training.

A window is measured from its own level in units of its own spread: the mean absolute deviation of its observed points
from that level. A forecaster that only reads such numbers satisfies f(a x + b) = a f(x) + b for a > 0. Missing values
are NaN in data units and are left out of every level and spread.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.masks import has_all, has_any
from models.types import Float32, Floats

# A spread up to this share of the level is rounding of float64, not signal: the window has no spread of its own.
MIN_SPREAD = 16 * float(np.finfo(np.float64).eps)
MIN_CONSTANT = 8  # equal values that show a series to be constant; fewer only where the window is shorter
NO_UNIT: Float32 = np.zeros(2, dtype=np.float32)  # learned unit of a network that learned none
PERIODIC_UNIT = 0.01  # unit of a window that repeats itself exactly, as a share of its mean absolute deviation
# In window units: no point of a window of up to 10,000 is farther from its level, but a point after the window may be.
MAX_DEVIATION = 1e4


class Scale(NamedTuple):
    """The units of a batch of windows.

    ``level`` (B, season or 1): the zero of the k-th step after the window, repeated for later seasons; ``spread``
    (B, 1): the unit, 0 for a constant window; ``measured`` (B, 1): whether the unit is that of the window itself, or 0,
    and not the one that training learned for windows with too few values.
    """

    level: Floats
    spread: Floats
    measured: NDArray[np.bool_]

    @classmethod
    def of(cls, level: Floats, spread: Floats) -> "Scale":
        """Return the scale of windows that have units of their own."""
        return cls(level, spread, np.ones(spread.shape, dtype=np.bool_))

    def ahead(self, steps: int) -> Floats:
        """Return the level of each of the next ``steps``, (B, steps); (B, 1) if it is the same for all."""
        season = self.level.shape[1]
        if season == 1:
            return self.level
        return self.level[:, :steps] if steps <= season else np.asarray(self.level[:, np.arange(steps) % season])

    def to_window(self, values: Floats) -> Float32:
        """Return the ``values`` (B, any) after the window in its units, clipped to ``MAX_DEVIATION``; NaN stays.

        A constant window has no unit: every value after it becomes 0, and ``to_data`` gives its level.
        """
        return _to_units(values - self.ahead(values.shape[1]), self.spread)

    def to_data(self, values: Float32) -> Floats:
        """Undo ``to_window``: return ``values`` (B, any) in data units; a constant window gives its level."""
        return self.ahead(values.shape[1]) + values.astype(np.float64) * self.spread


class Scaled(NamedTuple):
    """A normalised window: ``values`` (B, T) float32 in window units, NaN where missing, and the scale."""

    values: Float32
    scale: Scale


def normalise(past: Floats, season: int, scaling: str, prior: Float32, unit: Float32 = NO_UNIT) -> Scaled:
    """Return ``past`` (B, T), each row with an observed value, in the units of the named scaling.

    A row without a spread of its own is constant only if it has ``MIN_CONSTANT`` equal values, or is full of them. With
    fewer values its spread is unknown: it gets the learned ``unit`` (2,), a spread and, above 0 for positive data, a
    share of the level instead.
    """
    scaled = SCALINGS[scaling].normalise(past, season, prior)
    if has_all(scaled.scale.spread > 0):
        return scaled
    return scaled._replace(scale=_complete_units(past, scaled.scale, unit))


def _complete_units(past: Floats, scale: Scale, unit: Float32) -> Scale:
    """Return ``scale`` with a unit for each row that is not shown to be constant."""
    count, centre = (~np.isnan(past)).sum(axis=1, keepdims=True), observed_mean(past)
    deviation = observed_mean(np.abs(past - centre))
    varies = deviation > MIN_SPREAD * np.abs(centre)
    unknown = (scale.spread == 0) & ~varies & (count < min(MIN_CONSTANT, past.shape[1]))
    size, share = (float(value) for value in unit)
    learned = np.where(share * np.abs(centre) > 0, share * np.abs(centre), size)
    spread = np.where(unknown, learned, scale.spread)
    # A scaling by season has no spread where each season equals the last.
    spread = np.where((scale.spread == 0) & varies, PERIODIC_UNIT * deviation, spread)
    return Scale(scale.level, spread, ~unknown)


def by_last_season(past: Floats, season: int, prior: Float32) -> Scaled:
    """Measure from the mean of the last season, or from the last value if the window holds no whole season."""
    last = past[:, -season:] if 1 < season <= past.shape[1] else past[:, :0]
    level = observed_mean(last)
    return _normalise_around(past, np.where(np.isnan(level), _last(past), level))


def by_last_value(past: Floats, season: int, prior: Float32) -> Scaled:
    """Measure from the last observed value."""
    return _normalise_around(past, _last(past))


def by_mean(past: Floats, season: int, prior: Float32) -> Scaled:
    """Measure from the mean, in standard deviations."""
    level = observed_mean(past)
    return _normalise_around(past, level, np.sqrt(observed_mean(np.square(past - level))))


def by_season(past: Floats, season: int, prior: Float32) -> Scaled:
    """Subtract from each value the one a season before; the first season has none before it and counts as missing.

    The steps ahead are measured from the newest season, whose missing values are filled from earlier seasons.
    """
    filled = fill(past, season)
    change = np.full_like(past, np.nan)
    change[:, season:] = past[:, season:] - filled[:, :-season]
    level = np.where(np.isnan(filled[:, -season:]), observed_mean(past), filled[:, -season:])
    spread = np.nan_to_num(observed_mean(np.abs(change)))
    spread = np.where(spread <= MIN_SPREAD * np.abs(level).max(axis=1, keepdims=True), 0.0, spread)
    return Scaled(_to_units(change, spread), Scale.of(level, spread))


def by_training_panel(past: Floats, season: int, prior: Float32) -> Scaled:
    """Measure from the level and in the spread of the training panel, ``prior`` (2,)."""
    level, spread = (np.full((len(past), 1), float(value)) for value in prior)
    return Scaled(_to_units(past - level, spread), Scale.of(level, spread))


class Scaling(NamedTuple):
    """A way to normalise ``past`` (B, T): ``normalise`` takes it, the season and the panel's ``prior`` (2,)."""

    normalise: Callable[[Floats, int, Float32], Scaled]
    by_season: bool = False  # subtracts a season from the next, so that the window must hold one
    by_panel: bool = False  # every window is measured alike, by the training panel's level and spread


SCALINGS = {
    "level": Scaling(by_last_season),
    "last": Scaling(by_last_value),
    "standard": Scaling(by_mean),
    "seasonal": Scaling(by_season, by_season=True),
    "panel": Scaling(by_training_panel, by_panel=True),
}


def _normalise_around(past: Floats, level: Floats, spread: Floats | None = None) -> Scaled:
    away = past - level
    unit = observed_mean(np.abs(away)) if spread is None else spread
    rounding = unit <= MIN_SPREAD * np.abs(level)
    if has_any(rounding):
        unit = np.where(rounding, 0.0, unit)
    return Scaled(_to_units(away, unit), Scale.of(level, unit))


def _to_units(away: Floats, spread: Floats) -> Float32:
    if has_all(spread > 0):
        within = away / spread
    else:
        within = np.divide(away, spread, out=np.where(np.isnan(away), np.nan, 0.0), where=spread > 0)
    np.minimum(within, MAX_DEVIATION, out=within)
    return np.maximum(within, -MAX_DEVIATION, out=within).astype(np.float32)


def observed_mean(values: Floats) -> Floats:
    """Return the mean of the observed values, (B, 1); NaN for a row without any."""
    total = np.add.reduce(values, axis=1, keepdims=True)
    if values.shape[1] and not has_any(np.isnan(total)):  # the usual case: nothing is missing
        return np.asarray(total / values.shape[1])
    seen = ~np.isnan(values)
    count = seen.sum(axis=1, keepdims=True)
    total = np.where(seen, values, 0.0).sum(axis=1, keepdims=True)
    return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))


def _last(past: Floats) -> Floats:
    """Return the newest observed value, (B, 1)."""
    if not has_any(np.isnan(past[:, -1])):
        return past[:, -1:]
    newest = past.shape[1] - 1 - np.argmax(~np.isnan(past[:, ::-1]), axis=1)
    return np.take_along_axis(past, newest[:, None], axis=1)


def fill(values: NDArray[np.floating], season: int) -> NDArray[np.floating]:
    """Return ``values`` (B, T) with missing ones filled from the nearest earlier season; NaN where none has a value."""
    filled = values.copy()
    if not has_any(np.isnan(filled)):
        return filled
    for begin in range(season, filled.shape[1], season):
        now, before = filled[:, begin : begin + season], filled[:, begin - season : begin]
        before = before[:, : now.shape[1]]
        now[...] = np.where(np.isnan(now), before, now)
    return filled
