"""Calibration of a network that was trained further after its backtest.

Radii are normal scores in the network's own quantiles. Further training moves these: on short series they became a
third wider while the errors stayed the same, and the intervals with them.
"""

from dataclasses import replace

import numpy as np

from models.evaluation.horizon_parts import BEYOND, parts_of
from models.evaluation.intervals import Calibration, Prediction
from models.types import Floats

MATCHED_LEVEL = 80  # percent


def match_widths(calibration: Calibration, before: Prediction, after: Prediction) -> Calibration:
    """Return the calibration of a network for its weights after further training.

    The radii of each third of the horizon are multiplied by one factor, so that the median window has intervals as wide
    as before. Beyond the horizon the factor is that of all steps.

    Args:
        calibration: for the weights before.
        before: predictions of some windows, not those of the training, by the weights before.
        after: predictions of the same windows by the weights after.
    """
    level, varies = min(MATCHED_LEVEL, calibration.highest_level), (before.spread > 0)[:, 0]
    if level == 0 or before.quantiles is None or not varies.any():
        return calibration
    widths = []
    for prediction in (before, after):
        ((down, up),) = calibration.half_widths(prediction.rows(varies)._replace(bounds=None), [level])
        widths.append(down + up)
    horizon = len(calibration.radii)
    parts, factors = parts_of(horizon, horizon), np.ones(horizon)
    for part in range(BEYOND):
        if (parts == part).any():
            factors[parts == part] = _factor(*(width[:, parts == part] for width in widths))
    beyond = None if calibration.beyond is None else (calibration.beyond * _factor(*widths)).astype(np.float32)
    return replace(calibration, radii=(calibration.radii * factors[:, None]).astype(np.float32), beyond=beyond)


def _factor(before: Floats, after: Floats) -> float:
    """Return the median over windows of the ratio of mean widths; 1 where none has a width."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = before.mean(axis=1) / after.mean(axis=1)
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.median(ratios)) if len(ratios) else 1.0
