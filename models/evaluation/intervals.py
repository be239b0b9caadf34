"""Prediction intervals by split conformal calibration, step by step.

For forecasts that the network was not fitted to, each step and level has the distances, in window units, by which the
truth lay outside of the model's own band. The radius by which the band is widened (or narrowed, where it is negative)
is their finite-sample quantile: of n the ceil((n + 1) level)-th smallest (Vovk, Gammerman & Shafer, *Algorithmic
Learning in a Random World*, 2005; Romano, Patterson & Candès, "Conformalized Quantile Regression", 2019). A model
without quantiles has a band without width; what is left is Lei et al., "Distribution-Free Predictive Inference for
Regression", 2018. Per-step calibration follows Stankeviciute et al., "Conformal Time-Series Forecasting" (2021),
without their correction for all steps at once: each step is covered by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import Fault, InputError
from models.types import Floats, Ints

LEVELS = np.arange(1, 100)  # percent


class Prediction(NamedTuple):
    """What a model says of B windows: ``mean`` (B, H) in data units, and the unit ``spread`` (B, 1) of each window.

    ``quantiles`` (B, H, Q) in data units belong to ``levels``, rising from 0 to 1; None from a model without them.
    A spread of 0 is a constant window, of which no interval can be said.
    """

    mean: Floats
    spread: Floats
    quantiles: Floats | None = None
    levels: Sequence[float] = ()

    def rows(self, keep: Ints | NDArray[np.bool_]) -> "Prediction":
        """The prediction of some of the windows."""
        quantiles = None if self.quantiles is None else self.quantiles[keep]
        return Prediction(self.mean[keep], self.spread[keep], quantiles, self.levels)

    def part(self, rows: slice, steps: slice) -> "Prediction":
        """The prediction of some of the windows and steps, as views."""
        quantiles = None if self.quantiles is None else self.quantiles[rows, steps]
        return Prediction(self.mean[rows, steps], self.spread[rows], quantiles, self.levels)


class Interval(NamedTuple):
    """Bounds in data units, (B, H) each."""

    lo: Floats
    hi: Floats


def band(prediction: Prediction, level: int) -> Interval:
    """The model's own central interval of ``level`` percent; the mean twice where it has no quantiles.

    Linear between the quantiles that the model says. Beyond the outermost one its distance from the median grows as
    that of a normal distribution: from level a to b by the ratio of their normal scores.
    """
    if prediction.quantiles is None:
        return Interval(prediction.mean, prediction.mean)
    tail = (1 - level / 100) / 2
    return Interval(_interpolate_quantile(prediction, tail), _interpolate_quantile(prediction, 1 - tail))


def _interpolate_quantile(prediction: Prediction, at: float) -> Floats:
    said, levels = prediction.quantiles, np.asarray(prediction.levels, dtype=np.float64)
    assert said is not None
    if levels[0] <= at <= levels[-1]:
        right = max(1, int(np.searchsorted(levels, at)))
        if len(levels) == 1:
            return said[:, :, 0]
        share = (at - levels[right - 1]) / (levels[right] - levels[right - 1])
        return np.asarray(said[:, :, right - 1] * (1 - share) + said[:, :, right] * share)
    outermost = 0 if at < levels[0] else -1
    if (levels[outermost] - 0.5) * (at - 0.5) <= 0:
        return said[:, :, outermost]  # no quantile on this side of the median
    score = NormalDist().inv_cdf
    median = _interpolate_quantile(prediction, 0.5)
    return np.asarray(median + (said[:, :, outermost] - median) * (score(at) / score(float(levels[outermost]))))


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """``radii`` (H, 99) float32 in window units, level 1 to 99 %; NaN where a step has too few residuals for it.

    ``count``: the residuals of the step that has fewest; ``scales``: (99,), by how much each level is widened about
    the mean beyond that, by what came since (see ``models.evaluation.adaptive_intervals``).
    """

    radii: NDArray[np.float32]
    count: int
    scales: Floats | None = None

    def with_scales(self, scales: Floats | None) -> "Calibration":
        """The same, with another ``scales``."""
        return replace(self, scales=scales)

    @property
    def highest_level(self) -> int:
        """The highest level, in percent, that this many residuals can vouch for; 0 if none."""
        return int(min(99, np.floor(100 * self.count / (self.count + 1))))

    def radius(self, level: int, horizon: int) -> Floats:
        """By how much the band for ``level`` percent is widened on each side, (horizon,), in window units.

        Half the width of the interval where the model has no quantiles; may be negative where it has. Beyond the
        calibrated steps it grows with the square root of the step, as for a random walk.

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
        growth = np.sqrt(np.arange(len(known) + 1, horizon + 1) / len(known))
        return np.concatenate([known, known[-1] * (growth if known[-1] > 0 else np.ones_like(growth))])[:horizon]

    def intervals(self, prediction: Prediction, levels: Sequence[int]) -> Mapping[int, Interval]:
        """The calibrated interval for each of ``levels`` (percent, 1 to 99); a higher level holds every lower one.

        Raises:
            InputError: see ``radius``.
        """
        made: dict[int, Interval] = {}
        inner: Interval | None = None
        for level in sorted(set(levels)):
            lo, hi = self._widen(prediction, level)
            if self.scales is not None:
                centre = np.clip(prediction.mean, lo, hi)
                factor = self.scales[level - 1]
                lo, hi = centre - (centre - lo) * factor, centre + (hi - centre) * factor
            if inner is not None:
                lo, hi = np.minimum(lo, inner.lo), np.maximum(hi, inner.hi)
            inner = made[level] = Interval(lo, hi)
        return made

    def _widen(self, prediction: Prediction, level: int) -> Interval:
        own, radius = band(prediction, level), prediction.spread * self.radius(level, prediction.mean.shape[1])
        lo, hi = own.lo - radius, own.hi + radius
        middle = (lo + hi) / 2
        return Interval(np.minimum(lo, middle), np.maximum(hi, middle))


def calibrate(prediction: Prediction, actual: Floats) -> Calibration:
    """The calibration from what was said of N windows and what came, ``actual`` (N, H); NaN was not observed.

    Windows without a spread are left out, and each step counts what was observed of it.
    """
    scores = _scores(prediction, actual, 0)
    count = int(np.isfinite(scores).sum(axis=0).min())
    if prediction.quantiles is None:
        return Calibration(_ranked_scores(scores, LEVELS), count)
    columns = [_ranked_scores(_scores(prediction, actual, level), np.array([level])) for level in LEVELS.tolist()]
    return Calibration(np.concatenate(columns, axis=1), count)


def _scores(prediction: Prediction, actual: Floats, level: int) -> Floats:
    """How far ``actual`` lies outside the model's own band for ``level``, in window units; negative within."""
    lo, hi = band(prediction, level)
    return np.maximum(lo - actual, actual - hi) / np.where(prediction.spread == 0, np.nan, prediction.spread)


def _ranked_scores(scores: Floats, levels: Ints) -> NDArray[np.float32]:
    """For each step and level the ceil((n + 1) level)-th smallest of its n finite scores, (H, K), or NaN."""
    steps = np.sort(np.where(np.isfinite(scores), scores, np.nan).T, axis=1)  # NaN goes last
    count = np.isfinite(steps).sum(axis=1)
    rank = -(-(count[:, None] + 1) * levels // 100)
    limit = np.finfo(np.float32).max
    padded = np.pad(np.clip(steps, -limit, limit), ((0, 0), (0, 1)), constant_values=np.nan)
    radii = np.take_along_axis(padded, np.minimum(rank - 1, padded.shape[1] - 1), axis=1)
    return np.where(rank <= count[:, None], radii, np.nan).astype(np.float32)
