"""Training losses, computed by hand; missing targets do not count."""

import numpy as np
import pytest
import tensorflow as tf

from models.network.losses import LOSSES
from models.training.loss import FORMULAS, loss_of
from tests.models.samples import small_spec

NAN = np.nan
SOFTPLUS_OF_0 = np.log(2) + 1e-3


def loss(name, actual, said, quantiles=(0.1, 0.5, 0.9)):
    """Of one window: targets (O,), parameters (O, P)."""
    formula = loss_of(small_spec(loss=name, quantiles=tuple(quantiles)))
    return float(formula(np.float32([actual])[..., None], np.float32([said])))


def test_every_loss_has_its_formula():
    assert FORMULAS.keys() == LOSSES.keys()


@pytest.mark.parametrize(
    ("name", "actual", "said", "expected"),
    [
        ("mae", [3, 5], [[1], [6]], (2 + 1) / 2),
        ("mse", [3, 5], [[1], [6]], (4 + 1) / 2),
        ("huber", [3, 5], [[1], [5.5]], (0.5 + 1 + 0.125) / 2),  # 2 away: half a square up to 1, then straight
        # 3 above 1, 2 and below 5, at 10, 50 and 90 %: 0.1 * 2, 0.5 * 1, 0.1 * 2; twice the mean
        ("quantile", [3], [[1, 2, 5]], 2 * (0.2 + 0.5 + 0.2) / 3),
        ("normal", [3], [[1, 0]], np.log(SOFTPLUS_OF_0) + 0.5 * (2 / SOFTPLUS_OF_0) ** 2),
        ("student_t", [3], [[1, 0]], np.log(SOFTPLUS_OF_0) + 2.5 * np.log(1 + (2 / SOFTPLUS_OF_0) ** 2 / 4)),
    ],
)
def test_losses_by_hand(name, actual, said, expected):
    assert loss(name, actual, said) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_missing_target_adds_no_loss_and_no_gradient(name):
    count = LOSSES[name].count_locations((0.1, 0.5, 0.9)) + LOSSES[name].spreads
    there = loss(name, [3.0], [[1.0] * count])
    assert loss(name, [3.0, NAN], [[1.0] * count, [7.0] * count]) == pytest.approx(there)
    assert loss(name, [NAN, NAN], [[1.0] * count] * 2) == 0.0


def test_nothing_observed_gives_no_gradient_and_no_nan():
    for name in LOSSES:
        spec = small_spec(loss=name)
        said = tf.Variable(np.ones((2, 3, spec.parameters), dtype=np.float32))
        with tf.GradientTape() as tape:
            value = loss_of(spec)(np.full((2, 3, 1), NAN, dtype=np.float32), said)
        assert not np.any(tape.gradient(value, said))


def lowest(name, actuals, grid, rest=()):
    """Return the place on ``grid`` where the loss of predicting one number for all ``actuals`` is smallest."""
    losses = [loss(name, actuals, [[place, *rest]] * len(actuals), quantiles=(0.5,)) for place in grid]
    return grid[int(np.argmin(losses))]


def test_each_loss_has_its_minimum_at_its_target_statistic():
    actuals, grid = [0.0, 0.0, 0.0, 1.0, 9.0], np.linspace(-1, 10, 111)
    assert lowest("mae", actuals, grid) == pytest.approx(0.0)  # the median
    assert lowest("mse", actuals, grid) == pytest.approx(2.0)  # the mean
    assert lowest("normal", actuals, grid, [0.0]) == pytest.approx(2.0)
    assert 0 < lowest("huber", actuals, grid) < 1  # between the two
    assert 0 < lowest("student_t", actuals, grid, [0.0]) < 1


@pytest.mark.parametrize("level", [0.1, 0.25, 0.9])
def test_the_pinball_loss_has_its_minimum_at_the_quantile(level):
    grid, levels = np.arange(101.0), sorted((level, 0.5))
    place = levels.index(level)
    losses = []
    for quantile in grid:
        said = [50.0, 50.0]
        said[place] = quantile
        losses.append(loss("quantile", grid, [said] * 101, levels))
    assert grid[int(np.argmin(losses))] == pytest.approx(100 * level, abs=1)


def test_the_likelihood_has_its_optimum_at_the_spread_of_the_values():
    actuals, grid = [-2.0, 2.0], np.linspace(-3, 6, 181)
    losses = [loss("normal", actuals, [[0.0, raw]] * 2) for raw in grid]
    assert np.logaddexp(0, grid[int(np.argmin(losses))]) == pytest.approx(2.0, abs=0.05)
