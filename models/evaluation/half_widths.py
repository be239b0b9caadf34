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

MAX_CACHED = 200  # radii whose weights are kept: they are the same for all forecasts of a version
UNIT_SCORE = np.ones(1)
SHARE_OF_UNIT = 0.05  # window units for each unit of score added to a model's own quantiles, which may coincide


class HalfWidths(NamedTuple):
    """Half-widths on one side: linear from 0 at score 0 through ``sizes`` (B, H or 1, K) at the normal ``scores`` (K,).

    Beyond the last score they are proportional to it.
    """

    scores: Floats
    sizes: Floats

    def at(self, radii: Floats) -> Floats:
        """Return the half-widths at the scores ``radii`` (H,) of the steps, (B, H); NaN where a radius is NaN."""
        if self.scores is UNIT_SCORE:
            return self.sizes[..., 0] * radii
        weights = _weights(self.scores.tobytes(), radii.tobytes())
        return np.asarray(np.einsum("bhk,hk->bh", self.sizes, weights))

    def score_of(self, distances: Floats) -> Floats:
        """Return the scores whose half-widths are ``distances`` (B, H): the inverse of ``at``; NaN without a width."""
        upper, last = self.sizes, self.sizes[..., -1]
        lower = np.concatenate([np.zeros_like(upper[..., :1]), upper[..., :-1]], axis=-1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            passed = np.clip((distances[..., None] - lower) / (upper - lower), 0, 1)
            beyond = np.maximum(distances - last, 0) / last * self.scores[-1]
            return np.asarray(passed @ np.diff(self.scores, prepend=0.0) + beyond)

    def after(self, trained: int, horizon: int, measured: bool) -> "HalfWidths":
        """Return the half-widths of more than the ``trained`` steps, with others beyond these.

        A network that is rolled forward gives its first step's quantiles again, as if the values it reads were known.
        The mean of the trained steps takes their place, if radii were ``measured`` for it; else the half-width of the
        last trained step grows with the root of the step, as for a random walk.
        """
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
    plain = HalfWidths(UNIT_SCORE, unit[:, :, None])
    if quantiles is None:
        return Sides(plain, plain)
    made = []
    for sign, (beside, scores) in zip((-1, 1), _quantiles_beside(tuple(levels)), strict=True):
        if len(scores) == 0:
            made.append(plain)
            continue
        own = quantiles[:, :, beside] - median[:, :, None]
        sizes = np.maximum(own if sign > 0 else -own, 0.0)
        sizes += (SHARE_OF_UNIT * scores) * unit[:, :, None]
        made.append(HalfWidths(scores, sizes))
    return Sides(*made)


@lru_cache(maxsize=100)
def _quantiles_beside(levels: tuple[float, ...]) -> tuple[tuple[slice, Floats], tuple[slice, Floats]]:
    """Return the quantiles below and above the median, the nearest first, with the distances of their normal scores."""
    below, above = (sum(sign * (level - 0.5) > 0 for level in levels) for sign in (-1, 1))
    scores = np.array([abs(NormalDist().inv_cdf(level)) for level in levels])
    first = len(levels) - above
    return (
        (slice(below - 1, None, -1) if below else slice(0), scores[:below][::-1].copy()),
        (slice(first, None), scores[first:]),
    )


@lru_cache(maxsize=MAX_CACHED)
def _weights(scores: bytes, radii: bytes) -> Floats:
    """Return the weight of each size in the half-width of a step, (H, K), from float64 scores (K,) and radii (H,)."""
    known, wanted = np.frombuffer(scores), np.frombuffer(radii)
    last, through = known[-1], np.concatenate([[0.0], known])
    within = np.minimum(wanted, last)
    weights = np.stack([np.interp(within, through, one) for one in np.eye(len(through))[1:]], axis=1)
    weights[:, -1] *= np.maximum(wanted, last) / last
    return weights
