"""Conformal intervals: ranks by hand, honest coverage."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.intervals import LEVELS, calibrate, coverage


def ladder(count, horizon=1):
    """Residuals of sizes 1 to count, in no order and of both signs."""
    sizes = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    return np.repeat((sizes * np.where(sizes % 2, 1, -1))[:, None], horizon, axis=1)


@pytest.mark.parametrize(
    ("count", "level", "rank"),
    [
        (4, 20, 1),  # 5 * 0.2 = 1
        (4, 21, 2),  # 5 * 0.21 = 1.05, so the second
        (4, 50, 3),
        (4, 80, 4),
        (9, 10, 1),
        (9, 75, 8),
        (9, 90, 9),
        (19, 80, 16),
        (19, 95, 19),
        (99, 99, 99),
    ],
)
def test_the_radius_is_the_residual_of_the_rank_worked_by_hand(count, level, rank):
    assert calibrate(ladder(count)).radius(level, 1).tolist() == [rank]


@pytest.mark.parametrize(
    ("count", "highest"), [(0, 0), (1, 50), (4, 80), (9, 90), (19, 95), (24, 96), (99, 99), (10**6, 99)]
)
def test_few_residuals_vouch_for_no_high_level(count, highest):
    calibration = calibrate(ladder(count))
    assert calibration.highest_level == highest
    assert np.isfinite(calibration.radii).all(axis=0).tolist() == (highest >= LEVELS).tolist()


def test_a_level_that_is_too_high_is_refused_with_the_highest_that_is_not():
    with pytest.raises(InputError) as caught:
        calibrate(ladder(4)).radius(81, 1)
    (fault,) = caught.value.faults
    assert (fault.code, fault.field) == ("level_too_high", "levels")
    assert fault.hint.startswith("ask for at most 80")


@pytest.mark.parametrize("level", [-1, 0, 100, 101, 10**9])
def test_a_level_that_is_no_percentage_is_refused(level):
    with pytest.raises(InputError, match="not a percentage from 1 to 99"):
        calibrate(ladder(200)).radius(level, 1)


def test_steps_beyond_the_calibrated_ones_grow_with_the_square_root():
    radii = calibrate(ladder(9, horizon=4)).radius(90, 16)
    assert radii[:4].tolist() == [9] * 4
    assert radii[4:].tolist() == pytest.approx([9 * (step / 4) ** 0.5 for step in range(5, 17)])
    assert radii[15] == pytest.approx(18)


def test_fewer_steps_are_the_first_ones():
    residuals = ladder(9, horizon=3) * [1, 2, 3]
    assert calibrate(residuals).radius(90, 2).tolist() == [9, 18]


def test_rows_that_are_not_finite_are_left_out():
    residuals = np.concatenate([ladder(9), [[np.nan], [np.inf]]])
    assert calibrate(residuals).count == 9
    assert calibrate(residuals).radius(90, 1).tolist() == [9]


def test_giant_residuals_give_finite_radii():
    assert np.isfinite(calibrate(ladder(9) * 1e300).radii[:, :90]).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 30))
def test_a_higher_level_is_never_narrower(residuals, horizon):
    calibration = calibrate(np.array(residuals)[:, None])
    radii = [calibration.radius(level, horizon) for level in range(1, calibration.highest_level + 1)]
    assert all((a <= b).all() for a, b in pairwise(radii))


@pytest.mark.parametrize("noise", ["standard_normal", "standard_cauchy", "standard_exponential"])
def test_intervals_cover_what_they_promise_of_exchangeable_residuals(noise):
    draw = getattr(np.random.default_rng(1), noise)
    calibration = calibrate(draw((1000, 6)))
    for level in (50, 80, 95):
        assert coverage(draw((5000, 6)), calibration, level) == pytest.approx(level / 100, abs=0.03)


def test_coverage_over_many_small_calibrations_is_exact_on_average():
    """With n = 9 and level 80 the rank is 8, so that 8 of 10 exchangeable residuals are covered."""
    rng = np.random.default_rng(2)
    shares = [coverage(rng.normal(size=(50, 1)), calibrate(rng.normal(size=(9, 1))), 80) for _ in range(2000)]
    assert np.mean(shares) == pytest.approx(0.8, abs=0.01)


def test_coverage_is_none_where_nothing_can_be_said():
    assert coverage(ladder(5), calibrate(ladder(4)), 95) is None
    assert coverage(np.zeros((0, 1)), calibrate(ladder(4)), 50) is None
    assert coverage(np.array([[1.0], [-2.0], [3.0], [9.0]]), calibrate(ladder(4)), 50) == 0.75
