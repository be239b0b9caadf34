"""LOSSES: name -> what a network is taught to say of each step, and how to read it. A new loss is one entry.

The first ``located`` parameters of a step say where its value lies, ``others`` how it spreads; all in window units. The
formulas that training minimises are in ``models.training.loss``; here is only what serving needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from models.types import Float32

MIN_SCALE = 1e-3  # of a window's unit; a distribution narrower than that would let a likelihood grow without bound
FREEDOM = 4.0  # of Student's t: tails as heavy as have a finite variance and a little to spare
# Quantiles of Student's t with 4 degrees of freedom have a closed form (Shaw, 2006, "Sampling Student's T").


class WindowForecast(NamedTuple):
    """``mean`` (B, h): the point forecast; ``quantiles`` (B, h, Q) ascending, or None where only a point is said."""

    mean: Float32
    quantiles: Float32 | None


@dataclass(frozen=True, slots=True)
class Loss:
    """``read``: the parameters (B, h, P) and the levels (Q,) -> what is forecast."""

    read: Callable[[Float32, Sequence[float]], WindowForecast]
    others: int = 0
    many: bool = False  # one located parameter for each quantile

    def located(self, quantiles: Sequence[float]) -> int:
        """Parameters that say where a value lies."""
        return len(quantiles) if self.many else 1


def _point(said: Float32, levels: Sequence[float]) -> WindowForecast:
    return WindowForecast(said[..., 0], None)


def _quantiles(said: Float32, levels: Sequence[float]) -> WindowForecast:
    """Sorted, which never makes the pinball loss larger; the point forecast is the one nearest the median.

    Chernozhukov, Fernández-Val & Galichon, "Quantile and Probability Curves Without Crossing" (2010).
    """
    ordered = np.sort(said, axis=-1)
    return WindowForecast(ordered[..., int(np.argmin(np.abs(np.asarray(levels) - 0.5)))], ordered)


def scale_of(raw: Float32) -> Float32:
    """A positive scale from any number: softplus."""
    return np.logaddexp(np.float32(0), raw) + np.float32(MIN_SCALE)


def _normal(said: Float32, levels: Sequence[float]) -> WindowForecast:
    steps = np.array([NormalDist().inv_cdf(level) for level in levels], dtype=np.float32)
    return WindowForecast(said[..., 0], said[..., :1] + scale_of(said[..., 1:]) * steps)


def _student_t(said: Float32, levels: Sequence[float]) -> WindowForecast:
    return WindowForecast(said[..., 0], said[..., :1] + scale_of(said[..., 1:]) * student_t_quantiles(levels))


def student_t_quantiles(levels: Sequence[float]) -> Float32:
    """The quantiles of Student's t with four degrees of freedom, where they have a closed form (Shaw, 2006)."""
    level = np.asarray(levels)
    root = np.sqrt(4 * level * (1 - level))
    inner = np.cos(np.arccos(root) / 3) / root
    return np.asarray(np.sign(level - 0.5) * 2 * np.sqrt(np.maximum(inner - 1, 0)), dtype=np.float32)


LOSSES: dict[str, Loss] = {
    "mae": Loss(_point),
    "mse": Loss(_point),
    "huber": Loss(_point),
    "quantile": Loss(_quantiles, many=True),
    "normal": Loss(_normal, others=1),
    "student_t": Loss(_student_t, others=1),
}
