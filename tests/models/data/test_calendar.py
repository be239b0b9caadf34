"""Frequencies and timestamps: parse them, infer them, count steps and step forward."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.calendar import MAX_TIME, MIN_FAST_TIMES, MIN_TIME, Freq, parse_freq, parse_times
from models.data.frequency_choice import infer_freq
from models.errors import Findings, InputError
from tests.models.samples import grid, helpful

# text, count, unit, season, a start on its grid and the times after it; each worked by hand with a wall calendar
TABLE = [
    ("ms", 1, "ms", 1, "2024-12-31T23:59:59.999", ["2025-01-01T00:00:00"]),
    ("500ms", 500, "ms", 120, "2024-12-31T23:59:59.5", ["2025-01-01T00:00:00", "2025-01-01T00:00:00.5"]),
    ("s", 1, "s", 60, "2024-12-31T23:59:59", ["2025-01-01T00:00:00"]),
    ("min", 1, "min", 60, "2024-02-28T23:59", ["2024-02-29T00:00"]),
    ("15min", 15, "min", 96, "2024-02-29T23:45", ["2024-03-01T00:00"]),
    ("h", 1, "h", 24, "2023-02-28T23:00", ["2023-03-01T00:00"]),
    ("D", 1, "D", 7, "2024-02-28", ["2024-02-29", "2024-03-01"]),
    ("B", 1, "B", 5, "2024-12-31", ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-06"]),
    ("W", 1, "W", 52, "2024-12-25", ["2025-01-01"]),
    ("W-MON", 1, "W", 52, "2024-12-30", ["2025-01-06"]),
    ("MS", 1, "MS", 12, "2024-11-01", ["2024-12-01", "2025-01-01"]),
    ("ME", 1, "ME", 12, "2024-01-31", ["2024-02-29", "2024-03-31", "2024-04-30"]),
    ("QS", 1, "QS", 4, "2024-10-01", ["2025-01-01"]),
    ("QE", 1, "QE", 4, "2023-11-30", ["2024-02-29", "2024-05-31"]),
    ("YS", 1, "YS", 1, "2023-01-01", ["2024-01-01"]),
    ("YE", 1, "YE", 1, "2023-02-28", ["2024-02-29", "2025-02-28"]),
    ("2h", 2, "h", 12, "2024-12-31T23:00", ["2025-01-01T01:00"]),
    ("7h", 7, "h", 1, "2024-12-31T23:00", ["2025-01-01T06:00"]),
    ("2D", 2, "D", 1, "2024-02-28", ["2024-03-01"]),
    ("2B", 2, "B", 1, "2024-03-01", ["2024-03-05"]),
    ("2W", 2, "W", 26, "2024-12-25", ["2025-01-08"]),
    ("2MS", 2, "MS", 6, "2024-12-01", ["2025-02-01"]),
    ("5MS", 5, "MS", 1, "2024-12-01", ["2025-05-01"]),
    ("2QS", 2, "QS", 2, "2024-10-01", ["2025-04-01"]),
    ("10YE", 10, "YE", 1, "2014-12-31", ["2024-12-31"]),
]


@pytest.mark.parametrize(
    ("text", "count", "unit", "season", "start", "following"), TABLE, ids=[row[0] for row in TABLE]
)
def test_a_frequency_is_parsed_and_steps_as_the_calendar_does(text, count, unit, season, start, following):
    freq = parse_freq(text)
    assert freq == Freq(count, unit)
    assert parse_freq(str(freq)) == freq
    assert freq.season == season
    expected = np.array([start, *following], dtype="datetime64[us]")
    assert freq.after(np.datetime64(start), np.arange(len(expected))).tolist() == expected.tolist()


@pytest.mark.parametrize("text", [row[0] for row in TABLE])
@pytest.mark.parametrize("around", ["1969-06-30", "1999-12-31", "2024-02-29"])
def test_counting_steps_is_the_inverse_of_stepping(text, around):
    freq = parse_freq(text)
    times = freq.after(_on_grid(freq, around), np.arange(500))
    steps, on_grid = freq.steps(np.full_like(times, times[0]), times)
    assert steps.tolist() == list(range(500))
    assert on_grid.all()


def _on_grid(freq, day):
    start = np.datetime64(day, "us")
    if freq.unit == "B":
        return np.busday_offset(start.astype("datetime64[D]"), 0, roll="forward").astype("datetime64[us]")
    if freq.unit in ("MS", "QS", "YS"):
        return start.astype("datetime64[M]").astype("datetime64[us]")
    return start


@pytest.mark.parametrize(
    ("freq", "start", "off"),
    [
        ("h", "2024-01-01T00:00", "2024-01-01T00:30"),
        ("15min", "2024-01-01T00:00", "2024-01-01T00:10"),
        ("B", "2024-03-01", "2024-03-02"),  # a Saturday
        ("B", "2024-03-01T09:00", "2024-03-04T10:00"),
        ("MS", "2024-01-01", "2024-02-02"),
        ("ME", "2024-01-31", "2024-02-28"),
        ("ME", "2024-01-31T12:00", "2024-02-29T13:00"),
        ("QS", "2024-01-01", "2024-02-01"),
        ("2YS", "2024-01-01", "2025-01-01"),
    ],
)
def test_a_time_between_the_steps_is_off_the_grid(freq, start, off):
    _, on_grid = parse_freq(freq).steps(np.array([start], "datetime64[us]"), np.array([off], "datetime64[us]"))
    assert not on_grid.any()


def test_every_step_keeps_the_time_of_day():
    assert grid("ME", "2024-01-31T06:30", 2)[1] == np.datetime64("2024-02-29T06:30")
    assert grid("B", "2024-03-01T17:00", 2)[1] == np.datetime64("2024-03-04T17:00")


@pytest.mark.parametrize("text", ["15min", "D", "B", "W", "MS", "ME", "QE", "YS"])
def test_many_series_step_at_once_forwards_and_backwards(text):
    freq = parse_freq(text)
    starts = np.array([_on_grid(freq, day) for day in ("1969-06-30", "2024-02-29")])
    steps = np.array([[-3, 0, 5], [1, 40, -40]])
    together = freq.after(starts[:, None], steps)
    for i in range(2):
        np.testing.assert_array_equal(together[i], freq.after(starts[i], steps[i]))
    counted, on_grid = freq.steps(np.broadcast_to(starts[:, None], steps.shape), together)
    np.testing.assert_array_equal(counted, steps)
    assert on_grid.all()


OLDER_ALIASES = "H=h T=min S=s d=D M=ME Q=QE A=YE Y=YE AS=YS QE-DEC=QE QS-OCT=QS A-MAR=YE W-SUN=W 30T=30min"


@pytest.mark.parametrize(("old", "new"), [pair.split("=") for pair in OLDER_ALIASES.split()])
def test_older_aliases_of_pandas_are_understood(old, new):
    assert parse_freq(old) == parse_freq(new)


UNKNOWN = ["0D", "-1D", "99999999D", "1ns", "", "foo", "D ", "1.5h", "D\n", "٣D", None, 5]
UNKNOWN += ["W-FOO", "h-MON", "MS-JAN", "Q-MON"]


@pytest.mark.parametrize("text", UNKNOWN, ids=repr)
def test_an_unknown_frequency_is_refused_with_the_list_of_known_ones(text):
    with pytest.raises(InputError) as caught:
        parse_freq(text)
    (fault,) = caught.value.faults
    assert (fault.code, fault.field) == ("unknown_frequency", "freq")
    assert helpful(fault)
    assert "15min" in fault.hint


INFERRED = [
    "500ms",
    "s",
    "min",
    "15min",
    "h",
    "6h",
    "D",
    "B",
    "W",
    "2W",
    "4W",
    "MS",
    "ME",
    "2MS",
    "QS",
    "QE",
    "YS",
    "YE",
    "5YS",
]


@pytest.mark.parametrize("text", INFERRED)
def test_the_frequency_is_inferred_from_the_timestamps(text):
    freq = parse_freq(text)
    start = {"S": "2023-01-01", "E": "2023-12-31"}.get(freq.unit[-1], "2023-01-02")  # the last is a Monday
    assert infer_freq(grid(freq, start, 12)) == freq


def test_a_missing_row_does_not_hide_the_frequency():
    assert infer_freq(np.delete(grid("h", "2024-01-01", 50), 20)) == Freq(1, "h")
    assert infer_freq(np.delete(grid("MS", "2024-01-01", 50), 20)) == Freq(1, "MS")


def test_five_weekdays_are_days_and_six_are_business_days():
    assert infer_freq(grid("B", "2024-03-04", 5)) == Freq(1, "D")
    assert infer_freq(grid("B", "2024-03-04", 6)) == Freq(1, "B")


@pytest.mark.parametrize(
    ("times", "why"),
    [
        (["2024-01-01", "2024-01-02"], "fewer than three"),
        (["2024-01-01"] * 5, "fewer than three"),
        (["2024-01-15", "2024-02-15", "2024-03-15"], "fit none"),  # the middle of the month
        (["2024-01-01", "2024-01-03", "2024-01-06"], "fit none"),
        (["2024-01-01T00:00:00.0001", "2024-01-01T00:00:00.0002", "2024-01-01T00:00:00.0003"], "fit none"),
    ],
)
def test_timestamps_without_a_frequency_are_refused(times, why):
    with pytest.raises(InputError, match=why):
        infer_freq(np.array(times, dtype="datetime64[us]"))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-02-29", "2024-02-29T00:00:00"),
        ("2024-02-29 12:30", "2024-02-29T12:30:00"),
        ("2024-02-29T12:30:15Z", "2024-02-29T12:30:15"),
        ("2024-02-29T12:30:15.123456+00:00", "2024-02-29T12:30:15.123456"),
        ("1678-01-01", "1678-01-01"),
        ("2261-12-31", "2261-12-31"),
    ],
)
def test_a_timestamp_is_read(text, moment):
    found = Findings()
    times, utc = parse_times([text], found)
    assert times.tolist() == [np.datetime64(moment, "us").tolist()]
    assert utc == text.endswith(("Z", "+00:00"))
    assert found.total == 0


BAD_STAMPS = ["2024-02-30", "2023-02-29", "2024-13-01", "2024-01-01T24:00", "2024-01-01T23:59:60"]
BAD_STAMPS += ["0000-01-01", "0001-01-01", "1677-12-31", "2262-01-01", "9999-12-31"]
BAD_STAMPS += ["24-01-01", "2024-1-1", "01/02/2024", "2024-01-01T00:00+02:00", "2024-01-01T00:00-00:00"]
BAD_STAMPS += ["2024-01-01z", "2024-01-01\n", " 2024-01-01", "", "now", "NaT", "٢٠٢٤-٠١-٠١"]


@pytest.mark.parametrize("value", [*BAD_STAMPS, None, 1704067200, 3.5, b"2024-01-01", ["2024-01-01"]], ids=repr)
def test_a_bad_timestamp_is_refused_with_its_row(value):
    found = Findings()
    parse_times(["2024-01-01", value, "2024-01-03"], found)
    with pytest.raises(InputError) as caught:
        found.check()
    (fault,) = caught.value.faults
    assert (fault.code, fault.row, fault.field) == ("bad_timestamp", 2, "ds")
    assert helpful(fault)


def test_utc_and_no_zone_cannot_be_mixed():
    found = Findings()
    parse_times(["2024-01-01T00:00Z", "2024-01-01T01:00"], found)
    assert [fault.code for fault in found.faults] == ["mixed_zones"]


@given(st.datetimes(min_value=MIN_TIME.tolist(), max_value=MAX_TIME.tolist()))
def test_any_time_that_python_writes_is_parsed_back(moment):
    found = Findings()
    times, utc = parse_times([moment.isoformat()], found)
    assert (times.tolist(), utc) == ([moment], False)
    assert found.total == 0


STAMPS = st.datetimes(min_value=datetime(1678, 1, 1), max_value=datetime(2261, 12, 30))  # noqa: DTZ001 - without zone
FORMS = st.sampled_from(
    ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d+00:00"]
)


@given(st.lists(STAMPS, min_size=1, max_size=20), FORMS)
def test_many_timestamps_are_parsed_as_one_by_one(moments, form):
    texts = [moment.strftime(form) for moment in moments]
    many, few = Findings(), Findings()
    times, utc = parse_times(texts * MIN_FAST_TIMES, many)
    expected, expected_utc = parse_times(texts, few)
    assert (times == np.tile(expected, MIN_FAST_TIMES)).all()
    assert utc == expected_utc
    assert (many.total, few.total) == (0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        *("2026-02-30", "2026-13-01", "2026-00-10", "2026-01-00", "1677-12-31", "2262-01-01", "2026/01-01"),
        *("2026-01-1x", 7, None, "2026-01-01Z", "2026-01-012026-01-0", "2026-01-\u0661\u0661"),
    ],
)
def test_among_many_timestamps_a_bad_one_is_found_with_its_row(wrong):
    values = ["2026-01-01"] * MIN_FAST_TIMES
    values[3] = wrong
    found = Findings()
    parse_times(values, found)
    expected = {("mixed_zones", None)} if wrong == "2026-01-01Z" else {("bad_timestamp", 4)}
    assert {(fault.code, fault.row) for fault in found.faults} == expected
