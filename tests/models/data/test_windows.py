"""Which moments are taught. Values equal their time indices, so that a leak can be seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.windows import Windows, newest_points, newest_windows, split, take, windows_of
from models.errors import InputError
from tests.models.samples import panel_of

NAN = np.nan


def moments(windows):
    """Every moment as (series, at)."""
    return [(i, at) for i in range(len(windows.first)) for at in range(windows.first[i], windows.last[i] + 1)]


def drawn(windows, size=2000):
    return windows.draw(np.random.default_rng(0), size)


def test_every_point_with_a_context_before_and_a_horizon_after_it_is_a_moment():
    panel = panel_of(range(6), range(10))
    assert moments(windows_of(panel, 3, 2)) == [(0, 3), (0, 4), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8)]


def test_a_series_without_room_for_one_counts_from_its_half():
    # of 5 points with a context of 9 and a horizon of 2: 3 or 4 points are before, 2 or 1 after them; 3 has its horizon
    assert moments(windows_of(panel_of(range(5)), 9, 2)) == [(0, 3)]
    assert moments(windows_of(panel_of(range(8)), 9, 2)) == [(0, 4), (0, 5), (0, 6)]


def test_a_series_shorter_than_the_horizon_counts_from_its_first_point():
    assert moments(windows_of(panel_of(range(3)), 9, 4)) == [(0, 1), (0, 2)]
    assert moments(windows_of(panel_of(range(1)), 9, 4)) == []


def test_without_history_every_moment_with_its_future_counts_from_the_very_first():
    assert moments(windows_of(panel_of(range(4)), 0, 2)) == [(0, 0), (0, 1), (0, 2)]
    assert moments(windows_of(panel_of(range(2)), 0, 3)) == [(0, 0), (0, 1)]


def test_points_known_ahead_without_a_value_are_not_taught():
    assert moments(windows_of(panel_of([0, 1, 2, 3, 4, NAN, NAN]), 2, 1)) == [(0, 2), (0, 3), (0, 4)]


def test_points_left_out_are_in_no_future():
    panel = panel_of(range(10), range(4))
    # of 4 points 3 are left out: the one before them has no future that could be taught
    assert moments(windows_of(panel, 3, 2, without=3)) == [(0, 3), (0, 4), (0, 5)]


def test_the_newest_moments_are_those_whose_future_lies_in_the_end():
    assert moments(newest_windows(panel_of(range(10), range(2)), 2, 3)) == [(0, 7), (0, 8)]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 12), st.integers(1, 8))
def test_what_is_taught_never_reaches_into_what_is_held(lengths, context, horizon):
    panel = panel_of(*map(range, lengths))
    if max(lengths) < horizon + newest_points(panel.median_length, horizon) + 1:
        return  # too short to be split
    taught, held = split(panel, context, horizon, hold=True)
    ends = {i: at + horizon for i, at in moments(taught)}  # the last of each series
    begins = dict(reversed(moments(held)))  # the first
    assert all(ends[i] <= begins[i] for i in ends.keys() & begins.keys())
    assert all(begins[i] + horizon <= lengths[i] for i in begins)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 12), st.integers(1, 8))
def test_every_moment_has_a_value_after_it_and_unless_there_is_no_context_one_before(lengths, context, horizon):
    for i, at in moments(windows_of(panel_of(*map(range, lengths)), context, horizon)):
        assert at < lengths[i]
        assert at >= min(1, context)


def test_with_nothing_held_all_is_taught():
    taught, held = split(panel_of(range(10)), 3, 2, hold=False)
    assert (len(taught), held) == (6, None)


def test_a_split_that_cannot_be_says_what_it_needs():
    with pytest.raises(InputError, match=r"longest series has 8 .* horizon of 4 needs at least 9"):
        split(panel_of(range(8)), 14, 4, hold=True)
    assert [len(part) for part in split(panel_of(range(9)), 14, 4, hold=True)] == [1, 1]
    with pytest.raises(InputError, match=r"longest series has 1 .* needs at least 2"):
        split(panel_of([7]), 14, 4, hold=False)
    assert len(split(panel_of([7, 8]), 14, 4, hold=False)[0]) == 1


def test_a_series_comes_up_as_the_square_root_of_its_moments():
    series, at = drawn(Windows(np.array([0, 5, 3]), np.array([99, 2, 3])), 11_000)  # 100 moments, none, 1
    assert np.bincount(series, minlength=3) == pytest.approx([10_000, 0, 1_000], rel=0.15)
    assert set(at[series == 0]) == set(range(100))
    assert set(at[series == 2]) == {3}


def test_moments_spread_evenly_are_in_order_and_begin_and_end_with_the_first_and_last():
    windows = Windows(np.array([2, 7]), np.array([4, 8]))
    series, at = windows.spread(5)
    assert list(zip(series.tolist(), at.tolist(), strict=True)) == moments(windows)
    series, at = windows.spread(2)
    assert list(zip(series.tolist(), at.tolist(), strict=True)) == [(0, 2), (1, 8)]
    assert len(windows.spread(9)[0]) == 9


def test_points_outside_of_their_series_are_missing_whoever_lies_beside_it():
    panel = panel_of(range(5), range(10, 13))
    found = take(panel.y, panel, np.array([0, 1, 1, 0]), np.array([3, -2, 2, 40]), 4)
    expected = [[3, 4, NAN, NAN], [NAN, NAN, 10, 11], [12, NAN, NAN, NAN], [NAN] * 4]
    assert found.ravel().tolist() == pytest.approx(np.ravel(expected).tolist(), nan_ok=True)


def test_nothing_is_copied_until_it_is_drawn():
    windows = windows_of(panel_of(np.arange(20_000.0)), 500, 100)
    assert len(windows) == 19_401
    assert windows.first.nbytes + windows.last.nbytes == 16


def test_points_are_the_same_whether_or_not_those_beside_them_begin_before_their_series():
    panel = panel_of(range(6), range(10))
    inside, series, begin = take(panel.y, panel, np.array([1]), np.array([4]), 3), np.array([0, 1]), np.array([-1, 4])
    assert inside.tolist() == [[4, 5, 6]]
    np.testing.assert_array_equal(take(panel.y, panel, series, begin, 3), [[NAN, 0, 1], *inside])
