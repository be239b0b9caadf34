"""Intervals that adapt to observed errors: adaptive conformal inference.

A calibration is valid as long as errors keep their distribution. Beyond that, each level has a *scale*, a factor by
which its intervals are widened about the forecast: it grows for a value outside and shrinks for a value inside, with
step sizes that balance when ``level`` percent are inside (Gibbs & Candès, "Adaptive Conformal Inference Under
Distribution Shift", 2021). The steps change the logarithm of the width, not the level, which could run out
(Angelopoulos, Candès & Tibshirani, "Conformal PID Control for Time Series Prediction", 2023). Several rates run in
parallel, weighted by their recent pinball losses (Gibbs & Candès, "Conformal Inference for Online Prediction with
Arbitrary Distribution Shifts", 2024): fast after a shift, steady without one. At first all of them take large steps,
which shrink with every moment (Angelopoulos, Barber & Bates, "Online Conformal Prediction with Decaying Step Sizes",
2024): the calibration comes from a backtest, and the first errors show soonest how far the present differs from it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from models.errors import BundleError
from models.evaluation.intervals import LEVELS, Calibration, Prediction
from models.types import Floats, JsonObject

RATES = np.array([0.02, 0.05, 0.1, 0.2, 0.4])  # K: change of the log width for one value
# n values at one moment count as sqrt(n) steps, because their errors are correlated. The limit avoids overshooting: at
# 80 % the coverage of a normal error grows by 0.45 per unit of the log width, so the largest useful step is 1 / 0.45.
MAX_TOTAL_STEP = 2.2
DISCOUNT = 0.95  # of past losses at each moment: about the last twenty count
SHARPNESS = 10.0  # of the weights; with 3, coverage was one point low for 200 moments after a shift
MAX_LOG_SCALE = float(np.log(1e3))  # limit of the log scales: bounds the effect of one extreme value


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """State of K rates: ``log_scales`` (K, 99), log of the scale by rate and level; ``losses`` (K, 99), discounted.

    ``moments``: the number of points in time that it has learned from.
    """

    log_scales: Floats
    losses: Floats
    moments: int = 0

    @property
    def scales(self) -> Floats:
        """Return the factor by which each level is widened, (99,), for ``Calibration.with_scales``."""
        weights = np.exp(-SHARPNESS * (self.losses - self.losses.min(axis=0)))
        return np.asarray(np.exp((weights * self.log_scales).sum(axis=0) / weights.sum(axis=0)))

    def to_json(self) -> JsonObject:
        """Return the state as JSON values."""
        return {"widths": self.log_scales.tolist(), "losses": self.losses.tolist(), "moments": self.moments}

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the state that ``to_json`` described.

        Raises:
            BundleError: the values do not describe such a state.
        """
        try:
            log_scales, losses = (np.asarray(values[name], dtype=np.float64) for name in ("widths", "losses"))
            state = cls(log_scales, losses, int(values["moments"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the adaptation state cannot be read: {error}") from error
        shape = (len(RATES), len(LEVELS))
        sound = all(array.shape == shape and np.isfinite(array).all() for array in (log_scales, losses))
        if not sound or state.moments < 0:
            raise BundleError(f"the adaptation state needs finite arrays of shape {shape} and a number of moments")
        return state


def initial_adaptation() -> Adaptation:
    """Return the state before any observation: every scale is 1."""
    return Adaptation(*np.zeros((2, len(RATES), len(LEVELS))))


def adapt(state: Adaptation, calibration: Calibration, prediction: Prediction, actual: Floats) -> Adaptation:
    """Return the state after one moment: predictions of B windows and the values observed for them.

    Args:
        state: the state before.
        calibration: of the model that made the prediction, without scales.
        prediction: of (B, H) values; n values observed at the same moment count as sqrt(n) steps, at most
            ``MAX_TOTAL_STEP`` in all.
        actual: (B, H), NaN where nothing was observed or the value was counted before.

    Returns:
        The state after; the same where nothing was observed. Levels above the calibration's highest stay unchanged.
    """
    prediction = prediction._replace(bounds=None)  # a value within bounds is covered with them as without
    observed = ~np.isnan(actual) & (prediction.spread > 0)
    if not observed.any():
        return state
    log_scales, losses = state.log_scales.copy(), state.losses.copy()
    rates = np.maximum(RATES, MAX_TOTAL_STEP / (1 + state.moments))  # the n-th moment moves by 1/n of the limit
    steps = np.minimum(rates * np.sqrt(observed.sum()), MAX_TOTAL_STEP)
    for level, needed in enumerate(calibration.needed_scales(prediction, actual), start=1):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.log(needed)
        ratios = np.clip(np.nan_to_num(ratios, nan=-MAX_LOG_SCALE), -MAX_LOG_SCALE, MAX_LOG_SCALE)
        excess = ratios[observed] - state.log_scales[:, level - 1, None]  # (K, values)
        share, outside = level / 100, (excess > 0).mean(axis=1)
        pinball = np.maximum(share * excess, (share - 1) * excess).mean(axis=1)
        losses[:, level - 1] = DISCOUNT * losses[:, level - 1] + pinball
        log_scales[:, level - 1] += steps * (outside - (1 - share))
    return Adaptation(np.clip(log_scales, -MAX_LOG_SCALE, MAX_LOG_SCALE), losses, state.moments + 1)
