"""Half-widths: the distance from the median to a bound, as a function of a normal score.

A model without quantiles has one window unit for each unit of score. A model with quantiles has the distance of its own
quantile at the normal score of its level, linear between them and proportional beyond the outermost, as for a normal
distribution. A score of 0 is the median itself, so that an interval can shrink towards it but never beyond.
"""

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from models.types import Floats

SHARE_OF_UNIT = 0.05  # window units for each unit of score added to a model's own quantiles, which may coincide


class HalfWidths(NamedTuple):
    """Half-widths on one side: linear through ``sizes`` (B, H or 1, K) at the normal ``scores`` (K,), both from 0 on.

    Beyond the last score they are proportional to it.
    """

    scores: Floats
    sizes: Floats

    def at(self, radii: Floats) -> Floats:
        """Return the half-widths at the scores ``radii`` (H,) of the steps, (B, H); NaN where a radius is NaN."""
        last = self.scores[-1]
        within = np.minimum(radii, last)
        weights = np.stack([np.interp(within, self.scores, one) for one in np.eye(len(self.scores))], axis=1)
        weights[:, -1] *= np.maximum(radii, last) / last
        return np.asarray((self.sizes * weights).sum(axis=2))

    def score_of(self, distances: Floats) -> Floats:
        """Return the scores whose half-widths are ``distances`` (B, H): the inverse of ``at``; NaN without a width."""
        lower, upper, last = self.sizes[..., :-1], self.sizes[..., 1:], self.sizes[..., -1]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            passed = np.clip((distances[..., None] - lower) / (upper - lower), 0, 1)
            beyond = np.maximum(distances - last, 0) / last * self.scores[-1]
            return np.asarray(passed @ np.diff(self.scores) + beyond)

    def after(self, trained: int, horizon: int, measured: bool) -> "HalfWidths":
        """Return the half-widths of ``horizon`` steps, with others beyond the ``trained`` ones.

        A network that is rolled forward gives its first step's quantiles again, as if the values it reads were known.
        The mean of the trained steps takes their place, if radii were ``measured`` for it; else the half-width of the
        last trained step grows with the root of the step, as for a random walk.
        """
        if horizon <= trained:
            return self
        own = np.broadcast_to(self.sizes, (len(self.sizes), max(trained, self.sizes.shape[1]), self.sizes.shape[2]))
        if measured:
            mean = own[:, :trained].mean(axis=1, keepdims=True)
            beyond = np.repeat(mean, horizon - trained, axis=1)
        else:
            growth = np.sqrt(np.arange(trained + 1, horizon + 1) / trained)
            beyond = own[:, trained - 1 : trained] * growth[:, None]
        return self._replace(sizes=np.concatenate([own[:, :trained], beyond], axis=1))


class Sides(NamedTuple):
    """Half-widths below and above the median."""

    down: HalfWidths
    up: HalfWidths


def sides_of(median: Floats, quantiles: Floats | None, levels: Sequence[float], unit: Floats) -> Sides:
    """Return the half-widths of predictions: ``median`` (B, H), ``quantiles`` (B, H, Q) or None, ``unit`` (B, 1)."""
    plain = HalfWidths(np.array([0.0, 1.0]), np.stack([np.zeros_like(unit), unit], axis=2))
    if quantiles is None:
        return Sides(plain, plain)
    scores = _normal_scores(tuple(levels))
    made = []
    for sign in (-1.0, 1.0):
        beside = np.flatnonzero(sign * scores > 0)[:: int(sign)]
        if len(beside) == 0:
            made.append(plain)
            continue
        own = np.maximum(sign * (quantiles[:, :, beside] - median[:, :, None]), 0.0)
        known = np.abs(scores[beside])
        sizes = own + (SHARE_OF_UNIT * known) * unit[:, :, None]
        padded = np.concatenate([np.zeros((*median.shape, 1)), sizes], axis=2)
        made.append(HalfWidths(np.concatenate([[0.0], known]), padded))
    return Sides(*made)


@lru_cache(maxsize=100)
def _normal_scores(levels: tuple[float, ...]) -> Floats:
    """Return the normal scores of ``levels``, (Q,); 0 for the median."""
    return np.array([0.0 if level == 0.5 else NormalDist().inv_cdf(level) for level in levels])
