"""Correction of the mean: worked by hand, exact for sums, and small where the data do not determine it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.mean import NO_CORRECTION, MeanCorrection, Residuals, fit_mean

NAN = np.nan


def free(values, rows):
    return values


def floor(values, rows):
    return np.maximum(values, 0.0)


def residuals(mean, actual, spread, median=None, groups=None):
    mean, actual, spread = (np.asarray(part, dtype=float) for part in (mean, actual, spread))
    groups = np.arange(len(mean)) if groups is None else np.asarray(groups)
    return Residuals(mean if median is None else np.asarray(median, dtype=float), mean, spread, actual, groups)


def test_the_shift_is_the_residual_in_units_of_the_spread():
    # residuals 2, 2 of spread 1 and 6, 6 of spread 3: two spreads, the same in every group
    found = fit_mean(residuals([[1, 1], [5, 5], [0, 0]], [[3, 3], [11, 11], [4, 4]], [[1], [3], [2]]), free)
    assert found.shift == pytest.approx(2)
    assert found.after_zeros == 0
    assert found.apply(np.zeros((1, 2)), np.array([[1.0, 2.0]]), np.array([[3.0]])).tolist() == [[7, 8]]


def test_a_shift_that_is_no_larger_than_its_error_is_left_out():
    # residuals +1, -1, +1, -1, +2 of spread 1: their mean is 0.4, its error 0.6
    found = fit_mean(residuals(np.zeros((5, 1)), [[1], [-1], [1], [-1], [2]], np.ones((5, 1))), free)
    assert found == NO_CORRECTION


def test_a_shift_is_reduced_by_the_share_of_its_square_that_error_explains():
    # mean 2, residuals about it -1, 0, 1: squared error 2 / 9 * 3 / 2 = 1 / 3, which is a twelfth of 4
    found = fit_mean(residuals(np.zeros((3, 1)), [[1], [2], [3]], np.ones((3, 1))), free)
    assert found.shift == pytest.approx(2 * 11 / 12)


def test_groups_count_as_one_residual_each():
    many = residuals(np.zeros((6, 1)), [[1], [1], [2], [2], [3], [3]], np.ones((6, 1)), groups=[0, 0, 1, 1, 2, 2])
    assert fit_mean(many, free).shift == pytest.approx(2 * 11 / 12)
    assert fit_mean(many._replace(groups=np.array([0, 0, 0, 1, 1, 1])), free) == NO_CORRECTION  # of two: no error known


def test_windows_of_zeros_get_the_mean_of_the_values_that_follow_such_windows():
    zeros = np.zeros((4, 2))
    found = fit_mean(residuals(zeros, [[0, 4], [2, 2], [4, NAN], [1, 1]], [[0], [0], [0], [1]]), free)
    assert 0 < found.after_zeros <= 12 / 5  # 0, 4, 2, 2, 4: shrunk
    exact = fit_mean(residuals(zeros[:3], [[1, 3], [2, 2], [3, 1]], np.zeros((3, 1))), free)
    assert exact.after_zeros == pytest.approx(2)
    after = exact.apply(np.array([[0.0], [5.0]]), np.array([[0.0], [5.0]]), np.zeros((2, 1)))
    assert after.tolist() == [[2], [5]]  # a constant 5 is no window of zeros


def test_the_sum_of_clipped_means_is_that_of_the_values():
    # clipped at 0, a shift of 3 gives 2 and 0 and 4: the values sum up to 6
    found = fit_mean(residuals([[-1.0], [-9.0], [1.0]], [[2.0], [0.0], [4.0]], np.ones((3, 1))), floor)
    assert found.shift == pytest.approx(3, abs=0.2)


@given(
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=20),
    st.sampled_from([free, floor]),
)
def test_every_correction_is_finite_and_never_increases_the_error_of_the_sum(rows, clip):
    mean, spread, actual = (np.array(part)[:, None] for part in zip(*rows, strict=True))
    found = fit_mean(Residuals(np.ones_like(mean), mean, spread, actual, np.arange(len(mean))), clip)
    assert np.isfinite(found).all()
    used = spread[:, 0] > 0
    before = abs((actual - clip(mean, None))[used].sum())
    after = abs((actual - clip(mean + found.shift * spread, None))[used].sum())
    assert after <= before + 1e-6 * (1 + np.abs(rows).sum())


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_extreme_values_give_a_finite_correction(size):
    found = fit_mean(residuals(np.zeros((3, 1)), np.full((3, 1), size), np.full((3, 1), size)), free)
    assert np.isfinite(found).all()


def test_nothing_observed_gives_no_correction():
    assert fit_mean(residuals(np.zeros((3, 1)), np.full((3, 1), NAN), np.ones((3, 1))), free) == NO_CORRECTION
    mean = np.ones((2, 2))
    assert NO_CORRECTION.apply(mean, mean, np.ones((2, 1))) is mean
    assert MeanCorrection(0.5).apply(mean, mean, np.zeros((2, 1))).tolist() == mean.tolist()
