"""Intervals that learn from what came: adaptive conformal inference.

A calibration keeps its promise as long as errors stay as they were. Beyond that each level has a *stretch*, by which
its intervals are widened about the forecast: a step up for what fell outside, a step down for what fell within, sized
so that the two balance where ``level`` percent are within (Gibbs & Candès, "Adaptive Conformal Inference Under
Distribution Shift", 2021). The steps change the logarithm of the width, not the level, which could run out
(Angelopoulos, Candès & Tibshirani, "Conformal PID Control for Time Series Prediction", 2023). Several rates run side by
side and are weighed by their pinball losses of late (Gibbs & Candès, "Conformal Inference for Online Prediction with
Arbitrary Distribution Shifts", 2024): quick after a shift, steady without one. At first all of them take large steps,
that shrink with every moment (Angelopoulos, Barber & Bates, "Online Conformal Prediction with Decaying Step Sizes",
2024): the calibration is of a backtest, and how far the present is from that is known soonest from the first errors.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from models.errors import BundleError
from models.evaluation.intervals import LEVELS, Calibration, Interval, Prediction
from models.types import Floats

RATES = np.array([0.02, 0.05, 0.1, 0.2, 0.4])  # K: how far the logarithm of the width goes for one value
# Many values at one moment are several steps in one: not as many as there are, for they err together, but their root.
# More than this would go too far: at 80 % the coverage of a normal error grows by 0.45 for each unit of the width's
# logarithm, and the whole way to where it should be is 1 / 0.45.
MAX_TOTAL_STEP = 2.2
DISCOUNT = 0.95  # of past losses, at each moment: the last twenty or so decide
SHARPNESS = 10.0  # of the weights: with 3, coverage stayed a point low for 200 moments after a shift
MAX_LOG_SCALE = float(np.log(1e3))  # the logarithms stay within this, and so what one wild value can do


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """``widths`` (K, 99): logarithms of the stretch by rate and level; ``losses`` (K, 99): of each, discounted.

    ``moments``: how many it has learned from.
    """

    widths: Floats
    losses: Floats
    moments: int = 0

    @property
    def scales(self) -> Floats:
        """By how much each level is widened, (99,), for ``Calibration.with_scales``."""
        weights = np.exp(-SHARPNESS * (self.losses - self.losses.min(axis=0)))
        return np.asarray(np.exp((weights * self.widths).sum(axis=0) / weights.sum(axis=0)))

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {"widths": self.widths.tolist(), "losses": self.losses.tolist(), "moments": self.moments}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The state that ``to_json`` described.

        Raises:
            BundleError: it is not such a state.
        """
        try:
            widths, losses = (np.asarray(values[name], dtype=np.float64) for name in ("widths", "losses"))
            made = cls(widths, losses, int(values["moments"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the adaptation cannot be read: {error}") from error
        shape = (len(RATES), len(LEVELS))
        sound = all(array.shape == shape and np.isfinite(array).all() for array in (widths, losses))
        if not sound or made.moments < 0:
            raise BundleError(f"the adaptation does not hold finite arrays of shape {shape} and a number of moments")
        return made


def initial_adaptation() -> Adaptation:
    """The state before anything came: every stretch is 1."""
    return Adaptation(*np.zeros((2, len(RATES), len(LEVELS))))


def adapt(state: Adaptation, calibration: Calibration, prediction: Prediction, actual: Floats) -> Adaptation:
    """The state after one moment: what had been said of B windows, and what came of it.

    Args:
        state: before.
        calibration: of the model that made the prediction, not stretched.
        prediction: for (B, H) values; n values observed at the same moment count as sqrt(n) steps, at most
            ``MAX_TOTAL_STEP`` in all.
        actual: (B, H), NaN where nothing came or was counted before.

    Returns:
        The state after; the same where nothing came. Levels that the calibration cannot vouch for stay as they were.
    """
    came = ~np.isnan(actual) & (prediction.spread > 0)
    if not came.any():
        return state
    widths, losses = state.widths.copy(), state.losses.copy()
    rates = np.maximum(RATES, MAX_TOTAL_STEP / (1 + state.moments))  # the n-th moment goes an n-th of the way
    steps = np.minimum(rates * np.sqrt(came.sum()), MAX_TOTAL_STEP)
    for level in range(1, calibration.highest_level + 1):
        made = calibration.intervals(prediction, [level])[level]
        ratios = _log_ratios(prediction, actual, made)[came]
        beyond = ratios - state.widths[:, level - 1, None]  # (K, values)
        share, outside = level / 100, (beyond > 0).mean(axis=1)
        pinball = np.maximum(share * beyond, (share - 1) * beyond).mean(axis=1)
        losses[:, level - 1] = DISCOUNT * losses[:, level - 1] + pinball
        widths[:, level - 1] += steps * (outside - (1 - share))
    return Adaptation(np.clip(widths, -MAX_LOG_SCALE, MAX_LOG_SCALE), losses, state.moments + 1)


def _log_ratios(prediction: Prediction, actual: Floats, made: Interval) -> Floats:
    """The logarithm of the stretch that would just reach ``actual``, (B, H)."""
    centre = np.clip(prediction.mean, *made)
    width = np.where(actual > centre, made.hi - centre, centre - made.lo)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(np.abs(actual - centre) / width)
    return np.asarray(np.clip(np.nan_to_num(ratio, nan=-MAX_LOG_SCALE), -MAX_LOG_SCALE, MAX_LOG_SCALE))
