"""Predictions and their intervals, by split conformal calibration.

The score of an actual value is the normal score at which the model's own half-width, on the side of the value, just
reaches it (see ``models.evaluation.half_widths``): 0 for the median. Scores are measured for each step on forecasts
that the network was not fitted to; the radius for a level is their finite-sample quantile (see
``models.evaluation.radii``), and an interval holds every value whose score is at most the radius. These sets are nested
by level and hold the median, so split conformal prediction is valid for them (Gupta, Kuchibhotla & Ramdas, "Nested
Conformal Prediction and Quantile Out-of-Bag Ensemble Methods", 2022). If the network reads transformed values, scores
are those of transformed values.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.masks import has_all, has_any
from models.errors import InputError
from models.evaluation.half_widths import Sides, sides_of
from models.evaluation.horizon_parts import PARTS, parts_of
from models.evaluation.mean import NO_CORRECTION, MeanCorrection
from models.evaluation.prediction import Basis, Interval, Prediction, band
from models.evaluation.radii import LEVELS, beyond_radii, range_radii, step_radii
from models.types import Floats, Ints

__all__ = ["LEVELS", "Basis", "Calibration", "Interval", "Prediction", "Rolled", "band", "calibrate"]

MIN_HALF_WIDTH = 1e-4  # window units: exact forecasts of varying data keep a width
# Standard deviation of a normal value over its mean absolute deviation, the unit of a window.
DEVIATION = math.sqrt(math.pi / 2)
ROUNDING = 8 * float(np.finfo(np.float64).eps)  # of the median: bounds of large values differ from it


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """``radii`` (H, 99) float32, normal scores for the levels 1 to 99 %; NaN where a step has too few residuals.

    ``count``: residuals of the step that has fewest. ``beyond`` (R, 99): radii beyond the H trained steps, measured on
    forecasts that were rolled so far, one for each of ``models.evaluation.radii.RANGES``; NaN, or None, where there
    were too few. ``scales`` (H + 1, 99): factors of the radii of each trained step, and last of those beyond, learned
    from forecasts that were observed after the calibration (see ``models.evaluation.adaptive_intervals``).
    ``mean``: correction of the mean, measured on the same residuals.
    """

    radii: NDArray[np.float32]
    count: int
    beyond: NDArray[np.float32] | None = None
    scales: Floats | None = None
    mean: MeanCorrection = NO_CORRECTION

    def correct(self, prediction: Prediction) -> Prediction:
        """Return ``prediction`` with the corrected mean."""
        if self.mean == NO_CORRECTION:
            return prediction
        return prediction._replace(mean=self.mean.apply(prediction.median, prediction.mean, prediction.spread))

    def with_scales(self, scales: Floats | None) -> "Calibration":
        """Return the calibration with other ``scales``: (P, 99), one row for each of ``PARTS``, or (99,) for all."""
        if scales is None:
            return replace(self, scales=None)
        trained = len(self.radii)
        by_part = np.broadcast_to(scales, (len(PARTS), len(LEVELS)))
        return replace(self, scales=by_part[parts_of(trained, trained + 1)])

    @property
    def highest_level(self) -> int:
        """Return the highest level, in percent, for which there are enough residuals; 0 if none."""
        return min(99, 100 * self.count // (self.count + 1))

    def check_level(self, level: int, constant: bool = False) -> None:
        """Refuse a level that no forecast can have, or none of windows that are not all ``constant``.

        Raises:
            InputError: ``bad_level`` or ``level_too_high``: not a percentage, or too high for the number of residuals.
        """
        if not 1 <= level <= 99:
            message, hint = f"level {level} is not a percentage from 1 to 99", "ask for levels such as 80 or 95"
            raise InputError.of("bad_level", message, hint, field="levels")
        if level > self.highest_level and not constant:
            message = f"level {level} needs more than the {self.count} calibration residuals of this version"
            hint = f"ask for at most {self.highest_level}, or train on longer history"
            if not self.count:
                hint = "ask for no levels, or train on data that vary: all windows of its backtest were constant"
            raise InputError.of("level_too_high", message, hint, field="levels")

    def radius(self, level: int, horizon: int) -> Floats:
        """Return the radius of each step for ``level`` percent, (horizon,); no smaller than that of a lower level.

        For a model without quantiles it is half the width of the interval in window units. Beyond the trained steps it
        is that of the last one if none was measured there.

        Raises:
            InputError: ``bad_level`` or ``level_too_high``.
        """
        self.check_level(level)
        trained, last = len(self.radii), slice(-1, None)
        known = self._scaled(self.radii, level, slice(trained))
        if horizon <= trained:
            return known[:horizon]
        if not self.measured_beyond:
            return np.concatenate([known, np.repeat(self._scaled(self.radii[last], level, last), horizon - trained)])
        assert self.beyond is not None
        return np.concatenate([known, beyond_radii(self._scaled(self.beyond, level, last), trained, horizon)])

    @property
    def measured_beyond(self) -> bool:
        """Whether errors beyond the trained steps were measured."""
        return self.beyond is not None and bool(np.isfinite(self.beyond[:, 0]).any())

    def _scaled(self, radii: NDArray[np.float32], level: int, steps: slice) -> Floats:
        """Return ``radii`` (n, 99) of a level, times the factors of the rows ``steps`` of ``scales``."""
        if self.scales is None:
            return radii[:, level - 1].astype(np.float64)
        return np.asarray((radii[:, :level] * self.scales[steps, :level]).max(axis=1), dtype=np.float64)

    def intervals(self, prediction: Prediction, levels: Sequence[int]) -> Mapping[int, Interval]:
        """Return the calibrated interval for each of ``levels`` (percent, 1 to 99), the lowest first.

        Each holds the median, higher levels contain lower ones, and no step beyond the trained ones has a narrower
        interval than the step before. A constant window, and no other, has an interval without width. A window with too
        few values to show how they vary has an interval at least as wide as a usual series varies about its level: the
        calibration was measured on windows that the network could read. In the end all are clipped to the bounds of
        ``prediction``.

        Raises:
            InputError: ``bad_level`` or ``level_too_high``.
        """
        if not levels:
            return {}
        if prediction.bounds is not None:
            clip, unbounded = prediction.bounds.clip, self.intervals(prediction._replace(bounds=None), levels)
            return {level: Interval(clip(lo), clip(hi)) for level, (lo, hi) in unbounded.items()}
        wanted, constant = sorted(set(levels)), prediction.spread == 0
        is_constant = has_all(constant)
        for level in wanted:
            self.check_level(level, is_constant)
        if is_constant:
            return {level: Interval(prediction.median, prediction.median) for level in wanted}
        made: dict[int, Interval] = {}
        basis, varies = prediction.basis, ~constant if has_any(constant) else None
        middle = basis.apply(prediction.median)
        least = np.maximum(MIN_HALF_WIDTH * basis.unit, ROUNDING * np.abs(middle))
        for level, (down, up) in zip(wanted, self.half_widths(prediction, wanted), strict=True):
            enough = _usual_least(least, basis, level)
            lo = self._widen(down, enough)
            hi = lo if up is down else self._widen(up, enough)
            half = Interval(lo, hi) if varies is None else Interval(lo * varies, hi * varies)
            made[level] = self._to_data(prediction, middle, half, made[max(made)] if made else None)
        return made

    def half_widths(self, prediction: Prediction, levels: Sequence[int]) -> Iterator[tuple[Floats, Floats]]:
        """Yield the distances of the bounds below and above the median for each level, (B, H) each, as transformed."""
        horizon = prediction.median.shape[1]
        down, up = _sides(prediction, len(self.radii), self.measured_beyond)
        for level in levels:
            radii = self.radius(level, horizon)
            below = down.at(radii)
            yield below, below if up is down else up.at(radii)

    def needed_scales(self, prediction: Prediction, actual: Floats) -> Iterator[Floats]:
        """Yield for each level up to the highest the factor of its radii that just reaches ``actual``, (B, H)."""
        scores = _scores(prediction, actual, len(self.radii), self.measured_beyond)
        for level in range(1, self.highest_level + 1):
            yield scores / self.radius(level, scores.shape[1])

    def _widen(self, half: Floats, least: Floats) -> Floats:
        """Return half-widths (B, H) that are at least ``least``, and beyond the trained steps never fall."""
        last = len(self.radii) - 1
        half = np.maximum(half, least)
        if half.shape[1] > last + 1:
            half[:, last:] = np.maximum.accumulate(half[:, last:], axis=1)
        return half

    def _to_data(self, prediction: Prediction, middle: Floats, half: Interval, inner: Interval | None) -> Interval:
        """Return the bounds at half-widths of transformed values; of data in which widths keep the order that they had.

        Where the median of a positive series falls, so does the width of an interval of a given ratio: beyond the
        trained steps its upper bound is raised, since the lower one must stay positive.
        """
        basis, median, last = prediction.basis, prediction.median, len(self.radii) - 1
        if not basis.is_transformed:
            return Interval(median - half.lo, median + half.hi)
        lo = np.minimum(basis.change.invert(middle - half.lo), median)
        hi = np.maximum(basis.change.invert(middle + half.hi), median)
        if inner is not None:
            lo, hi = np.minimum(lo, inner.lo), np.maximum(hi, inner.hi)
        if lo.shape[1] > last + 1:
            hi[:, last:] = lo[:, last:] + np.maximum.accumulate((hi - lo)[:, last:], axis=1)
        constant = prediction.spread == 0
        return Interval(np.where(constant, median, lo), np.where(constant, median, hi))


def _usual_least(least: Floats, basis: Basis, level: int) -> Floats:
    """Return the least half-widths, (B, H): ``least`` or, for a window that is not measured, those of a usual series.

    The latter is half the width within which such a series stays about its level.
    """
    if has_all(basis.measured):
        return least
    usual = NormalDist().inv_cdf(0.5 + level / 200) * DEVIATION * np.where(basis.measured, 0.0, basis.unit)
    return np.maximum(least, usual)


class Rolled(NamedTuple):
    """Forecasts of N windows rolled beyond the trained horizon, and their ``actual`` values (N, h), NaN if unknown.

    ``origin`` (N,): number of the origin of each, from 0.
    """

    prediction: Prediction
    actual: Floats
    origin: Ints

    def rows(self, keep: NDArray[np.bool_]) -> "Rolled":
        """Return the windows ``keep``."""
        return Rolled(self.prediction.rows(keep), self.actual[keep], self.origin[keep])


def calibrate(prediction: Prediction, actual: Floats, rolled: Rolled | None = None) -> Calibration:
    """Return the calibration from predictions of N windows and their ``actual`` values (N, H); NaN was not observed.

    Windows with a spread of 0, or with too few values to have one, are left out; each step counts its observed values.
    ``rolled``: forecasts from some of the windows, for steps beyond H.
    """
    horizon = actual.shape[1]
    scores = _scores(prediction, actual, horizon)
    beyond = None
    if rolled is not None:
        beyond = range_radii(_scores(rolled.prediction, rolled.actual, horizon), horizon)
    return Calibration(step_radii(scores), int(np.isfinite(scores).sum(axis=0).min()), beyond)


def _sides(prediction: Prediction, trained: int, measured_beyond: bool = True) -> Sides:
    basis, horizon = prediction.basis, prediction.median.shape[1]
    quantiles = None if prediction.quantiles is None else basis.apply(prediction.quantiles)
    sides = sides_of(basis.apply(prediction.median), quantiles, prediction.levels, basis.unit)
    if horizon <= trained:
        return sides
    return Sides(*(side.after(trained, horizon, measured_beyond) for side in sides))


def _scores(prediction: Prediction, actual: Floats, trained: int, measured_beyond: bool = True) -> Floats:
    """Return the normal score of ``actual`` (B, H) in the prediction, 0 or more; NaN where it has none."""
    basis = prediction.basis
    away = basis.apply(actual) - basis.apply(prediction.median)
    down, up = (side.score_of(np.abs(away)) for side in _sides(prediction, trained, measured_beyond))
    usable = (prediction.spread > 0) & basis.measured
    return np.where(usable, np.where(away > 0, up, down), np.nan)
