"""Outputs and training targets of strategies. Values equal their time indices, so that a leak would show."""

import numpy as np
import pytest

from models.network.strategies import STRATEGIES, frames


@pytest.mark.parametrize(
    ("name", "outputs"), [("iterative", 3), ("direct", 12), ("seq2seq", 12), ("decoder", 12), ("parallel", 12)]
)
def test_one_pass_predicts_the_horizon_or_the_next_segment(name, outputs):
    assert STRATEGIES[name].outputs(12, 3) == outputs


def test_after_every_step_the_targets_are_the_values_that_follow_it():
    both = np.arange(9)[None]
    assert frames(both, 6, 1, 3)[0].tolist() == [[j, j + 1, j + 2] for j in range(1, 7)]


def test_a_step_of_several_points_ends_with_its_last_one():
    both = np.arange(9)[None]
    assert frames(both, 6, 2, 3)[0].tolist() == [[2, 3, 4], [4, 5, 6], [6, 7, 8]]
    assert frames(both, 6, 6, 3)[0].tolist() == [[6, 7, 8]]


def test_a_horizon_may_be_longer_than_the_context():
    assert frames(np.arange(7)[None], 2, 1, 5)[0].tolist() == [[1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]


def test_channels_stay_with_their_points():
    both = np.stack([np.arange(5), np.arange(5) * 10], axis=1)[None]
    assert frames(both, 3, 1, 2)[0, 1].tolist() == [[2, 20], [3, 30]]


def test_only_seasonal_naive_has_nothing_to_learn():
    assert [name for name, strategy in STRATEGIES.items() if not strategy.learns] == ["seasonal_naive"]
