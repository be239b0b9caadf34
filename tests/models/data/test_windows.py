"""Origins of training windows. Values equal their time indices, so that a leak would show."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.data.windows import Windows, newest_points, newest_windows, split, take, windows_of
from models.errors import InputError
from tests.models.samples import panel_of

NAN = np.nan


def origins(windows):
    """Return every origin as (series, at)."""
    return [(i, at) for i in range(len(windows.first)) for at in range(windows.first[i], windows.last[i] + 1)]


def drawn(windows, size=2000):
    return windows.draw(np.random.default_rng(0), size)


def test_every_point_with_a_context_before_and_a_horizon_after_it_is_an_origin():
    panel = panel_of(range(6), range(10))
    assert origins(windows_of(panel, 3, 2)) == [(0, 3), (0, 4), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8)]


def test_a_series_shorter_than_a_window_has_origins_from_its_middle_on():
    # of 5 points with a context of 9 and a horizon of 2: 3 or 4 points are before, 2 or 1 after them; 3 has its horizon
    assert origins(windows_of(panel_of(range(5)), 9, 2)) == [(0, 3)]
    assert origins(windows_of(panel_of(range(8)), 9, 2)) == [(0, 4), (0, 5), (0, 6)]


def test_a_series_shorter_than_the_horizon_has_origins_from_its_first_point_on():
    assert origins(windows_of(panel_of(range(3)), 9, 4)) == [(0, 1), (0, 2)]
    assert origins(windows_of(panel_of(range(1)), 9, 4)) == []


def test_without_context_origins_begin_at_the_very_first_point():
    assert origins(windows_of(panel_of(range(4)), 0, 2)) == [(0, 0), (0, 1), (0, 2)]
    assert origins(windows_of(panel_of(range(2)), 0, 3)) == [(0, 0), (0, 1)]


def test_points_known_ahead_without_a_value_are_not_trained_on():
    assert origins(windows_of(panel_of([0, 1, 2, 3, 4, NAN, NAN]), 2, 1)) == [(0, 2), (0, 3), (0, 4)]


def test_points_left_out_are_in_no_future():
    panel = panel_of(range(10), range(4))
    # of 4 points 3 are left out: the one before them has no future to train on
    assert origins(windows_of(panel, 3, 2, without=3)) == [(0, 3), (0, 4), (0, 5)]


def test_the_newest_origins_have_their_future_within_the_newest_points():
    assert origins(newest_windows(panel_of(range(10), range(2)), 2, 3)) == [(0, 7), (0, 8)]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 12), st.integers(1, 8))
def test_training_futures_never_overlap_held_out_futures(lengths, context, horizon):
    panel = panel_of(*map(range, lengths))
    assume(max(lengths) > horizon + newest_points(panel.median_length, horizon))  # shorter series cannot be split
    trained, held = split(panel, context, horizon, hold=True)
    ends = {i: at + horizon for i, at in origins(trained)}  # the last of each series
    begins = dict(reversed(origins(held)))  # the first
    assert all(ends[i] <= begins[i] for i in ends.keys() & begins.keys())
    assert all(begins[i] + horizon <= lengths[i] for i in begins)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 12), st.integers(1, 8))
def test_every_origin_has_a_value_after_it_and_with_a_context_one_before_it(lengths, context, horizon):
    for i, at in origins(windows_of(panel_of(*map(range, lengths)), context, horizon)):
        assert at < lengths[i]
        assert at >= min(1, context)


def test_without_holding_out_all_windows_are_for_training():
    trained, held = split(panel_of(range(10)), 3, 2, hold=False)
    assert (len(trained), held) == (6, None)


def test_an_impossible_split_is_refused_with_the_length_that_it_needs():
    with pytest.raises(InputError, match=r"longest series has 8 .* horizon of 4 needs at least 9"):
        split(panel_of(range(8)), 14, 4, hold=True)
    assert [len(part) for part in split(panel_of(range(9)), 14, 4, hold=True)] == [1, 1]
    with pytest.raises(InputError, match=r"longest series has 1 .* needs at least 2"):
        split(panel_of([7]), 14, 4, hold=False)
    assert len(split(panel_of([7, 8]), 14, 4, hold=False)[0]) == 1


def test_a_series_is_drawn_in_proportion_to_the_square_root_of_its_origins():
    series, at = drawn(Windows(np.array([0, 5, 3]), np.array([99, 2, 3])), 11_000)  # 100 origins, none, 1
    assert np.bincount(series, minlength=3) == pytest.approx([10_000, 0, 1_000], rel=0.15)
    assert set(at[series == 0]) == set(range(100))
    assert set(at[series == 2]) == {3}


def test_evenly_spread_origins_are_in_order_and_include_the_first_and_the_last():
    windows = Windows(np.array([2, 7]), np.array([4, 8]))
    series, at = windows.spread(5)
    assert list(zip(series.tolist(), at.tolist(), strict=True)) == origins(windows)
    series, at = windows.spread(2)
    assert list(zip(series.tolist(), at.tolist(), strict=True)) == [(0, 2), (1, 8)]
    assert len(windows.spread(9)[0]) == 9


def test_points_outside_of_their_series_are_missing():
    panel = panel_of(range(5), range(10, 13))
    found = take(panel.y, panel, np.array([0, 1, 1, 0]), np.array([3, -2, 2, 40]), 4)
    expected = [[3, 4, NAN, NAN], [NAN, NAN, 10, 11], [12, NAN, NAN, NAN], [NAN] * 4]
    assert found.ravel().tolist() == pytest.approx(np.ravel(expected).tolist(), nan_ok=True)


def test_windows_hold_two_numbers_for_each_series():
    windows = windows_of(panel_of(np.arange(20_000.0)), 500, 100)
    assert len(windows) == 19_401
    assert windows.first.nbytes + windows.last.nbytes == 16


def test_points_taken_alone_are_a_copy_that_leaves_the_panel_as_it_is():
    panel = panel_of(range(6), range(10))
    alone = take(panel.y, panel, np.array([1]), np.array([4]), 3)
    alone[:] = NAN
    assert panel.series(1).tolist() == list(range(10))


def test_points_are_the_same_alone_and_in_a_batch_with_points_before_a_series():
    panel = panel_of(range(6), range(10))
    inside, series, begin = take(panel.y, panel, np.array([1]), np.array([4]), 3), np.array([0, 1]), np.array([-1, 4])
    assert inside.tolist() == [[4, 5, 6]]
    np.testing.assert_array_equal(take(panel.y, panel, series, begin, 3), [[NAN, 0, 1], *inside])
