"""What a network is taught. Values equal their time indices, so that a leak can be seen."""

import numpy as np
import pytest

from models.strategies import STRATEGIES

PAST, FUTURE = np.arange(6, dtype=np.float32)[None], np.arange(6, 9, dtype=np.float32)[None]


@pytest.mark.parametrize(
    ("name", "outputs", "targets"),
    [
        ("iterative", 1, [6]),
        ("direct", 3, [6, 7, 8]),
        ("seq2seq", 3, [[1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6], [5, 6, 7], [6, 7, 8]]),
    ],
)
def test_a_network_is_taught_what_comes_next(name, outputs, targets):
    assert STRATEGIES[name].outputs(3) == outputs
    assert STRATEGIES[name].targets(PAST, FUTURE)[0].tolist() == targets


def test_a_horizon_longer_than_the_context_is_taught_too():
    past, future = PAST[:, :2], np.arange(2, 7, dtype=np.float32)[None]
    assert STRATEGIES["seq2seq"].targets(past, future)[0].tolist() == [[1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]
