"""Calibrations of bundles of formats 1 and 2: radii in window units, added to the model's own band for the level."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.intervals import Calibration, Prediction, band
from models.types import Floats


@dataclass(frozen=True, slots=True, eq=False)
class AdditiveCalibration(Calibration):
    """``radii`` (H, 99) in window units of the data, by which the band of each level is widened on both sides.

    A negative radius narrows the band, at most to the median. The band is that of the data, without a transform.
    """

    def half_widths(self, prediction: Prediction, levels: Sequence[int]) -> Iterator[tuple[Floats, Floats]]:
        """Yield the distances of the bounds below and above the median for each level, (B, H) each, as transformed."""
        basis, median = prediction.basis, prediction.median
        inner: tuple[Floats, Floats] | None = None
        for level in levels:
            down, up = self._in_data(prediction, level)
            if inner is not None:
                down, up = np.maximum(down, inner[0]), np.maximum(up, inner[1])
            inner = down, up
            if basis.is_transformed:
                middle = basis.apply(median)
                # A lower bound that is not positive has no transformed value; then the sides are equally far.
                above = basis.apply(median + up) - middle
                below = middle - basis.apply(median - down)
                down, up = np.where(np.isnan(below), above, below), above
            yield down, up

    def needed_scales(self, prediction: Prediction, actual: Floats) -> Iterator[Floats]:
        """Yield for each level up to the highest the factor of its widths that just reaches ``actual``, (B, H)."""
        above = actual > prediction.median
        for level in range(1, self.highest_level + 1):
            down, up = self._in_data(prediction, level)
            with np.errstate(divide="ignore", invalid="ignore"):
                yield np.abs(actual - prediction.median) / np.where(above, up, down)

    def _in_data(self, prediction: Prediction, level: int) -> tuple[Floats, Floats]:
        """Return the distances of the bounds of a level below and above the median, in data units, 0 or more."""
        self.check_level(level)
        horizon, trained, median = prediction.median.shape[1], len(self.radii), prediction.median
        own, steps = band(prediction, level), np.minimum(np.arange(horizon), trained - 1)
        radius = prediction.spread * self.radii[steps, level - 1].astype(np.float64)
        down = np.maximum(median - own.lo + radius, 0.0)
        up = np.maximum(own.hi - median + radius, 0.0)
        if horizon > trained:
            growth = np.sqrt(np.arange(trained + 1, horizon + 1) / trained)
            for side in (down, up):
                side[:, trained:] = side[:, trained - 1 : trained] * growth
        if self.scales is None:
            return down, up
        scale = self.scales[np.minimum(np.arange(horizon), trained), level - 1]
        return down * scale, up * scale
