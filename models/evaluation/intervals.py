"""Prediction intervals by split conformal calibration, step by step.

A score is the distance by which the actual value lies outside the model's own band, in window units, negative inside.
Scores are measured for each step and level on forecasts that the network was not fitted to. The radius by which the
band is widened (or narrowed, if it is negative) is their finite-sample quantile: of n the ceil((n + 1) level)-th
smallest (Vovk, Gammerman & Shafer, *Algorithmic Learning in a Random World*, 2005; Romano, Patterson & Candès,
"Conformalized Quantile Regression", 2019). A model without quantiles has a band of width 0, which gives Lei et al.,
"Distribution-Free Predictive Inference for Regression", 2018. Per-step calibration follows Stankeviciute et al.,
"Conformal Time-Series Forecasting" (2021), without their correction for all steps at once: each step is covered by
itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.bounds import RowBounds
from models.errors import InputError
from models.evaluation.mean import NO_CORRECTION, MeanCorrection
from models.types import Floats, Ints

LEVELS = np.arange(1, 100)  # percent


class Prediction(NamedTuple):
    """Prediction of B windows in data units: ``median`` and ``mean`` (B, H), and each window's unit ``spread`` (B, 1).

    The median is the point forecast: absolute errors are measured from it, and it is fed back in a rollout. Squared
    errors are measured from the mean, and means of several series can be added. ``quantiles`` (B, H, Q) belong to
    ``levels``, ascending from 0 to 1; None for a model without them. A spread of 0 means a constant window, which has
    no interval. ``bounds`` are those of the windows, to which nothing is clipped yet: see ``bounded``; None: no bound.
    """

    median: Floats
    mean: Floats
    spread: Floats
    quantiles: Floats | None = None
    levels: Sequence[float] = ()
    bounds: RowBounds | None = None

    @classmethod
    def of_points(cls, median: Floats, spread: Floats) -> "Prediction":
        """Return a prediction without quantiles: its mean is its median."""
        return cls(median, median, spread)

    @classmethod
    def of_quantiles(cls, median: Floats, spread: Floats, quantiles: Floats, levels: Sequence[float]) -> "Prediction":
        """Return a prediction with quantiles, whose mean is that of the distribution which ``band`` reads from them."""
        return cls(median, quantiles @ mean_weights(tuple(levels)), spread, quantiles, levels)

    def rows(self, keep: Ints | NDArray[np.bool_]) -> "Prediction":
        """Return the prediction of the windows ``keep``."""
        quantiles = None if self.quantiles is None else self.quantiles[keep]
        bounds = None if self.bounds is None else self.bounds.rows(keep)
        median, mean, spread = self.median[keep], self.mean[keep], self.spread[keep]
        return self._replace(median=median, mean=mean, spread=spread, quantiles=quantiles, bounds=bounds)

    def part(self, rows: slice, steps: slice) -> "Prediction":
        """Return the prediction of some windows and steps, as views."""
        quantiles = None if self.quantiles is None else self.quantiles[rows, steps]
        median, mean = self.median[rows, steps], self.mean[rows, steps]
        bounds = None if self.bounds is None else self.bounds.rows(rows)
        return self._replace(median=median, mean=mean, spread=self.spread[rows], quantiles=quantiles, bounds=bounds)

    def bounded(self) -> "Prediction":
        """Return the prediction with median and mean within its bounds; quantiles and bounds stay as they are.

        Intervals are calibrated on unclipped predictions and clipped afterwards, which changes no coverage.
        """
        if self.bounds is None:
            return self
        return self._replace(median=self.bounds.clip(self.median), mean=self.bounds.clip(self.mean))


class Interval(NamedTuple):
    """Bounds in data units, (B, H) each."""

    lo: Floats
    hi: Floats


def band(prediction: Prediction, level: int) -> Interval:
    """Return the model's own central interval of ``level`` percent; the median twice if it has no quantiles.

    Linear between the model's quantiles. Beyond the outermost quantile its distance from the median grows as that of a
    normal distribution: from level a to b by the ratio of their normal scores.
    """
    if prediction.quantiles is None:
        return Interval(prediction.median, prediction.median)
    tail = (1 - level / 100) / 2
    return Interval(interpolate_quantile(prediction, tail), interpolate_quantile(prediction, 1 - tail))


def interpolate_quantile(prediction: Prediction, at: float) -> Floats:
    """Return the quantile of level ``at`` (0 to 1) of a prediction with quantiles, (B, H), as ``band`` reads it."""
    quantiles, levels = prediction.quantiles, np.asarray(prediction.levels, dtype=np.float64)
    assert quantiles is not None
    if levels[0] <= at <= levels[-1]:
        right = max(1, int(np.searchsorted(levels, at)))
        if len(levels) == 1:
            return quantiles[:, :, 0]
        share = (at - levels[right - 1]) / (levels[right] - levels[right - 1])
        return np.asarray(quantiles[:, :, right - 1] * (1 - share) + quantiles[:, :, right] * share)
    outermost = 0 if at < levels[0] else -1
    if (levels[outermost] - 0.5) * (at - 0.5) <= 0:
        return quantiles[:, :, outermost]  # no quantile on this side of the median
    score = NormalDist().inv_cdf
    median = interpolate_quantile(prediction, 0.5)
    return np.asarray(median + (quantiles[:, :, outermost] - median) * (score(at) / score(float(levels[outermost]))))


@lru_cache(maxsize=100)
def mean_weights(levels: tuple[float, ...]) -> Floats:
    """Return the weight of each quantile in the mean of the distribution that ``band`` reads from them, (Q,).

    The mean is the integral of the quantile function over all levels: trapezia between the levels. Beyond an outermost
    level a the function is m + (q_a - m) z(p) / z(a) with the median m and normal scores z, and the integral of z(p)
    from 0 to a is minus the normal density at z(a). A side without a quantile before the median repeats the outermost.
    """
    known, normal = np.asarray(levels, dtype=np.float64), NormalDist()
    weights, between = np.zeros(len(known)), np.diff(known) / 2
    weights[:-1] += between
    weights[1:] += between
    at_median = np.array([np.interp(0.5, known, unit) for unit in np.eye(len(known))])
    for outermost, tail in ((0, known[0]), (-1, 1 - known[-1])):
        score = abs(normal.inv_cdf(tail)) if tail < 0.5 else 0.0
        beyond = normal.pdf(score) / score if score else tail  # share of the quantile, the rest of the median
        weights[outermost] += beyond
        weights += (tail - beyond) * at_median
    return weights


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """``radii`` (H, 99) float32 in window units, level 1 to 99 %; NaN where a step has too few residuals for the level.

    ``count``: residuals of the step that has fewest. ``scales`` (99,): factors that widen each level about the median,
    learned from forecasts that were observed after the calibration (see ``models.evaluation.adaptive_intervals``).
    ``mean``: correction of the mean, measured on the same residuals.
    """

    radii: NDArray[np.float32]
    count: int
    scales: Floats | None = None
    mean: MeanCorrection = NO_CORRECTION

    def correct(self, prediction: Prediction) -> Prediction:
        """Return ``prediction`` with the corrected mean."""
        if self.mean == NO_CORRECTION:
            return prediction
        return prediction._replace(mean=self.mean.apply(prediction.median, prediction.mean, prediction.spread))

    def with_scales(self, scales: Floats | None) -> "Calibration":
        """Return the calibration with other ``scales``."""
        return replace(self, scales=scales)

    @property
    def highest_level(self) -> int:
        """Return the highest level, in percent, for which there are enough residuals; 0 if none."""
        return int(min(99, np.floor(100 * self.count / (self.count + 1))))

    def radius(self, level: int, horizon: int) -> Floats:
        """Return the distance by which the band for ``level`` percent is widened on each side, (horizon,) window units.

        It is half the width of the interval if the model has no quantiles; it may be negative if it has. Beyond the
        calibrated steps it grows with the square root of the step, as for a random walk.

        Raises:
            InputError: ``bad_level`` or ``level_too_high``: not a percentage, or too high for the number of residuals.
        """
        if not 1 <= level <= 99:
            message, hint = f"level {level} is not a percentage from 1 to 99", "ask for levels such as 80 or 95"
            raise InputError.of("bad_level", message, hint, field="levels")
        if level > self.highest_level:
            message = f"level {level} needs more than the {self.count} calibration residuals of this version"
            hint = f"ask for at most {self.highest_level}, or train on longer history"
            raise InputError.of("level_too_high", message, hint, field="levels")
        known = self.radii[:, level - 1].astype(np.float64)
        growth = np.sqrt(np.arange(len(known) + 1, horizon + 1) / len(known))
        return np.concatenate([known, known[-1] * (growth if known[-1] > 0 else np.ones_like(growth))])[:horizon]

    def intervals(self, prediction: Prediction, levels: Sequence[int]) -> Mapping[int, Interval]:
        """Return the calibrated interval for each of ``levels`` (percent, 1 to 99); higher levels contain lower ones.

        They lie within the bounds of ``prediction``.

        Raises:
            InputError: ``bad_level`` or ``level_too_high``, as for ``radius``.
        """
        bounds: dict[int, Interval] = {}
        inner: Interval | None = None
        for level in sorted(set(levels)):
            own, radius = band(prediction, level), prediction.spread * self.radius(level, prediction.median.shape[1])
            lo, hi = own.lo - radius, own.hi + radius
            middle = (lo + hi) / 2  # a negative radius may cross the bounds
            lo, hi = np.minimum(lo, middle), np.maximum(hi, middle)
            if self.scales is not None:
                centre = np.clip(prediction.median, lo, hi)
                factor = self.scales[level - 1]
                lo, hi = centre - (centre - lo) * factor, centre + (hi - centre) * factor
            if inner is not None:
                lo, hi = np.minimum(lo, inner.lo), np.maximum(hi, inner.hi)
            inner = bounds[level] = Interval(lo, hi)
        if prediction.bounds is None:
            return bounds
        clip = prediction.bounds.clip
        return {level: Interval(clip(lo), clip(hi)) for level, (lo, hi) in bounds.items()}


def calibrate(prediction: Prediction, actual: Floats) -> Calibration:
    """Return the calibration from predictions of N windows and their ``actual`` values (N, H); NaN was not observed.

    Windows with a spread of 0 are left out; each step counts its observed values.
    """
    scores = _scores(prediction, actual, 0)
    count = int(np.isfinite(scores).sum(axis=0).min())
    if prediction.quantiles is None:
        return Calibration(_ranked_scores(scores, LEVELS), count)
    columns = [_ranked_scores(_scores(prediction, actual, level), np.array([level])) for level in LEVELS.tolist()]
    return Calibration(np.concatenate(columns, axis=1), count)


def _scores(prediction: Prediction, actual: Floats, level: int) -> Floats:
    """Return the distance of ``actual`` outside the model's own band for ``level``, in window units; < 0 inside."""
    lo, hi = band(prediction, level)
    return np.maximum(lo - actual, actual - hi) / np.where(prediction.spread == 0, np.nan, prediction.spread)


def _ranked_scores(scores: Floats, levels: Ints) -> NDArray[np.float32]:
    """Return for each step and level the ceil((n + 1) level)-th smallest of its n finite scores, (H, K), or NaN."""
    steps = np.sort(np.where(np.isfinite(scores), scores, np.nan).T, axis=1)  # NaN is sorted last
    count = np.isfinite(steps).sum(axis=1)
    rank = -(-(count[:, None] + 1) * levels // 100)
    limit = np.finfo(np.float32).max
    padded = np.pad(np.clip(steps, -limit, limit), ((0, 0), (0, 1)), constant_values=np.nan)
    radii = np.take_along_axis(padded, np.minimum(rank - 1, padded.shape[1] - 1), axis=1)
    return np.where(rank <= count[:, None], radii, np.nan).astype(np.float32)
