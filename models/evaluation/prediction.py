"""Predictions of a forecaster: median, mean and quantiles, with the units in which their errors are measured."""

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.bounds import RowBounds, join_bounds
from models.data.transforms import UNCHANGED, Change
from models.types import Floats, Ints


class Basis(NamedTuple):
    """Units in which the errors of B windows are measured.

    ``change``: the transform that the network sees. ``unit`` (B, 1): of the transformed values. ``measured`` (B, 1):
    whether the window has enough values to have a unit of its own.
    """

    change: Change
    unit: Floats
    measured: NDArray[np.bool_]

    @classmethod
    def of(cls, unit: Floats) -> "Basis":
        """Return the basis of windows that are not transformed."""
        return cls(Change(UNCHANGED, np.zeros(unit.shape, np.bool_)), unit, np.ones(unit.shape, np.bool_))

    @classmethod
    def join(cls, bases: Sequence["Basis"]) -> "Basis | None":
        """Return the basis of the windows of all ``bases``, one after the other; None if their transforms differ."""
        if any(basis.change.transform is not bases[0].change.transform for basis in bases):
            return None
        positive, unit, measured = (
            np.concatenate(arrays)
            for arrays in zip(*((b.change.positive, b.unit, b.measured) for b in bases), strict=True)
        )
        return cls(bases[0].change._replace(positive=positive), unit, measured)

    @classmethod
    def average(cls, bases: Sequence["Basis"], shares: Sequence[float]) -> "Basis":
        """Return the basis of a mean of predictions of the same windows, weighted by ``shares``.

        It is transformed as the first of ``bases``, in the mean unit of those with its transform.
        """
        first = bases[0]
        alike = [i for i, basis in enumerate(bases) if basis.change.transform is first.change.transform]
        weights = [shares[i] for i in alike]
        unit = np.average([bases[i].unit for i in alike], axis=0, weights=weights) if sum(weights) else first.unit
        return first._replace(unit=unit, measured=np.logical_and.reduce([basis.measured for basis in bases]))

    @property
    def is_transformed(self) -> bool:
        """Whether there is a transform; it may still not apply to some rows."""
        return self.change.transform is not UNCHANGED

    def rows(self, keep: Ints | NDArray[np.bool_] | slice) -> "Basis":
        """Return the basis of the windows ``keep``."""
        change = self.change._replace(positive=self.change.positive[keep])
        return Basis(change, self.unit[keep], self.measured[keep])

    def apply(self, values: Floats) -> Floats:
        """Return ``values`` (B, H) or (B, H, Q) as the network sees them."""
        if not self.is_transformed:
            return values
        return self.change.apply(values.reshape(len(values), -1)).reshape(values.shape)


class Prediction(NamedTuple):
    """Prediction of B windows in data units: ``median`` and ``mean`` (B, H), and each window's unit ``spread`` (B, 1).

    The median is the point forecast: absolute errors are measured from it, and it is fed back in a rollout. Squared
    errors are measured from the mean, and means of several series can be added. ``quantiles`` (B, H, Q) belong to
    ``levels``, ascending from 0 to 1; None for a model without them. A spread of 0 means a constant window, whose
    intervals have no width. ``bounds`` are those of the windows, to which nothing is clipped yet: see ``bounded``;
    None: no bound.
    """

    median: Floats
    mean: Floats
    spread: Floats
    quantiles: Floats | None = None
    levels: Sequence[float] = ()
    own_basis: Basis | None = None
    bounds: RowBounds | None = None

    @classmethod
    def of_points(cls, median: Floats, spread: Floats, basis: Basis | None = None) -> "Prediction":
        """Return a prediction without quantiles: its mean is its median."""
        return cls(median, median, spread, own_basis=basis)

    @classmethod
    def of_quantiles(
        cls, median: Floats, spread: Floats, quantiles: Floats, levels: Sequence[float], basis: Basis | None = None
    ) -> "Prediction":
        """Return a prediction with quantiles, whose mean is that of the distribution which ``band`` reads from them."""
        return cls(median, quantiles @ mean_weights(tuple(levels)), spread, quantiles, levels, basis)

    @classmethod
    def join(cls, parts: Sequence["Prediction"]) -> "Prediction":
        """Return the prediction of the windows of all ``parts``, of the same steps and levels, one after the other."""
        median, mean, spread = (np.concatenate([part[i] for part in parts]) for i in range(3))
        quantiles = [part.quantiles for part in parts if part.quantiles is not None]
        basis, bounds = Basis.join([part.basis for part in parts]), join_bounds([part.bounds for part in parts])
        return cls(
            median, mean, spread, np.concatenate(quantiles) if quantiles else None, parts[0].levels, basis, bounds
        )

    @property
    def basis(self) -> Basis:
        """Return the units in which errors are measured: ``own_basis``, or ``spread`` without a transform."""
        return self.own_basis or Basis.of(self.spread)

    def rows(self, keep: Ints | NDArray[np.bool_]) -> "Prediction":
        """Return the prediction of the windows ``keep``."""
        quantiles = None if self.quantiles is None else self.quantiles[keep]
        median, mean, spread = self.median[keep], self.mean[keep], self.spread[keep]
        basis, bounds = self.own_basis and self.own_basis.rows(keep), self.bounds and self.bounds.rows(keep)
        return Prediction(median, mean, spread, quantiles, self.levels, basis, bounds)

    def part(self, rows: slice, steps: slice) -> "Prediction":
        """Return the prediction of some windows and steps, as views."""
        quantiles = None if self.quantiles is None else self.quantiles[rows, steps]
        median, mean = self.median[rows, steps], self.mean[rows, steps]
        basis, bounds = self.own_basis and self.own_basis.rows(rows), self.bounds and self.bounds.rows(rows)
        return Prediction(median, mean, self.spread[rows], quantiles, self.levels, basis, bounds)

    def bounded(self) -> "Prediction":
        """Return the prediction with median and mean within its bounds; quantiles and bounds stay as they are.

        Intervals are calibrated on unclipped predictions and clipped afterwards, which changes no coverage.
        """
        if self.bounds is None:
            return self
        median = self.bounds.clip(self.median)
        return self._replace(median=median, mean=median if self.mean is self.median else self.bounds.clip(self.mean))


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
