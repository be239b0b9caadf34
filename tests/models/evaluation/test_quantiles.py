"""Quantiles are the median and the bounds of central intervals."""

import numpy as np
import pytest

from models.errors import InputError
from models.evaluation.intervals import Interval
from models.evaluation.quantiles import check_levels, level_of, levels_of, read_quantiles
from tests.models.samples import flat_calibration


@pytest.mark.parametrize(
    ("quantile", "level"), [(0.5, 0), (0.1, 80), (0.9, 80), (0.025, 95), (0.995, 99), (0.3, 40), (1 - 0.7, 40)]
)
def test_a_quantile_is_a_bound_of_an_interval(quantile, level):
    assert level_of(quantile) == level


@pytest.mark.parametrize("quantile", [0, 1, -0.1, 0.333, 0.001, float("nan")])
def test_other_quantiles_are_refused_with_the_field(quantile):
    with pytest.raises(InputError) as caught:
        level_of(quantile)
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [("bad_quantile", "quantiles")]


def test_quantiles_are_read_from_the_intervals_of_their_levels():
    assert levels_of((95,), (0.1, 0.5, 0.9)) == (80, 95)
    assert levels_of((95, 80), ()) == (95, 80)
    median, interval = np.array([[5.0]]), Interval(np.array([[2.0]]), np.array([[9.0]]))
    found = read_quantiles((0.1, 0.5, 0.9), median, {80: interval})
    assert {quantile: values.tolist() for quantile, values in found.items()} == {0.1: [[2]], 0.5: [[5]], 0.9: [[9]]}


def test_a_quantile_that_needs_more_residuals_is_refused_with_those_that_do_not():
    calibration = flat_calibration(2, count=9)
    check_levels(calibration, (80,), (0.05, 0.5, 0.95))
    with pytest.raises(InputError) as caught:
        check_levels(calibration, (), (0.5, 0.975))
    (fault,) = caught.value.faults
    assert (fault.code, fault.field) == ("level_too_high", "quantiles")
    assert "from 0.05 to 0.95" in fault.hint
