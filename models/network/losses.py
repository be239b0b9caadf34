"""LOSSES: name -> the meaning of the parameters that a network gives for each step. A new loss is one entry.

The first parameters of a step give the location of its value, the last ``spreads`` its spread; all in window units. The
formulas that training minimises are in ``models.training.loss``; this file has the part that serving needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from models.types import Float32

MIN_SCALE = 1e-3  # in window units; below it a distribution's likelihood would grow without bound
DEGREES_OF_FREEDOM = 4.0  # degrees of freedom of Student's t: heavy tails with a finite variance
# Quantiles of Student's t with 4 degrees of freedom have a closed form (Shaw, 2006, "Sampling Student's T").


class WindowForecast(NamedTuple):
    """A forecast in window units: ``median`` (B, h), the point forecast; ``quantiles`` (B, h, Q) ascending, or None."""

    median: Float32
    quantiles: Float32 | None


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss; ``read`` turns the parameters (B, h, P) and the quantile levels (Q,) into a forecast."""

    read: Callable[[Float32, Sequence[float]], WindowForecast]
    spreads: int = 0  # parameters of the spread
    per_quantile: bool = False  # whether there is one location parameter for each quantile
    of_mean: bool = False  # whether the location is a mean, as training minimises squared errors or fits a normal

    @property
    def has_quantiles(self) -> bool:
        """Return whether forecasts have quantiles."""
        return self.per_quantile or self.spreads > 0

    def count_locations(self, quantiles: Sequence[float]) -> int:
        """Return the number of parameters that give the location of a value."""
        return len(quantiles) if self.per_quantile else 1


def read_point(parameters: Float32, levels: Sequence[float]) -> WindowForecast:
    """Return the only parameter as the point forecast."""
    return WindowForecast(parameters[..., 0], None)


def read_quantiles(parameters: Float32, levels: Sequence[float]) -> WindowForecast:
    """Sort the quantiles, which never increases the pinball loss; the point forecast is the one nearest the median.

    Chernozhukov, Fernández-Val & Galichon, "Quantile and Probability Curves Without Crossing" (2010).
    """
    ordered = np.sort(parameters, axis=-1)
    nearest = min(range(len(levels)), key=lambda k: abs(levels[k] - 0.5))
    return WindowForecast(ordered[..., nearest], ordered)


def scale_of(raw: Float32) -> Float32:
    """Return a positive scale for any number: its softplus."""
    return np.logaddexp(np.float32(0), raw) + np.float32(MIN_SCALE)


def read_normal(parameters: Float32, levels: Sequence[float]) -> WindowForecast:
    """Return the mean and quantiles of a normal distribution: its mean, and its scale before softplus."""
    steps = np.array([NormalDist().inv_cdf(level) for level in levels], dtype=np.float32)
    return WindowForecast(parameters[..., 0], parameters[..., :1] + scale_of(parameters[..., 1:]) * steps)


def read_student_t(parameters: Float32, levels: Sequence[float]) -> WindowForecast:
    """Return the mean and quantiles of Student's t: its location, and its scale before softplus."""
    quantiles = parameters[..., :1] + scale_of(parameters[..., 1:]) * student_t_quantiles(levels)
    return WindowForecast(parameters[..., 0], quantiles)


def student_t_quantiles(levels: Sequence[float]) -> Float32:
    """Return the quantiles of Student's t with four degrees of freedom in closed form (Shaw, 2006)."""
    level = np.asarray(levels)
    root = np.sqrt(4 * level * (1 - level))
    inner = np.cos(np.arccos(root) / 3) / root
    return np.asarray(np.sign(level - 0.5) * 2 * np.sqrt(np.maximum(inner - 1, 0)), dtype=np.float32)


LOSSES: dict[str, Loss] = {
    "mae": Loss(read_point),
    "mse": Loss(read_point, of_mean=True),
    "huber": Loss(read_point),
    "quantile": Loss(read_quantiles, per_quantile=True),
    "normal": Loss(read_normal, spreads=1, of_mean=True),
    "student_t": Loss(read_student_t, spreads=1),
}
