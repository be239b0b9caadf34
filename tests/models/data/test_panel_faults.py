"""What a panel refuses, and how it says so: the series, the row, the remedy."""

import datetime as dt
import time

import numpy as np
import pandas as pd
import pytest

from models.data.frames import panel_from_frame
from models.data.panel import panel_from_columns
from models.data.validation import max_missing
from models.errors import MAX_FAULTS, InputError
from tests.models.samples import days, faults_of, helpful


def refusal(unique_id, ds, y, freq="D", covariates=None):
    with pytest.raises(InputError) as caught:
        panel_from_columns(unique_id, ds, y, freq, covariates)
    assert all(map(helpful, caught.value.faults))
    return caught.value


@pytest.mark.parametrize(
    ("ds", "faults"),
    [
        (["2024-01-01", "2024-01-02", "2024-01-02"], [("duplicate_timestamp", "a", 3)]),
        (["2024-01-02", "2024-01-03", "2024-01-01"], [("unsorted_timestamps", "a", 3)]),
        (["2024-01-01", "2024-01-02T06:00", "2024-01-03"], [("off_grid_timestamp", "a", 2)]),
        (["2024-01-01", "2024-02-30", "2024-01-03"], [("bad_timestamp", "a", 2)]),
        (["2024-01-01", "2024-02-10", "2024-02-11"], [("gap_too_long", "a", 2)]),
        (["2024-01-01", "2024-01-04", "2024-01-04"], [("duplicate_timestamp", "a", 3)]),
        (["2024-01-01Z", "2024-01-02", "2024-01-03"], [("mixed_zones", None, None)]),
    ],
)
def test_each_fault_in_timestamps_names_series_and_row(ds, faults):
    assert faults_of(refusal("a", ds, [1, 2, 3])) == faults


def test_the_first_time_must_lie_on_the_grid_too():
    assert faults_of(refusal("a", ["2024-01-15", "2024-02-15"], [1, 2], "MS")) == [
        ("off_grid_timestamp", "a", 1),
        ("off_grid_timestamp", "a", 2),
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (float("inf"), "infinite_value"),
        (float("-inf"), "infinite_value"),
        (float("1e400"), "infinite_value"),
        (1e101, "value_too_large"),
        (-1e308, "value_too_large"),
        (10**400, "value_too_large"),
        ("1.5", "bad_value"),
        ("", "bad_value"),
        ("x" * 10_000, "bad_value"),
        (True, "bad_value"),
        (np.True_, "bad_value"),
        (b"1", "bad_value"),
        (1j, "bad_value"),
        ([1.0], "bad_value"),
        ({}, "bad_value"),
        (np.datetime64("2024-01-01"), "bad_value"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_value_that_is_no_reasonable_number_is_refused(value, code):
    assert faults_of(refusal("a", days(3), [1, value, 3])) == [(code, "a", 2)]


def test_a_column_of_one_element_lists_is_not_taken_for_numbers():
    assert refusal("a", days(2), [[1.0], [2.0]]).total == 2


@pytest.mark.parametrize("value", [0, -0.0, 1e-320, 2**53 + 1, 1e100, -1e100, np.float32(1.5), np.int64(7)], ids=repr)
def test_a_number_of_any_kind_is_accepted(value):
    assert panel_from_columns("a", days(1), [value], "D").y.tolist() == [float(value)]


BAD_IDS = [
    "",
    " ",
    " a",
    "a ",
    "a\n",
    "a\x00b",
    "\x1b[31m",
    "\ud800",
    "x" * 129,
    "a\u2028b",
    "\u202eabc",
    "e\u0301",
    None,
    7,
    ["a"],
]


@pytest.mark.parametrize("name", BAD_IDS, ids=ascii)
def test_an_id_that_cannot_name_a_series_is_refused(name):
    error = refusal(["a", name], ["2024-01-01", "2024-01-01"], [1, 2])
    assert faults_of(error) == [("bad_id", None, 2)]
    str(error).encode()


@pytest.mark.parametrize("name", ["a", "x" * 128, "Zürich", "東京", "😀", "../etc", "'; DROP TABLE", "NaN", "a b"])
def test_an_id_of_any_script_is_kept_as_it_is(name):
    assert panel_from_columns(name, days(1), [1], "D").ids == (name,)


def test_columns_of_different_lengths_are_refused():
    (fault,) = refusal(["a", "a"], days(3), [1, 2, 3]).faults
    assert fault.code == "ragged_columns"
    assert fault.message == "unique_id has 2 rows, ds has 3 rows, y has 3 rows"


def test_no_rows_are_refused():
    assert faults_of(refusal([], [], [])) == [("no_rows", None, None)]
    assert faults_of(refusal("a", [], [])) == [("no_rows", None, None)]


def test_rows_are_counted_in_the_input_where_series_are_mixed():
    #       row:     1    2    3    4    5
    names = ["a", "b", "a", "b", "a"]
    ds = ["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-01", "2024-01-02"]
    assert faults_of(refusal(names, ds, [1, 2, 3, 4, 5])) == [
        ("unsorted_timestamps", "b", 4),
        ("duplicate_timestamp", "a", 5),
    ]


def test_faults_of_all_columns_are_reported_together_in_the_order_of_rows():
    error = refusal(["a", "", "a", "a"], ["2024-01-01", "2024-01-01", "x", "2024-01-03"], [1, 2, 3, "4"])
    assert faults_of(error) == [("bad_id", None, 2), ("bad_timestamp", "a", 3), ("bad_value", "a", 4)]


@pytest.mark.parametrize(
    ("columns", "total"),
    [
        (lambda n: (["\x00"] * n, ["x"] * n, [True] * n), 300_000),
        (lambda n: (["a"] * n, ["2024-02-30"] * n, [1.0] * n), 100_000),
        (lambda n: (["a"] * n, ["2024-01-01"] * n, [1.0] * n), 99_999),
        (lambda n: ([f"s{i % 2}" for i in range(n)], ["2024-01-02"] * n, [1.0] * n), 99_998),
    ],
    ids=["everything", "no such day", "duplicates", "two series"],
)
def test_a_hundred_thousand_bad_rows_are_counted_fast_and_twenty_are_reported(columns, total):
    begin = time.process_time()
    error = refusal(*columns(100_000))
    assert time.process_time() - begin < 2
    assert error.total == total
    assert len(error.faults) == MAX_FAULTS
    assert [fault.row for fault in error.faults] == sorted(fault.row for fault in error.faults)
    assert f"and {total - 20} more" in str(error)
    assert len(str(error)) < 10_000


def test_a_frequency_that_cannot_be_inferred_must_be_named():
    error = refusal("a", ["2024-01-01", "2024-01-03", "2024-01-06"], [1, 2, 3], None)
    assert faults_of(error) == [("unknown_frequency", None, None)]


@pytest.mark.parametrize("value", [None, float("nan"), np.float32("nan"), np.nan, pd.NA, pd.NaT], ids=repr)
def test_a_missing_value_of_any_kind_is_missing(value):
    panel = panel_from_columns("a", days(3), [1, value, 3], None, {"x": [value, True, value], "c": [value, "u", ""]})
    assert np.isnan(panel.y).tolist() == [False, True, False]
    assert [np.isnan(values).tolist() for values in panel.covariates.values()] == [[True, False, True]] * 2


def test_at_most_nine_of_ten_rows_may_be_missing():
    # 2 rows and 18 times between them; then 19.
    assert panel_from_columns("a", ["2024-01-01", "2024-01-20"], [1, 2], "D").missing.tolist() == [18]
    (fault,) = refusal(["b", "a", "a"], ["2024-01-01", "2024-01-01", "2024-01-30"], [1, 2, 3]).faults
    assert (fault.code, fault.unique_id, fault.row) == ("gap_too_long", "a", 3)
    assert fault.message == (
        "3 rows at frequency D leave 28 times without a row, 28 between 2024-01-01T00:00:00 and 2024-01-30T00:00:00"
    )
    assert "at most 27 are missing" in fault.hint


def test_a_million_rows_or_as_many_as_there_are_may_be_missing():
    assert [max_missing(rows) for rows in (1, 100_000, 200_000, 3_000_000)] == [9, 900_000, 1_000_000, 3_000_000]


@pytest.mark.parametrize(
    ("column", "faults"),
    [
        ([1, "cold", 3], [("bad_value", "a", 1), ("bad_value", "a", 3)]),
        ([1, [2], 3], [("bad_value", "a", 2)]),
        ([1, dt.date(2024, 1, 1), 3], [("bad_value", "a", 2)]),
        (["u", {}, "v"], [("bad_value", "a", 2)]),
        (["u", True, "v"], [("bad_value", "a", 2)]),
        ([1, float("inf"), 3], [("infinite_value", "a", 2)]),
        (np.array([1, -np.inf, 3]), [("infinite_value", "a", 2)]),
        ([1, 10**400, 3], [("value_too_large", "a", 2)]),
        (["u", "v" * 129, "w"], [("bad_value", "a", 2)]),
        (["u", "v\x00", "\ud800"], [("bad_value", "a", 2), ("bad_value", "a", 3)]),
    ],
    ids=repr,
)
def test_a_bad_covariate_is_named_with_its_rows(column, faults):
    error = refusal("a", days(3), [1, 2, 3], covariates={"weather": column})
    assert faults_of(error) == faults
    assert {fault.field for fault in error.faults} == {"weather"}
    assert all(fault.message.startswith("weather is ") for fault in error.faults)


def test_covariates_have_bounds():
    ds = [f"2024-01-01T{i // 60:02d}:{i % 60:02d}" for i in range(1001)]
    one = {"c": [f"text {i}" for i in range(1001)]}
    assert faults_of(refusal("a", ds, [1] * 1001, "min", one)) == [("too_many_categories", None, None)]
    assert len(panel_from_columns("a", ds[1:], [1] * 1000, "min", {"c": one["c"][1:]}).categories["c"]) == 1000
    many = {f"x{i}": [1] for i in range(51)}
    assert faults_of(refusal("a", days(1), [1], covariates=many)) == [("too_many_covariates", None, None)]
    assert faults_of(refusal("a", days(1), [1], covariates={"": [1]})) == [("bad_covariate", None, None)]
    (fault,) = refusal("a", days(2), [1, 2], covariates={"x": [1]}).faults
    assert fault.message == "unique_id has 2 rows, ds has 2 rows, y has 2 rows, 'x' has 1 rows"


@pytest.mark.parametrize("missing", ["unique_id", "ds", "y"])
def test_a_missing_column_is_named(missing):
    frame = {"unique_id": ["a"], "ds": ["2024-01-01"], "y": [1.0]}
    del frame[missing]
    with pytest.raises(InputError) as caught:
        panel_from_frame(frame)
    assert (caught.value.faults[0].code, caught.value.faults[0].field) == ("missing_column", missing)
