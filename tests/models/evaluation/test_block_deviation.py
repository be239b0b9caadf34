"""Deviation of new blocks from the past, by hand."""

import math

import numpy as np
import pytest

from models.evaluation.block_deviation import DeviationRule, find_deviation

RULE = DeviationRule(times=2.0, usual=0.5)
PAST = np.array([1.0, 2.0, 3.0, 2.0])


def test_the_limit_is_a_number_of_deviations_above_the_median_wider_if_there_are_few_blocks() -> None:
    # 4 blocks with the variance 0.5, and 4 more with 0.25 each as they are usual: 7 degrees of freedom.
    spread = math.sqrt((4 * 0.25 + 3 * 0.5) / 7 * (1 + 1 / 4))
    limit = 2 + 2 * spread * (1 + 3 / 7)
    just, beyond = (find_deviation(PAST, np.array([limit + step]), RULE) for step in (-1e-9, 1e-9))
    assert (just.deviates.tolist(), beyond.deviates.tolist()) == ([False], [True])
    assert beyond.limit == pytest.approx([limit])
    assert beyond.median == 2


def test_a_margin_beyond_the_largest_and_a_least_limit_hold_too() -> None:
    for rule in (DeviationRule(times=0.1, usual=0.1, margin=4.0), DeviationRule(times=0.1, usual=0.1, least=7.0)):
        assert not find_deviation(PAST, np.array([6.9]), rule).deviates.any()
        assert find_deviation(PAST, np.array([7.1]), rule).deviates.all()


def test_a_single_block_of_many_does_not_decide_and_a_newest_third_does() -> None:
    long = np.tile(PAST, 9)
    assert not find_deviation(long, np.array([2.0, 99.0, 2.0, 2.0, 2.0, 2.0]), RULE).deviates.any()
    broken = find_deviation(long, np.array([2.0, 2.0, 2.0, 2.0, 99.0, 99.0]), RULE)
    assert broken.deviates.tolist() == [False, False, False, False, True, True]


def test_blocks_without_a_value_do_not_count_and_too_few_give_no_verdict() -> None:
    holes = np.array([1.0, np.nan, 2.0, 3.0, 2.0])
    assert find_deviation(holes, np.array([np.nan, 99.0]), RULE).deviates.all()
    assert not find_deviation(holes, np.array([np.nan]), RULE).deviates.any()
    few = find_deviation(np.array([1.0, np.nan, 2.0]), np.array([99.0]), RULE)
    assert not few.deviates.any()
    assert math.isnan(few.median)
