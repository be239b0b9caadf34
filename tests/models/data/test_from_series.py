"""Panels from series posted with a start and values, and the faults that are found in them."""

import numpy as np
import pytest

from models.data import from_series
from models.data.calendar import parse_freq
from models.data.from_series import PostedSeries, panel_from_series
from models.data.panel import panel_from_columns
from models.errors import InputError
from tests.models.samples import faults_of, helpful

HOURS, DAYS, MONTHS = parse_freq("h"), parse_freq("D"), parse_freq("MS")


def refused(*series, freq=DAYS):
    with pytest.raises(InputError) as caught:
        panel_from_series([PostedSeries(*one) for one in series], freq)
    assert all(helpful(fault) for fault in caught.value.faults)
    return faults_of(caught.value)


def test_posted_series_equal_the_panel_of_the_same_rows():
    posted = [PostedSeries("a", "2026-01-31T22:00Z", [1, None, 3.5]), PostedSeries("b", "2026-02-01Z", [7, 8])]
    found = panel_from_series([posted[0], posted[1]._replace(start="2026-02-01T00:00Z")], HOURS)
    rows = panel_from_columns(
        ["a", "a", "a", "b", "b"],
        ["2026-01-31T22:00Z", "2026-01-31T23:00Z", "2026-02-01T00:00Z", "2026-02-01T00:00Z", "2026-02-01T01:00Z"],
        [1, None, 3.5, 7, 8],
        "h",
    )
    assert found.to_bytes() == rows.to_bytes()
    assert found.utc


def test_months_begin_on_their_first_day():
    panel = panel_from_series([PostedSeries("a", "2026-11-01", [1, 2, 3])], MONTHS)
    assert [str(t)[:10] for t in panel.times(0)] == ["2026-11-01", "2026-12-01", "2027-01-01"]
    assert refused(("a", "2026-11-02", [1, 2]), freq=MONTHS) == [("off_grid_timestamp", "a", None)]


def test_each_fault_is_reported_with_its_series_and_row():
    assert refused(("a", "2026-01-01", [1, "two", 3]), ("b", "2026-01-01", [1, 1e200])) == [
        ("bad_value", "a", 2),
        ("value_too_large", "b", 2),
    ]
    assert refused(("a", "2026-01-01", [1]), ("b", "yesterday", [2])) == [("bad_timestamp", "b", None)]
    assert refused(("a", "2026-01-01", [1]), ("b", "2026-01-01Z", [2])) == [("mixed_zones", None, None)]
    assert refused(("a", "2026-01-01", []), (" b", "2026-01-01", [1])) == [
        ("bad_id", None, None),
        ("no_rows", "a", None),
    ]
    assert refused(("a", "2026-01-01", [1]), ("b", "2026-01-01", [1]), ("a", "2026-01-01", [1])) == [
        ("duplicate_id", "a", None)
    ]


def test_integers_that_no_float_can_hold_are_refused():
    assert refused(("a", "2026-01-01", [1, 10**400])) == [("value_too_large", "a", 2)]
    assert refused(("a", "2026-01-01", [1, True])) == [("bad_value", "a", 2)]
    assert panel_from_series([PostedSeries("a", "2026-01-01", [1, 2**53, None])], DAYS).y[:2].tolist() == [1, 2**53]
    assert np.isnan(panel_from_series([PostedSeries("a", "2026-01-01", [1, None])], DAYS).y[1])


def test_the_fast_way_reads_valid_series_as_the_checking_way_does():
    series = [PostedSeries("a", "2026-01-31T22:00Z", [1.0, None, 3.5]), PostedSeries("b", "2026-02-01T00:00Z", [7.0])]
    quick, checked = from_series.panel_if_valid(series, HOURS), from_series.panel_with_checks(series, HOURS)
    assert quick is not None
    assert quick.to_bytes() == checked.to_bytes()
    for bad in ([1.0, 1e200], [10**400], [True], []):
        assert from_series.panel_if_valid([PostedSeries("a", "2026-01-31", bad)], DAYS) is None
