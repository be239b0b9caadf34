"""The meaning of a network's numbers: points, quantiles, distributions."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.network.losses import LOSSES, scale_of, student_t_quantiles

LEVELS = (0.1, 0.5, 0.9)


def read(loss, *parameters, levels=LEVELS):
    return LOSSES[loss].read(np.float32([[parameters]]), levels)


@pytest.mark.parametrize("loss", ["mae", "mse", "huber"])
def test_a_point_forecast_is_the_parameter_itself(loss):
    assert LOSSES[loss].count_locations(LEVELS) + LOSSES[loss].spreads == 1
    forecast = read(loss, 3.0)
    assert (forecast.median.tolist(), forecast.quantiles) == ([[3.0]], None)


def test_crossing_quantiles_are_sorted_and_the_median_is_the_point_forecast():
    assert LOSSES["quantile"].count_locations(LEVELS) == 3
    forecast = read("quantile", 5.0, 1.0, 2.0)
    assert forecast.quantiles.tolist() == [[[1.0, 2.0, 5.0]]]
    assert forecast.median.tolist() == [[2.0]]


def test_a_normal_distribution_by_hand():
    assert (LOSSES["normal"].count_locations(LEVELS), LOSSES["normal"].spreads) == (1, 1)
    forecast = read("normal", 10.0, 0.0)
    scale = np.log(2) + 1e-3  # softplus of 0
    assert forecast.median.tolist() == [[10.0]]
    assert forecast.quantiles[0, 0].tolist() == pytest.approx([10 - 1.2816 * scale, 10, 10 + 1.2816 * scale], abs=1e-4)


def test_a_student_t_distribution_by_hand():
    forecast = read("student_t", 10.0, 0.0)
    scale = np.log(2) + 1e-3
    assert forecast.quantiles[0, 0].tolist() == pytest.approx([10 - 1.5332 * scale, 10, 10 + 1.5332 * scale], abs=1e-4)


def test_quantiles_of_student_t_are_those_of_the_tables():
    found = student_t_quantiles([0.75, 0.9, 0.95, 0.975, 0.99, 0.995])
    assert found.tolist() == pytest.approx([0.741, 1.533, 2.132, 2.776, 3.747, 4.604], abs=5e-4)
    assert student_t_quantiles([0.025]).tolist() == pytest.approx([-2.776], abs=5e-4)
    normal = NormalDist().inv_cdf(0.99)
    assert student_t_quantiles([0.99])[0] > normal  # heavier tails


def test_a_scale_is_positive_for_any_parameter():
    raw = np.float32([-1e30, -5, 0, 5, 1e30])
    scales = scale_of(raw)
    assert (scales >= 1e-3).all()
    assert scales[3:].tolist() == pytest.approx([5.0077, 1e30], rel=1e-3)


@given(st.sampled_from(["quantile", "normal", "student_t"]), st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3))
def test_quantiles_never_cross(loss, numbers):
    count = LOSSES[loss].count_locations(LEVELS) + LOSSES[loss].spreads
    forecast = read(loss, *numbers[:count])
    assert (np.diff(forecast.quantiles) >= 0).all()
    assert forecast.median[0, 0] == forecast.quantiles[0, 0, 1]
