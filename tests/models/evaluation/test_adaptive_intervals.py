"""Adaptive intervals: steps by hand, and coverage that recovers after a shift."""

import json
from dataclasses import replace

import numpy as np
import pytest

from models.errors import BundleError
from models.evaluation.adaptive_intervals import MAX_TOTAL_STEP, RATES, Adaptation, adapt, initial_adaptation
from models.evaluation.intervals import Prediction, calibrate

NAN = np.nan
NINE = calibrate(
    Prediction.of_points(np.zeros((9, 1)), np.ones((9, 1))), np.arange(1.0, 10)[:, None]
)  # 80 percent: radius 8

FOUR_STEPS = calibrate(Prediction.of_points(np.zeros((9, 4)), np.ones((9, 1))), np.tile(np.arange(1.0, 10)[:, None], 4))


LATER = replace(initial_adaptation(), moments=10_000, part_moments=np.full(4, 10_000))  # when the rates alone decide


def zero(count=1, horizon=1, spread=1.0):
    return Prediction.of_points(np.zeros((count, horizon)), np.full((count, 1), spread))


def test_the_initial_state_has_scales_of_one():
    assert initial_adaptation().scales.tolist() == [[1.0] * 99] * 4


def test_one_value_outside_is_a_step_up_and_four_inside_undo_it():
    outside = adapt(LATER, NINE, zero(), np.array([[8.1]]))
    assert outside.log_scales[:, 0, 79] == pytest.approx(0.8 * RATES)
    assert outside.scales[0, 79] > 1
    state = outside
    for _ in range(4):
        state = adapt(state, NINE, zero(), np.array([[1.0]]))
    assert state.log_scales[:, 0, 79] == pytest.approx(np.zeros(len(RATES)), abs=1e-12)


def test_values_of_one_moment_count_as_the_root_of_their_number():
    # one of four outside, where one of five should be
    came = np.array([[9.0], [-1.0], [1.0], [1.0]])
    assert adapt(LATER, NINE, zero(4), came).log_scales[:, 0, 79] == pytest.approx(2 * 0.05 * RATES)


def test_a_part_of_the_horizon_moves_with_all_and_further_by_its_own_difference():
    # Steps 1 and 2 are the first third, of which a half is outside. Of all four steps a quarter is, 0.05 too many.
    first, middle, last, beyond = np.moveaxis(
        adapt(LATER, FOUR_STEPS, zero(1, 4), np.array([[9.0, -1.0, 1.0, 1.0]])).log_scales[:, :, 79], 1, 0
    )
    together = 2 * 0.05 * RATES
    assert first == pytest.approx(together + np.sqrt(2) * (0.3 - 0.05) * RATES)
    assert middle == pytest.approx(together + (-0.2 - 0.05) * RATES)
    assert last == pytest.approx(middle)
    assert beyond == pytest.approx(together)  # nothing was observed there
    with_beyond = adapt(LATER, FOUR_STEPS, zero(1, 5), np.array([[9.0, -1.0, 1.0, 1.0, 99.0]])).log_scales[:, :, 79]
    assert with_beyond[:, 3] == pytest.approx(together + 0.8 * RATES)
    assert with_beyond[:, 0] == pytest.approx(first)


def test_values_beyond_the_trained_steps_move_only_the_intervals_there():
    came = np.array([[NAN, NAN, NAN, NAN, 99.0, -99.0]])
    made = adapt(LATER, FOUR_STEPS, zero(1, 6), came)
    assert made.log_scales[:, 3, 79] == pytest.approx(np.sqrt(2) * 0.8 * RATES)
    assert (made.log_scales[:, :3] == 0).all()
    assert (made.moments, made.part_moments.tolist()) == (10_000, [10_000, 10_000, 10_000, 10_001])


def test_the_step_of_one_moment_is_limited():
    came = np.tile([[9.0], [-1.0], [1.0], [1.0]], (10_000, 1))
    assert adapt(initial_adaptation(), NINE, zero(40_000), came).log_scales[:, 0, 79] == pytest.approx(
        0.05 * MAX_TOTAL_STEP
    )


def test_the_first_steps_are_large_and_shrink_with_every_moment():
    first = adapt(initial_adaptation(), NINE, zero(), np.array([[9.0]]))
    assert first.log_scales[0, 0, 79] == pytest.approx(0.8 * MAX_TOTAL_STEP)
    second = adapt(first, NINE, zero(), np.array([[0.0]]))
    assert second.log_scales[0, 0, 79] - first.log_scales[0, 0, 79] == pytest.approx(-0.2 * MAX_TOTAL_STEP / 2)
    assert second.moments == 2


def test_missing_values_and_constant_windows_change_nothing():
    state = adapt(initial_adaptation(), NINE, zero(), np.array([[9.0]]))
    assert adapt(state, NINE, zero(), np.array([[NAN]])) is state
    assert adapt(state, NINE, zero(spread=0.0), np.array([[9.0]])) is state
    half = adapt(initial_adaptation(), NINE, zero(2), np.array([[9.0], [NAN]]))
    assert half.log_scales.tolist() == state.log_scales.tolist()


def test_levels_above_the_highest_of_the_calibration_stay_unchanged():
    state = adapt(initial_adaptation(), NINE, zero(), np.array([[100.0]]))
    assert (state.scales[:, :90] > 1).all()
    assert (state.scales[:, 90:] == 1).all()


def test_the_distance_is_measured_on_the_side_of_the_value():
    """An interval from -1 to 4 about 0: 2 above is half of its width there, 2 below is twice its width."""
    quantiles = np.array([[[-1.0, 0.0, 4.0]]])
    lopsided = Prediction.of_quantiles(np.zeros((1, 1)), np.ones((1, 1)), quantiles, (0.1, 0.5, 0.9))
    exact = calibrate(
        Prediction.of_quantiles(np.zeros((9, 1)), np.ones((9, 1)), np.repeat(quantiles, 9, 0), (0.1, 0.5, 0.9)),
        np.full((9, 1), 4.0),
    )
    (made,) = exact.intervals(lopsided, [80]).values()
    assert (made.lo.item(), made.hi.item()) == pytest.approx((-1, 4), abs=0.05)
    assert (adapt(initial_adaptation(), exact, lopsided, np.array([[2.0]])).log_scales[:, 0, 79] < 0).all()
    assert (adapt(initial_adaptation(), exact, lopsided, np.array([[-2.0]])).log_scales[:, 0, 79] > 0).all()


def test_extreme_values_leave_the_state_finite():
    state = initial_adaptation()
    for value in (np.inf, 1e300, 0.0, -1e300):
        state = adapt(state, NINE, zero(), np.array([[value]]))
    assert np.isfinite(state.scales).all()


def test_a_state_goes_to_json_and_back():
    state = adapt(initial_adaptation(), NINE, zero(), np.array([[9.0]]))
    again = Adaptation.from_json(json.loads(json.dumps(state.to_json())))
    assert again.log_scales.tolist() == state.log_scales.tolist()
    assert again.losses.tolist() == state.losses.tolist()
    assert (again.moments, again.part_moments.tolist()) == (1, [1, 0, 0, 0])


def test_a_state_of_an_earlier_release_has_the_same_scales_in_all_parts():
    widths, losses = np.full((len(RATES), 99), 0.5).tolist(), np.zeros((len(RATES), 99)).tolist()
    state = Adaptation.from_json({"widths": widths, "losses": losses, "moments": 7})
    assert state.scales == pytest.approx(np.full((4, 99), np.exp(0.5)))
    assert (state.moments, state.part_moments.tolist()) == (7, [0, 0, 0, 0])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"widths": [1.0], "losses": [1.0]},
        {"widths": "x", "losses": "y"},
        {"widths": None, "losses": None},
        {**initial_adaptation().to_json(), "moments": -1},
        {**initial_adaptation().to_json(), "part_moments": [0, 0, 0]},
        {**initial_adaptation().to_json(), "part_moments": [0, 0, 0, -1]},
    ],
)
def test_an_invalid_state_is_refused(values):
    with pytest.raises(BundleError, match="adaptation"):
        Adaptation.from_json(values)


def live(deviations, level, adaptive):
    """Simulate six steps a moment with the given deviations; return the share of each moment inside the interval."""
    rng = np.random.default_rng(7)
    calibration = calibrate(zero(200, 6), rng.normal(size=(200, 6)))
    state, shares = initial_adaptation(), []
    for deviation in deviations:
        actual = deviation * rng.normal(size=(1, 6))
        lo, hi = calibration.with_scales(state.scales).intervals(zero(1, 6), [level])[level]
        shares.append(((lo <= actual) & (actual <= hi)).mean())
        state = adapt(state, calibration, zero(1, 6), actual) if adaptive else state
    return np.array(shares)


def test_after_a_variance_shift_the_adapted_intervals_reach_their_level_again():
    shift = [1.0] * 100 + [3.0] * 400
    plain, adapted = live(shift, 80, adaptive=False), live(shift, 80, adaptive=True)
    assert plain[130:].mean() < 0.4
    assert adapted[130:].mean() == pytest.approx(0.8, abs=0.03)
    assert adapted[130:200].mean() == pytest.approx(0.8, abs=0.05)  # thirty moments after the shift


def test_without_a_shift_adaptation_costs_no_coverage():
    assert live([1.0] * 400, 80, adaptive=True).mean() == pytest.approx(0.8, abs=0.02)


def test_errors_that_shrink_make_the_intervals_narrow_again():
    calm = live([3.0] * 200 + [1.0] * 400, 80, adaptive=True)
    assert calm[250:].mean() == pytest.approx(0.8, abs=0.03)


def test_each_part_of_the_horizon_reaches_its_level_where_errors_grow_faster_than_in_the_backtest():
    rng = np.random.default_rng(7)
    calibration = calibrate(zero(200, 6), rng.normal(size=(200, 6)))  # equal errors at all six steps
    deviations = np.repeat([0.5, 1.0, 2.0, 4.0], 2)  # of the thirds, and of two steps beyond them
    state, inside = initial_adaptation(), []
    for _ in range(400):
        actual = deviations * rng.normal(size=(1, 8))
        lo, hi = calibration.with_scales(state.scales).intervals(zero(1, 8), [80])[80]
        inside.append((lo <= actual) & (actual <= hi))
        state = adapt(state, calibration, zero(1, 8), actual)
    by_part = np.concatenate(inside)[40:].reshape(-1, 4, 2).mean(axis=(0, 2))
    assert by_part == pytest.approx(0.8, abs=0.04)
