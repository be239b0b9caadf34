"""Monotonic transforms of positive series; networks read and intervals are calibrated on transformed values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.types import Floats

POWER = 0.25  # of Box and Cox: between the logarithm (0) and the values themselves (1); the fourth root
MAX_LOG = 230.0  # e to this is 1e100, the largest value that a panel may hold
MIN_POSITIVE = 1e-100  # lowest forecast of a positive series


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """A monotonic function and its inverse, for rows whose observed values are all positive; compared by identity."""

    apply: Callable[[Floats], Floats]
    invert: Callable[[Floats], Floats]


UNCHANGED = Transform(lambda values: values, lambda values: values)
TRANSFORMS: dict[str, Transform] = {
    "none": UNCHANGED,
    "log": Transform(np.log, lambda values: np.exp(np.clip(values, -MAX_LOG, MAX_LOG))),
    "boxcox": Transform(  # Box & Cox (1964), "An Analysis of Transformations"
        lambda values: (np.power(values, POWER) - 1) / POWER,
        lambda values: np.maximum(np.power(np.maximum(values * POWER + 1, 0.0), 1 / POWER), MIN_POSITIVE),
    ),
}


class Change(NamedTuple):
    """A transform of those rows of a batch that it is defined for: ``positive`` (B, 1)."""

    transform: Transform
    positive: NDArray[np.bool_]

    def apply(self, values: Floats) -> Floats:
        """Return ``values`` (B, any) transformed; a value without one (0 or less after a positive past) is NaN."""
        if self.transform is UNCHANGED:
            return values
        good = self.positive & (values > 0)
        changed = self.transform.apply(np.where(good, values, 1.0))
        return np.where(self.positive, np.where(good, changed, np.nan), values)

    def invert(self, values: Floats) -> Floats:
        """Undo ``apply``."""
        if self.transform is UNCHANGED:
            return values
        return np.where(self.positive, self.transform.invert(np.where(self.positive, values, 0.0)), values)


def change_of(transform: str, past: Floats) -> Change:
    """Return the named transform for the rows of ``past`` (B, T) whose values are all positive."""
    if transform == "none":
        return Change(UNCHANGED, np.zeros((len(past), 1), dtype=np.bool_))
    return Change(TRANSFORMS[transform], np.logical_not((past <= 0).any(axis=1, keepdims=True)))
