"""Normalisation of windows and its inverse; missing values are left out."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.data.transforms import change_of
from models.network.scaling import MAX_DEVIATION, SCALINGS, Scale, fill, normalise

NAN = np.nan
NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6)
GAPS = st.lists(st.booleans(), min_size=6, max_size=6)
BY_WINDOW = [name for name, scaling in SCALINGS.items() if not scaling.by_panel]
ALL = pytest.mark.parametrize("scaling", BY_WINDOW)
PRIOR = np.zeros(2, np.float32)  # of a panel; these scalings ignore it


def window(*values, scaling="level", season=1):
    """Values, level and spread of one window."""
    values, (level, spread, _) = normalise(np.array([values]), season, scaling, PRIOR)
    return values[0].tolist(), level[0].tolist(), spread[0].tolist()


def test_a_window_is_measured_from_its_last_season():
    # from the mean of 2 and 3, in units of (6.5 + 1.5 + 0.5 + 0.5) / 4
    values, level, spread = window(9.0, 1.0, 2.0, 3.0, season=2)
    assert (level, spread) == ([2.5], [2.25])
    assert values == pytest.approx([6.5 / 2.25, -1.5 / 2.25, -0.5 / 2.25, 0.5 / 2.25])


def test_missing_values_are_left_out_of_level_and_spread_and_stay_missing():
    values, level, spread = window(NAN, 1.0, NAN, 3.0, season=2)
    assert (level, spread) == ([3.0], [1.0])  # the last season's mean is 3; 1 is 2 away and 3 is 0 away
    assert values == pytest.approx([NAN, -2.0, NAN, 0.0], nan_ok=True)


@pytest.mark.parametrize("season", [1, 5, 100])
def test_a_window_shorter_than_a_season_is_measured_from_its_last_value(season):
    assert window(9.0, 1.0, 2.0, 3.0, season=season)[1] == [3.0]
    assert window(9.0, 1.0, 2.0, NAN, season=season)[1] == [2.0]


def test_scaling_last_takes_the_last_value_as_level_for_any_season():
    assert window(9.0, 1.0, 2.0, 3.0, season=2, scaling="last")[1] == [3.0]


def test_scaling_standard_uses_mean_and_standard_deviation():
    assert window(1.0, 3.0, NAN, 5.0, 7.0, scaling="standard")[1:] == ([4.0], [pytest.approx(np.sqrt(5))])


def test_scaling_seasonal_subtracts_the_value_one_season_before():
    values, level, spread = window(1.0, 5.0, 2.0, 9.0, 4.0, 11.0, season=2, scaling="seasonal")
    # changes 1, 4, 2, 2; the next values are measured from 4 and 11 in turn
    assert (level, spread) == ([4.0, 11.0], [2.25])
    assert values == pytest.approx([NAN, NAN, 1 / 2.25, 4 / 2.25, 2 / 2.25, 2 / 2.25], nan_ok=True)
    scale = Scale.of(np.array([level]), np.array([spread]))
    assert scale.to_data(np.float32([[0, 0, 1]])).tolist() == [[4.0, 11.0, 6.25]]
    assert scale.to_window(np.array([[4.0, 15.5, 6.25]])).tolist() == [[0, 2, 1]]


def test_a_missing_seasonal_level_is_taken_from_the_season_before():
    assert window(1.0, 5.0, 2.0, NAN, season=2, scaling="seasonal")[1] == [2.0, 5.0]
    assert window(1.0, NAN, 3.0, NAN, season=2, scaling="seasonal")[1] == [3.0, 2.0]  # never seen: the mean


@ALL
@given(NUMBERS, GAPS, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_window_units_do_not_change_with_scale_and_shift(scaling, values, gaps, scale, shift):
    past = np.where([[*gaps[:-1], False]], np.nan, np.array([values]))
    one, other = normalise(past, 3, scaling, PRIOR), normalise(scale * past + shift, 3, scaling, PRIOR)
    assume(one.scale.spread[0, 0] >= 1e-3)  # smaller ones are lost in rounding
    assume(other.scale.spread[0, 0] >= 1e-3)
    assert other.values == pytest.approx(one.values, rel=1e-4, abs=1e-4, nan_ok=True)


@ALL
@given(st.lists(st.floats(-1e90, 1e90), min_size=4, max_size=12), st.integers(1, 4))
def test_data_units_undo_window_units(scaling, values, season):
    past = np.array([values])
    scaled = normalise(past, season, scaling, PRIOR)
    assert np.isfinite(scaled.values[:, season:]).all()
    ahead = past[:, : 2 * season]
    back = scaled.scale.to_data(scaled.scale.to_window(ahead))
    assume(scaled.scale.spread[0, 0] * MAX_DEVIATION > 3 * np.abs(past).max())  # nothing is clipped
    assert back == pytest.approx(ahead, rel=1e-5, abs=1e-5 * np.abs(past).max())


@ALL
@pytest.mark.parametrize("value", [0.0, 7.0, -1e100, 1e-320])
def test_a_constant_window_and_all_values_after_it_are_zero(scaling, value):
    values, scale = normalise(np.array([[value, value, NAN, value, value]]), 2, scaling, PRIOR)
    assert scale.spread.tolist() == [[0.0]]
    assert not np.nan_to_num(values).any()
    assert scale.to_data(np.float32([[3, -3, 0]])).tolist() == [[value] * 3]
    assert scale.to_window(np.array([[1e100, -1e100]])).tolist() == [[0.0, 0.0]]


@ALL
def test_a_window_without_values_has_no_units(scaling):
    values, scale = normalise(np.full((1, 4), NAN), 2, scaling, PRIOR)
    assert np.isnan(values).all()
    assert np.isnan(scale.to_window(np.array([[1.0, 2.0, 3.0]]))).all()


def test_rounding_around_a_high_level_counts_as_constant():
    assert window(1e12 + 1e-4, 1e12, 1e12 + 1e-4, 1e12)[2] == [0.0]


@pytest.mark.parametrize("scaling", ["level", "last", "standard"])
@pytest.mark.parametrize("level", [0.0, 1e12, 1e13, 1e14])
def test_a_variation_that_float64_holds_is_no_rounding(level, scaling):
    assert window(*(level + np.array([10.0, 20, 30, 20])), scaling=scaling)[2] == [pytest.approx(7.5, rel=0.4)]


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1e90])
def test_units_are_measured_at_any_scale(size):
    assert window(1 * size, 3 * size, 1 * size, 3 * size)[2] == pytest.approx([size], rel=1e-9)


LEARNED = np.array([4.0, 0.5], dtype=np.float32)  # a spread of 4, or half of the level


def scale_of(*values, scaling="level", unit=LEARNED):
    """Spread of one window with a learned unit, and whether it is measured."""
    scale = normalise(np.array([values]), 1, scaling, PRIOR, unit).scale
    return scale.spread.item(), bool(scale.measured.item())


def test_one_observed_value_has_an_unknown_spread_and_gets_the_learned_unit():
    assert scale_of(*[NAN] * 19, 16.0) == (8.0, False)  # half of 16
    assert scale_of(*[NAN] * 19, 0.0) == (4.0, False)
    assert scale_of(*[NAN] * 19, 16.0, unit=np.float32([4.0, 0.0])) == (4.0, False)
    assert scale_of(*[NAN] * 19, 16.0, unit=np.zeros(2, np.float32)) == (0.0, False)


def test_only_enough_equal_values_are_constant():
    assert scale_of(*[NAN] * 13, *[16.0] * 7) == (8.0, False)
    assert scale_of(*[NAN] * 12, *[16.0] * 8) == (0.0, True)
    assert scale_of(5.0, 5.0, 5.0) == (0.0, True)  # the window is full


def test_seasons_that_repeat_exactly_have_a_small_unit_and_constant_ones_none():
    assert scale_of(1.0, 3.0, 1.0, 3.0) == (pytest.approx(1.0), True)
    repeated = normalise(np.array([[1.0, 3.0] * 5]), 2, "seasonal", PRIOR).scale
    assert (repeated.spread.item(), repeated.measured.item()) == (pytest.approx(0.01), True)


def test_a_jump_after_a_nearly_constant_window_stays_finite():
    after = Scale.of(np.array([[0.0]]), np.array([[1e-90]])).to_window(np.array([[1e100, -1e100, 2.0]]))
    assert after.tolist() == [[MAX_DEVIATION, -MAX_DEVIATION, MAX_DEVIATION]]


def test_gaps_are_filled_from_the_nearest_earlier_season_with_a_value():
    values = np.array([[1.0, NAN, 3.0, 4.0, NAN, NAN, NAN, NAN]])
    assert fill(values, 3)[0].tolist() == pytest.approx([1, NAN, 3, 4, NAN, 3, 4, NAN], nan_ok=True)
    assert fill(values, 1)[0].tolist() == [1, 1, 3, 4, 4, 4, 4, 4]
    assert np.isnan(values).sum() == 5  # the input is not changed


@pytest.mark.parametrize("name", ["log", "boxcox"])
@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=5))
def test_a_transform_of_positive_values_can_be_undone(name, values):
    change = change_of(name, np.array([values]))
    there = change.apply(np.array([values]))
    assert (np.diff(there[0, np.argsort(values)]) >= 0).all()
    assert change.invert(there) == pytest.approx(np.array([values]), rel=1e-9)


def test_the_transforms_by_hand():
    past = np.array([[1.0, 16.0]])
    assert change_of("log", past).apply(past)[0].tolist() == pytest.approx([0, np.log(16)])
    assert change_of("boxcox", past).apply(past)[0].tolist() == [0, 4]  # (16 ** 0.25 - 1) / 0.25
    assert change_of("none", past).apply(past).tolist() == past.tolist()


@pytest.mark.parametrize("name", ["log", "boxcox"])
def test_rows_that_are_not_positive_are_left_as_they_are(name):
    past = np.array([[1.0, 2.0], [0.0, 2.0], [NAN, 4.0]])
    change = change_of(name, past)
    assert change.positive[:, 0].tolist() == [True, False, True]
    assert change.apply(past)[1].tolist() == [0.0, 2.0]
    assert change.invert(change.apply(past)) == pytest.approx(past, nan_ok=True)
    # 0 and less after a positive past have no value in these units: they are not trained on
    assert np.isnan(change.apply(np.full((3, 1), -1.0)))[:, 0].tolist() == [True, False, True]


@pytest.mark.parametrize("name", ["log", "boxcox"])
def test_the_inverse_transform_of_extreme_values_is_finite(name):
    assert np.isfinite(change_of(name, np.array([[1.0]])).invert(np.array([[1e5, -1e5]]))).all()


@ALL
@given(st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=30))
def test_a_window_is_normalised_to_the_same_bits_alone_and_in_a_batch(scaling, values):
    past = np.array(values).reshape(1, 30)
    beside = np.concatenate([past, np.where(np.arange(30) % 4 == 3, np.nan, 1.5 * past), np.full((1, 30), 7.0)])
    alone, together = normalise(past, 4, scaling, PRIOR), normalise(beside, 4, scaling, PRIOR)
    np.testing.assert_array_equal(together.values[0], alone.values[0])
    np.testing.assert_array_equal(together.scale.level[0], alone.scale.level[0])
    np.testing.assert_array_equal(together.scale.spread[0], alone.scale.spread[0])
