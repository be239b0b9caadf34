"""Rows that are appended later: which are accepted, which may be repeated, and what is kept."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.panel import panel_from_columns
from models.errors import InputError
from models.forecasting.append import append_rows, contiguous_values, keep_covariates, newest_points
from tests.models.samples import days, faults_of, helpful, panel_of, rows_of, with_covariates

NAN = np.nan
TAIL = panel_of([1, 2, 3], [5, NAN, 7])  # known to 3 January


def rows(*series, start="2024-01-04", freq="D"):
    return panel_of(*series, start=start, freq=freq)


def of(panel, name):
    return panel.series(panel.ids.index(name)).tolist()


def test_rows_are_appended_to_the_known_points():
    panel = append_rows(TAIL, rows([4, 5], [8, 9]))
    assert of(panel, "s0") == [1, 2, 3, 4, 5]
    assert panel.times(1)[-1] == np.datetime64("2024-01-05")
    assert (panel.indptr.tolist(), panel.starts.tolist()) == ([0, 5, 10], TAIL.starts.tolist())


def test_single_series_may_be_appended_later_or_be_new():
    assert of(append_rows(TAIL, rows([4])), "s0") == [1, 2, 3, 4]
    late = of(append_rows(TAIL, rows([6], start="2024-01-06")), "s0")
    assert late == [1, 2, 3, pytest.approx(NAN, nan_ok=True), pytest.approx(NAN, nan_ok=True), 6]
    panel = append_rows(TAIL, panel_from_columns("new", days(2, "2023-05-01"), [1, 2], "D"))
    assert (panel.ids, of(panel, "new"), of(panel, "s0")) == (("s0", "s1", "new"), [1, 2], [1, 2, 3])
    assert panel.starts[2] == np.datetime64("2023-05-01")


def test_known_rows_may_be_repeated_and_older_ones_are_ignored():
    panel = append_rows(TAIL, rows([-7, -8, 1, NAN, 3, 4], [0, 0, 5, NAN, 7, 8], start="2023-12-30"))
    assert rows_of(panel)[:4] == rows_of(append_rows(TAIL, rows([4], [8])))[:4]
    assert of(panel, "s1")[3] == 8
    assert append_rows(TAIL, TAIL) is TAIL
    assert append_rows(TAIL, rows([9, 9], start="2023-11-01")) is TAIL


@given(st.integers(0, 8), st.integers(1, 9), st.booleans())
def test_repeated_rows_count_once(known, more, is_straight):
    whole = panel_of(range(known + more + 1), range(20, 21 + known + more))
    tail = whole.cut(more)
    end = tail.timestamp(0, len(tail.series(0))) if is_straight else whole.starts[0]
    later = whole.tail(more) if is_straight else whole
    assert later.starts[0] == end
    assert rows_of(append_rows(tail, later)) == rows_of(whole)


def test_contiguous_values_are_recognised():
    assert contiguous_values(TAIL, rows([4, 5], [8, 9])).tolist() == [[4, 5], [8, 9]]
    priced = with_covariates(rows([4], [8]), price=[1, 2])
    zoned = replace(rows([4], [8]), utc=True)
    uneven = panel_of([1, 2, 3], [5, 7])
    others = [rows([4]), rows([4], [8, 9]), rows([4], [8], start="2024-01-05"), rows([4], [8], freq="h"), priced, zoned]
    assert [contiguous_values(TAIL, other) for other in others] == [None] * len(others)
    assert contiguous_values(uneven, rows([4], [8])) is None
    assert contiguous_values(with_covariates(TAIL, price=range(6)), rows([4], [8])) is None


REFUSED = {
    "other_frequency": (rows([4, 5], freq="h"), "the rows have frequency h, the earlier ones have D"),
    "other_zone": (
        panel_from_columns("s0", ["2024-01-04T00:00:00Z"], [1], "D"),
        "the timestamps are in UTC (Z), the earlier ones have no zone",
    ),
    "off_grid_timestamp": (rows([4], start="2024-01-04T06:00"), "the rows start at 2024-01-04T06:00:00"),
    "other_value": (rows([2.5, 3, 4], start="2024-01-02"), "at 2024-01-02T00:00:00 the value is 2.5, but 2 was read"),
    "gap_too_long": (rows([1], start="2060-01-01"), "the series continues at 2024-01-04T00:00:00"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_rows_that_do_not_fit_are_refused(code):
    late, message = REFUSED[code]
    with pytest.raises(InputError) as caught:
        append_rows(TAIL, late)
    assert [fault.code for fault in caught.value.faults] == [code]
    assert message in str(caught.value)
    assert all(map(helpful, caught.value.faults))


def test_every_series_with_a_changed_value_is_named():
    with pytest.raises(InputError) as caught:
        append_rows(TAIL, rows([9, 4], [6, 7], [1, 2], start="2024-01-02"))
    assert faults_of(caught.value) == [("other_value", "s0", None), ("other_value", "s1", None)]
    assert "the value is 6, but none was read" in str(caught.value)


def test_text_and_future_covariates_are_appended_too():
    tail = with_covariates(panel_of([1, 2, NAN]), {"day": ("busy", "quiet")}, day=[0, 1, 1], price=[1, 2, 3])
    more = with_covariates(panel_of([3, NAN], start="2024-01-03"), {"day": ("open",)}, day=[0, 0], price=[NAN, 5])
    panel = append_rows(tail, more)
    assert panel.categories == {"day": ("busy", "open", "quiet")}
    assert panel.covariates["day"].tolist() == [0, 2, 1, 1]
    assert panel.covariates["price"].tolist() == [1, 2, 3, 5]
    assert panel.observed_lengths.tolist() == [3]


def test_the_newest_points_and_the_static_covariates_are_kept():
    panel = with_covariates(panel_of([1, 2, 3, NAN], [4, 5]), size=[7, NAN, NAN, NAN, NAN, 8], price=range(6))
    kept = newest_points(panel, 2, {"size"})
    assert (of(kept, "s0")[:2], of(kept, "s1")) == ([2, 3], [4, 5])
    assert kept.starts[0] == np.datetime64("2024-01-02")
    assert kept.latest("size").tolist() == [7, 8]
    assert kept.covariates["price"].tolist() == [1, 2, 3, 4, 5]
    assert panel.covariates["size"][2] != 7  # the panel itself is as it was


def test_only_the_covariates_named_are_kept():
    panel = with_covariates(panel_of([1, 2]), {"day": ("busy",)}, day=[0, 0], price=[1, 2])
    assert keep_covariates(panel, {"price", "other"}).covariates.keys() == {"price"}
    assert keep_covariates(panel, {"price"}).categories == {}
    assert keep_covariates(panel, {"day", "price"}) is panel
