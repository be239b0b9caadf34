"""Calibration after further training: intervals stay as wide as the backtest measured them."""

import numpy as np
import pytest

from models.evaluation.intervals import Prediction, calibrate
from models.evaluation.width_match import match_widths


def fan(*half_widths, count=5):
    """Predictions of 0 whose own intervals of 80 % reach as far as given, one for each step."""
    reach = np.tile(np.array(half_widths, dtype=float), (count, 1))
    quantiles = np.stack([-reach, 0 * reach, reach], axis=2)
    return Prediction.of_quantiles(0 * reach, np.full((count, 1), 1e-6), quantiles, (0.1, 0.5, 0.9))


def calibrated():
    before = fan(1, 1, 2, 2, 4, 4, count=200)
    return calibrate(before, np.random.default_rng(0).normal(size=(200, 6)))


def width(calibration, prediction):
    lo, hi = calibration.intervals(prediction, [80])[80]
    return (hi - lo)[0]


def test_quantiles_that_became_wider_leave_the_intervals_as_they_were():
    calibration, before, after = calibrated(), fan(1, 1, 2, 2, 4, 4), fan(1, 1, 3, 3, 2, 2)
    assert width(calibration, after) == pytest.approx(width(calibration, before) * [1, 1, 1.5, 1.5, 0.5, 0.5], rel=1e-3)
    matched = match_widths(calibration, before, after)
    assert width(matched, after) == pytest.approx(width(calibration, before), rel=1e-3)


def test_a_window_that_alone_became_wider_keeps_its_wider_interval():
    one = fan(3, 3, 6, 6, 12, 12, count=1)
    before = fan(1, 1, 2, 2, 4, 4)
    after = Prediction.join([one, fan(1, 1, 2, 2, 4, 4, count=4)])
    matched = match_widths(calibrated(), before, after)
    assert width(matched, one) == pytest.approx(3 * width(calibrated(), before), rel=1e-3)


def test_points_constant_windows_and_empty_calibrations_change_nothing():
    calibration, fans = calibrated(), (fan(1, 1, 2, 2, 4, 4), fan(2, 2, 4, 4, 8, 8))
    flat = [Prediction.of_points(np.zeros((2, 6)), np.ones((2, 1)))] * 2
    assert match_widths(calibration, *flat) is calibration
    assert match_widths(calibration, *(each._replace(spread=0 * each.spread) for each in fans)) is calibration
    nothing = calibrate(fans[0], np.full((5, 6), np.nan))
    assert match_widths(nothing, *fans) is nothing
