"""Windows and their normalisation. Values equal their time indices, so that a leak can be seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.scaling import FARTHEST, inputs, normalise, to_data_units, to_window_units
from models.windows import split, windows_of
from tests.models.samples import panel_of


def pairs(windows):
    past, future = windows.take(np.arange(len(windows)))
    return [(list(map(int, p)), list(map(int, f))) for p, f in zip(past, future, strict=True)]


def test_every_run_within_one_series_is_a_window():
    panel = panel_of(range(5), range(100, 102), range(10, 14))  # the second is too short
    assert pairs(windows_of(panel, 2, 1)) == [
        ([0, 1], [2]),
        ([1, 2], [3]),
        ([2, 3], [4]),
        ([10, 11], [12]),
        ([11, 12], [13]),
    ]


def test_without_leaves_out_futures_that_reach_into_the_end_and_last_keeps_only_them():
    panel = panel_of(range(10))
    assert pairs(windows_of(panel, 3, 2, without=3)) == [
        ([0, 1, 2], [3, 4]),
        ([1, 2, 3], [4, 5]),
        ([2, 3, 4], [5, 6]),
    ]
    assert pairs(windows_of(panel, 3, 2, last=3)) == [([4, 5, 6], [7, 8]), ([5, 6, 7], [8, 9])]


def test_windows_are_views_until_they_are_drawn():
    panel = panel_of(range(1000))
    windows = windows_of(panel, 50, 5)
    assert np.shares_memory(windows.values, panel.y)
    past, _ = windows.take(np.array([3]))
    assert not np.shares_memory(past, panel.y)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 12), st.integers(1, 8))
def test_what_is_taught_never_overlaps_what_is_held(lengths, context, horizon):
    panel = panel_of(*(np.arange(n) + 1000 * i for i, n in enumerate(lengths)))
    if max(lengths) < context + horizon + max(horizon, int(0.1 * panel.median_length)):
        with pytest.raises(InputError, match="longest series has"):
            split(panel, context, horizon)
        return
    taught, held = split(panel, context, horizon)
    futures = [{v for _, future in pairs(windows) for v in future} for windows in (taught, held)]
    assert not futures[0] & futures[1]
    for past, future in pairs(taught) + pairs(held):
        run = past + future
        assert run == list(range(run[0], run[0] + context + horizon))  # one series, in order, future after past


def test_a_draw_takes_every_series_alike_however_long():
    windows = windows_of(panel_of(range(1000), range(5000, 5006), range(2)), 3, 1)
    past, _ = windows.take(windows.draw(np.random.default_rng(0), 4000))
    assert 0.45 < (past[:, 0] >= 5000).mean() < 0.55
    assert len(np.unique(past[:, 0])) > 800


def test_a_series_that_is_too_short_gives_no_window():
    assert len(windows_of(panel_of(range(3)), 3, 1)) == 0


def test_the_shortest_history_that_can_be_split_gives_one_window_to_either():
    taught, held = split(panel_of(range(22)), 14, 4)
    assert (len(taught), len(held)) == (1, 1)


def test_a_split_that_cannot_be_says_what_it_needs():
    with pytest.raises(InputError, match=r"longest series has 20 .* context 14 and horizon 4 need 22"):
        split(panel_of(range(20)), 14, 4)
    with pytest.raises(InputError, match="longest series has 0"):
        split(panel_of(range(20)).cut(30), 14, 4)


def test_a_window_is_measured_from_its_last_season():
    scaled = normalise(np.array([[9.0, 1.0, 2.0, 3.0]]), season=2)
    assert scaled.level.tolist() == [[2.5]]  # mean of 2 and 3
    assert scaled.spread.tolist() == [[(6.5 + 1.5 + 0.5 + 0.5) / 4]]
    assert scaled.values[0].tolist() == pytest.approx([6.5 / 2.25, -1.5 / 2.25, -0.5 / 2.25, 0.5 / 2.25])


@pytest.mark.parametrize("season", [1, 5, 100])
def test_without_a_whole_season_it_is_measured_from_its_last_value(season):
    assert normalise(np.array([[9.0, 1.0, 2.0, 3.0]]), season).level.tolist() == [[3.0]]


@given(st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_window_units_do_not_change_with_scale_and_shift(values, scale, shift):
    past = np.array([values])
    one, other = normalise(past, 3), normalise(scale * past + shift, 3)
    if one.spread[0, 0] < 1e-3 or other.spread[0, 0] < 1e-3:
        return  # lost in rounding
    assert other.values == pytest.approx(one.values, rel=1e-4, abs=1e-4)


@given(st.lists(st.floats(-1e90, 1e90), min_size=4, max_size=12), st.integers(1, 15))
def test_data_units_undo_window_units(values, season):
    past = np.array([values])
    scaled = normalise(past, season)
    assert np.isfinite(scaled.values).all()
    back = to_data_units(scaled.values, scaled.level, scaled.spread)
    assert back == pytest.approx(past, rel=1e-5, abs=1e-5 * np.abs(past).max())


@pytest.mark.parametrize("value", [0.0, 7.0, -1e100, 1e-320])
def test_a_constant_window_is_zero_and_so_is_all_that_follows(value):
    scaled = normalise(np.full((1, 5), value), 2)
    assert scaled.spread.tolist() == [[0.0]]
    assert not scaled.values.any()
    assert to_data_units(np.float32([[3, -3]]), scaled.level, scaled.spread).tolist() == [[value, value]]
    assert to_window_units(np.array([[1e100, -1e100]]), scaled.level, scaled.spread).tolist() == [[0.0, 0.0]]


def test_rounding_around_a_high_level_counts_as_constant():
    assert normalise(1e12 + np.array([[1e-4, 0, 1e-4, 0]]), 1).spread.tolist() == [[0.0]]


def test_a_jump_after_a_nearly_constant_window_stays_finite():
    after = to_window_units(np.array([[1e100, -1e100, 2.0]]), np.array([[0.0]]), np.array([[1e-90]]))
    assert after.tolist() == [[FARTHEST, -FARTHEST, FARTHEST]]


def test_the_second_channel_is_the_value_a_season_before_the_next_one():
    values = np.arange(6, dtype=np.float32)[None]
    read = inputs(values, season=4)
    assert read[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
    # after point 3 comes point 4, a season before it was point 0
    assert read[0, :, 1].tolist() == [0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize("season", [1, 7])
def test_the_second_channel_is_empty_where_there_is_no_season_to_look_back(season):
    assert not inputs(np.ones((1, 6), np.float32), season)[:, :, 1].any()
