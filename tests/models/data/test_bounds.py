"""Bounds of series: merging, values that break them, and clipping without a negative zero."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.bounds import (
    UNBOUNDED,
    Bounds,
    RowBounds,
    bound_rows,
    check_bounds,
    find_broken,
    join_bounds,
    loosest,
    merge_bounds,
    replace_bounds,
)
from models.errors import InputError
from tests.models.samples import panel_of

NAN, INF = math.nan, math.inf
PANEL = panel_of([0, 1, NAN, 2], [5, -1, 3, 4], [7, 8, 9, 10])


def moments(panel):
    return np.arange(len(panel)), panel.observed_lengths


@pytest.mark.parametrize(
    ("non_negative", "pair", "bounds"),
    [
        (False, None, UNBOUNDED),
        (True, None, Bounds(lo=0.0)),
        (False, (None, 9), Bounds(hi=9.0)),
        (True, (-4, 9), Bounds(0.0, 9.0)),
        (True, (2, None), Bounds(lo=2.0)),
        (False, (-4, 9), Bounds(-4.0, 9.0)),
    ],
)
def test_a_pair_and_the_flag_make_bounds(non_negative, pair, bounds):
    assert merge_bounds(non_negative, pair) == bounds


def test_bounds_are_a_pair_in_json():
    assert Bounds(lo=0.0).to_pair() == [0.0, None]
    assert UNBOUNDED.to_pair() == [None, None]


@pytest.mark.parametrize(
    ("non_negative", "pair", "bounds"),
    [
        (None, None, None),  # nothing asked for: those of the model
        (True, None, Bounds(0.0, 9.0)),
        (False, None, Bounds(hi=9.0)),
        (None, [-3, 5], Bounds(-3.0, 5.0)),
        (None, [None, None], UNBOUNDED),
    ],
)
def test_a_request_replaces_the_bounds_of_a_model(non_negative, pair, bounds):
    assert replace_bounds((None, 9), non_negative, pair) == bounds


def test_members_with_different_bounds_have_the_loosest():
    assert loosest([Bounds(0.0, 5.0), Bounds(-1.0, 4.0)]) == Bounds(-1.0, 5.0)
    assert loosest([Bounds(lo=0.0), UNBOUNDED]) == UNBOUNDED


def test_a_value_out_of_bounds_before_the_moment_breaks_them():
    assert find_broken(PANEL, Bounds(lo=0.0), *moments(PANEL)).tolist() == [False, True, False]
    assert find_broken(PANEL, Bounds(hi=9.0), *moments(PANEL)).tolist() == [False, False, True]
    assert find_broken(PANEL, Bounds(-1.0, 10.0), *moments(PANEL)) is None
    # the value -1 is the second of its series: before it, and among the newest two, none is out of bounds
    assert find_broken(PANEL, Bounds(lo=0.0), np.array([1]), np.array([1])) is None
    assert find_broken(PANEL, Bounds(lo=0.0), np.array([1]), np.array([4]), points=2) is None
    assert find_broken(PANEL, Bounds(lo=0.0), np.array([1]), np.array([4]), points=3).tolist() == [True]


def test_a_panel_without_values_breaks_no_bounds():
    assert find_broken(panel_of([NAN, NAN]), Bounds(lo=0.0), np.array([0]), np.array([0])) is None


def test_a_series_that_breaks_the_bounds_has_none():
    bounds = bound_rows(PANEL, Bounds(0.0, 9.0), *moments(PANEL))
    assert bounds.lo.tolist() == [[0], [-INF], [-INF]]
    assert bounds.hi.tolist() == [[9], [INF], [INF]]
    assert bounds.without_any(3).tolist() == [1, 2]
    assert bound_rows(PANEL, UNBOUNDED, *moments(PANEL)) is None


def test_values_are_clipped_row_by_row():
    bounds = RowBounds(np.array([[0.0], [-INF]]), np.array([[2.0], [1.0]]))
    assert bounds.clip(np.array([[-1.0, 1.0, 3.0], [-1.0, 1.0, 3.0]])).tolist() == [[0, 1, 2], [-1, 1, 1]]
    assert bounds.clip_rows(np.array([[-5.0]]), np.array([1])).tolist() == [[-5]]
    joined = join_bounds([bounds.rows(slice(1)), bounds.rows(np.array([1]))])
    assert joined.lo.tolist() == bounds.lo.tolist()
    assert join_bounds([None, None]) is None


@given(st.lists(st.sampled_from([-0.0, 0.0, -1e-320, -3.0, 5.0]), min_size=1, max_size=40))
def test_no_clipped_zero_is_negative(values):
    clipped = RowBounds(np.zeros((1, 1)), None).clip(np.array([values]))
    assert not np.signbit(clipped).any()
    assert (clipped[0][np.array(values) > 0] == 5).all()


def test_a_history_out_of_bounds_is_refused_with_each_series_and_its_value():
    check_bounds(PANEL, Bounds(-1.0, 10.0), "bounds")
    check_bounds(PANEL, UNBOUNDED, "bounds")
    with pytest.raises(InputError) as caught:
        check_bounds(PANEL, Bounds(0.0, 9.0), "bounds")
    assert [(fault.code, fault.unique_id, fault.field) for fault in caught.value.faults] == [
        ("out_of_bounds", "s1", "bounds"),
        ("out_of_bounds", "s2", "bounds"),
    ]
    messages = [fault.message for fault in caught.value.faults]
    assert messages == [
        "the history has the value -1, which is below 0",
        "the history has the value 10, which is above 9",
    ]
