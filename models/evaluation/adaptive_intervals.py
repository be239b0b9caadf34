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

Each part of the horizon has scales of its own, because errors may grow faster with the step than in the backtest. All
parts move by the coverage of the trained steps together. Each third of these moves further by the difference of its own
coverage, and the steps beyond them by their own coverage. So a part that was not observed follows the others.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from models.errors import BundleError
from models.evaluation.horizon_parts import BEYOND, PARTS, parts_of
from models.evaluation.intervals import LEVELS, Calibration, Prediction
from models.types import Floats, Ints, JsonObject

RATES = np.array([0.02, 0.05, 0.1, 0.2, 0.4])  # K: change of the log width for one value
# n values at one moment count as sqrt(n) steps, because their errors are correlated. The limit avoids overshooting: at
# 80 % the coverage of a normal error grows by 0.45 per unit of the log width, so the largest useful step is 1 / 0.45.
MAX_TOTAL_STEP = 2.2
OWN_PRIOR = 3  # moments before the first, as which "no difference between the parts" counts
DISCOUNT = 0.95  # of past losses at each moment: about the last twenty count
SHARPNESS = 10.0  # of the weights; with 3, coverage was one point low for 200 moments after a shift
MAX_LOG_SCALE = float(np.log(1e3))  # limit of the log scales: bounds the effect of one extreme value


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """State of K rates and the P parts of the horizon.

    ``log_scales`` (K, P, 99): log of the scale by rate, part and level; ``losses`` (K, P, 99): discounted. ``moments``:
    the number of points in time at which trained steps were observed; ``part_moments`` (P,): those of each part.
    """

    log_scales: Floats
    losses: Floats
    moments: int
    part_moments: Ints

    @property
    def scales(self) -> Floats:
        """Return the factor by which each part and level is widened, (P, 99), for ``Calibration.with_scales``."""
        weights = np.exp(-SHARPNESS * (self.losses - self.losses.min(axis=0)))
        return np.asarray(np.exp((weights * self.log_scales).sum(axis=0) / weights.sum(axis=0)))

    def to_json(self) -> JsonObject:
        """Return the state as JSON values."""
        arrays = {"widths": self.log_scales, "losses": self.losses, "part_moments": self.part_moments}
        return {"moments": self.moments, **{name: array.tolist() for name, array in arrays.items()}}

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the state that ``to_json`` described; earlier releases had one scale for all parts, (K, 99).

        Raises:
            BundleError: the values do not describe such a state.
        """
        shape = (len(RATES), len(PARTS), len(LEVELS))
        try:
            arrays = [np.asarray(values[name], dtype=np.float64) for name in ("widths", "losses")]
            log_scales, losses = (
                np.repeat(one[:, None], len(PARTS), axis=1) if one.ndim == 2 else one for one in arrays
            )
            part_moments = np.asarray(values.get("part_moments", [0] * len(PARTS)), dtype=np.int64)
            state = cls(log_scales, losses, int(values["moments"]), part_moments)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleError(f"the adaptation state cannot be read: {error}") from error
        sound = all(array.shape == shape and np.isfinite(array).all() for array in (log_scales, losses))
        if not sound or part_moments.shape != shape[1:2] or min(state.moments, *part_moments) < 0:
            raise BundleError(f"the adaptation state needs finite arrays of shape {shape} and numbers of moments")
        return state


def initial_adaptation() -> Adaptation:
    """Return the state before any observation: every scale is 1."""
    log_scales, losses = np.zeros((2, len(RATES), len(PARTS), len(LEVELS)))
    return Adaptation(log_scales, losses, 0, np.zeros(len(PARTS), dtype=np.int64))


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
    parts = np.broadcast_to(parts_of(len(calibration.radii), actual.shape[1]), actual.shape)[observed]  # (values,)
    counts = np.bincount(parts, minlength=len(PARTS))
    in_part = (parts[:, None] == np.arange(len(PARTS))) / np.maximum(counts, 1)  # (values, P): columns take means
    trained = int(counts[:BEYOND].sum())
    is_trained = np.arange(len(PARTS)) < BEYOND
    together = is_trained * counts / max(trained, 1)  # (P,): share of each part in the values of trained steps
    step, own_steps = _step_sizes(state.moments, trained), _step_sizes(OWN_PRIOR + state.part_moments, counts)
    log_scales, losses = state.log_scales.copy(), np.where(counts[:, None], DISCOUNT, 1.0) * state.losses
    for level, needed in enumerate(calibration.needed_scales(prediction, actual), start=1):
        excess, share = _log(needed[observed]) - state.log_scales[:, parts, level - 1], level / 100  # (K, values)
        losses[:, :, level - 1] += np.maximum(share * excess, (share - 1) * excess) @ in_part
        surplus = (excess > 0) @ in_part - (1 - share) * (counts > 0)  # (K, P): values outside beyond those expected
        common = surplus @ together[:, None]
        log_scales[:, :, level - 1] += step * common + own_steps * (surplus - common * is_trained)
    moments, part_moments = state.moments + (trained > 0), state.part_moments + (counts > 0)
    return Adaptation(np.clip(log_scales, -MAX_LOG_SCALE, MAX_LOG_SCALE), losses, moments, part_moments)


def _log(scales: Floats) -> Floats:
    """Return the logarithm within the limits; that of an undefined scale, of an exact forecast, is the lower one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(scales)
    return np.asarray(np.clip(np.nan_to_num(logs, nan=-MAX_LOG_SCALE), -MAX_LOG_SCALE, MAX_LOG_SCALE))


def _step_sizes(moments: int | Ints, counts: int | Ints) -> Floats:
    """Return the change of the log width for each rate, (K, 1) or (K, P): the n-th moment moves by 1/n of the limit."""
    rates = np.maximum(RATES[:, None], MAX_TOTAL_STEP / (1 + np.asarray(moments)))
    return np.asarray(np.minimum(rates * np.sqrt(counts), MAX_TOTAL_STEP))
