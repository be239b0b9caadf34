"""Panels grow by rows and by covariates known ahead; rows that cannot follow are refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.concat import concat, extend, join_panels, known_ahead, with_future
from models.data.panel import panel_from_columns
from models.errors import InputError
from tests.models.samples import days, faults_of, helpful, panel_of, rows_of

NAN = float("nan")


def shop(y, start="2024-01-01", name="shop", **covariates):
    return panel_from_columns(name, days(len(y), start), y, "D", covariates)


def refusal(panel, rows):
    with pytest.raises(InputError) as caught:
        extend(panel, rows)
    assert all(map(helpful, caught.value.faults))
    return caught.value


def test_new_rows_follow_the_known_ones_and_new_series_are_added():
    known = panel_of([1, 2], [10, 20, 30])
    rows = panel_from_columns(["s1", "new"], ["2024-01-04", "2020-02-29"], [40, 7], "D")
    longer = extend(known, rows)
    assert [(n, y.tolist()) for n, y in longer] == [("s0", [1, 2]), ("s1", [10, 20, 30, 40]), ("new", [7])]
    assert longer.timestamp(2, 0) == np.datetime64("2020-02-29")


def test_points_between_the_known_and_the_new_rows_have_no_value():
    longer = extend(panel_of([1, 2, 3]), panel_of([6, 7], start="2024-01-06"))
    np.testing.assert_array_equal(longer.y, [1, 2, 3, NAN, NAN, 6, 7])
    assert longer.missing.tolist() == [2]


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("2024-01-03", "already_known"),
        ("2023-12-31", "already_known"),
        ("2024-01-04T06:00", "off_grid_timestamp"),
        ("2024-03-01", "gap_too_long"),
    ],
)
def test_rows_that_do_not_fit_are_refused(start, code):
    error = refusal(panel_of([1, 2, 3]), panel_of([4], start=start))
    assert faults_of(error) == [(code, "s0", None)]
    assert "continues at 2024-01-04T00:00:00" in str(error)


def test_of_several_gaps_that_are_too_long_the_longest_is_reported():
    known = panel_of([1, 2, 3], [4, 5, 6])
    rows = panel_from_columns(["s0", "s1"], ["2024-02-05", "2024-06-01"], [1, 1], "D")
    assert faults_of(refusal(known, rows)) == [("gap_too_long", "s1", None)]


def test_rows_of_another_frequency_or_zone_are_refused():
    known = panel_of([1, 2, 3])
    with pytest.raises(InputError, match="the rows have frequency h, the data set has D"):
        extend(known, panel_of([1, 2, 3], freq="h"))
    assert faults_of(refusal(known, panel_from_columns("s0", ["2024-01-04Z"], [4.0], "D"))) == [
        ("other_zone", None, None)
    ]


def test_columns_of_a_data_set_cannot_change():
    known = shop([1, 2], price=[3, 4], promo=["a", "b"])
    error = refusal(known, shop([3], "2024-01-03", price=[5], colour=["red"]))
    assert [(fault.code, fault.field) for fault in error.faults] == [
        ("missing_column", "promo"),
        ("unknown_column", "colour"),
    ]
    error = refusal(known, shop([3], "2024-01-03", price=["5"], promo=[7]))
    assert [(fault.code, fault.field) for fault in error.faults] == [("other_kind", "price"), ("other_kind", "promo")]
    assert error.faults[0].message == "the column 'price' holds text, in the data set numbers"


def test_categories_of_two_panels_become_one_list_and_an_empty_column_is_of_either_kind():
    one = shop([1, 2], promo=["m", "z"], flag=[None, None])
    two = shop([3, 4, 5], "2024-01-03", promo=["a", None, "z"], flag=["on", "off", None])
    both = extend(one, two)
    assert both.categories == {"promo": ("a", "m", "z"), "flag": ("off", "on")}
    np.testing.assert_array_equal(both.covariates["promo"], [1, 2, 0, NAN, 2])
    np.testing.assert_array_equal(both.covariates["flag"], [NAN, NAN, 1, 0, NAN])
    assert extend(both, shop([6], "2024-01-06", promo=[None], flag=[None])).categories == both.categories


def test_all_rows_together_may_have_at_most_a_thousand_categories():
    def labelled(first, count, start):
        ds = (np.datetime64(start) + np.arange(count)).astype(str).tolist()
        return panel_from_columns("a", ds, [1] * count, "D", {"c": [f"text {i}" for i in range(first, first + count)]})

    known = labelled(0, 900, "2000-01-01")
    assert len(extend(known, labelled(800, 200, "2010-01-01")).categories["c"]) == 1000
    error = refusal(known, labelled(801, 200, "2010-01-01"))
    assert [(fault.code, fault.field) for fault in error.faults] == [("too_many_categories", "c")]


def test_rows_known_ahead_may_be_sent_again_with_their_value():
    known = shop([1, 2, None, None], price=[5, 5, 6, 7])
    assert known.observed_lengths.tolist() == [2]
    later = extend(known, shop([3], "2024-01-03", price=[None]))
    np.testing.assert_array_equal(later.y, [1, 2, 3, NAN])
    assert later.covariates["price"].tolist() == [5, 5, 6, 7]  # a missing cell in the new row keeps the earlier value
    dearer = extend(later, shop([4, None], "2024-01-04", price=[8, 9]))
    np.testing.assert_array_equal(dearer.y, [1, 2, 3, 4, NAN])
    assert dearer.covariates["price"].tolist() == [5, 5, 6, 8, 9]
    assert faults_of(refusal(dearer, shop([5], "2024-01-04", price=[1]))) == [("already_known", "shop", None)]


@st.composite
def pieces(draw):
    """Draw daily rows of two series, some without a value, and the same rows cut into parts by time."""
    cell = st.one_of(st.none(), st.integers(0, 9))
    rows = [
        (name, f"2024-01-{day + 1:02d}", draw(cell), draw(st.sampled_from(["u", "v", None])))
        for name, length in (("a", draw(st.integers(1, 12))), ("b", draw(st.integers(1, 12))))
        for day in range(length)
    ]
    cuts = sorted({1, 13, *draw(st.lists(st.integers(2, 12), max_size=3))})
    parts = [[row for row in rows if f"2024-01-{a:02d}" <= row[1] < f"2024-01-{b:02d}"] for a, b in pairwise(cuts)]
    return rows, [part for part in parts if part]


def panel_of_rows(rows):
    ids, ds, y, c = map(list, zip(*rows, strict=True))
    return panel_from_columns(ids, ds, y, "D", {"c": c})


@given(pieces())
def test_joined_parts_are_the_whole_panel(content):
    rows, parts = content
    panels = [panel_of_rows(part) for part in parts]
    whole = panel_of_rows(rows)
    assert concat(panel.to_bytes() for panel in panels).fingerprint() == whole.fingerprint()
    grown = panels[0]
    for panel in panels[1:]:
        grown = extend(grown, panel)
    assert grown.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize("freq", ["15min", "B", "MS", "QE"])
def test_parts_are_joined_at_every_frequency(freq):
    whole = panel_of(range(1, 9), freq=freq, start="2024-01-31" if freq == "QE" else "2024-01-01")
    rows = rows_of(whole)
    parts = [panel_from_columns(*map(list, zip(*part, strict=True)), freq) for part in (rows[:3], rows[3:4], rows[6:])]
    np.testing.assert_array_equal(join_panels(parts).y, [1, 2, 3, 4, NAN, NAN, 7, 8])


def test_covariates_known_ahead_are_rows_without_a_value():
    history = shop([1, 2, 3], price=[5, 5, 6], stock=[9, 8, 7])
    future = panel_from_columns("shop", days(2, "2024-01-04"), [None] * 2, "D", {"price": [7, 8]})
    whole = with_future(history, future)
    assert whole.observed_lengths.tolist() == [3]
    ahead = known_ahead(whole, ["price"], whole.observed_lengths, 2)
    assert {name: values.tolist() for name, values in ahead.items()} == {"price": [[7, 8]]}
    np.testing.assert_array_equal(whole.covariates["stock"], [9, 8, 7, NAN, NAN])


def test_a_series_that_has_only_future_rows_has_no_history():
    future = panel_from_columns("new", days(2, "2024-02-01"), [None] * 2, "D", {"size": [3, 3]})
    whole = with_future(shop([1, 2, 3], size=[1, 1, 1]), future)
    assert whole.ids == ("shop", "new")
    assert whole.observed_lengths.tolist() == [3, 0]
    assert whole.latest("size").tolist() == [1, 3]
    assert known_ahead(whole, ["size"], np.array([1, 0]), 2)["size"].tolist() == [[1, 1], [3, 3]]


def test_a_covariate_unknown_at_a_step_is_named_with_the_first_such_time():
    history = panel_from_columns(["a", "a", "b", "b"], days(2) * 2, [1, 2, 3, 4], "D", {"x": [1, 1, 1, 1]})
    rows = panel_from_columns(
        ["a", "a", "b"], [*days(2, "2024-01-03"), "2024-01-03"], [None] * 3, "D", {"x": [1, None, 2]}
    )
    whole = with_future(history, rows)
    with pytest.raises(InputError) as caught:
        known_ahead(whole, ["x", "y2"], whole.observed_lengths, 2)
    assert [(f.code, f.unique_id, f.field, f.message.split()[-1]) for f in caught.value.faults] == [
        ("missing_future", "a", "x", "2024-01-04T00:00:00"),
        ("missing_future", "b", "x", "2024-01-04T00:00:00"),
        ("missing_future", "a", "y2", "2024-01-03T00:00:00"),
        ("missing_future", "b", "y2", "2024-01-03T00:00:00"),
    ]
    assert known_ahead(whole, ["x"], whole.observed_lengths, 1)["x"].tolist() == [[1], [2]]


def test_many_chunks_of_many_series_are_joined_fast():
    names = [f"s{i}" for i in range(2000)]
    chunks = [
        panel_from_columns(names, [f"2024-01-{day:02d}"] * 2000, [day] * 2000, "D").to_bytes() for day in range(1, 31)
    ]
    whole = concat(chunks)
    assert whole.lengths.tolist() == [30] * 2000
    assert whole.series(1999).tolist() == list(range(1, 31))
