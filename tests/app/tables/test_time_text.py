"""Timestamps as people write them: one layout for the whole column, and none guessed."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tables.time_number import read_time_numbers
from app.tables.time_text import read_times
from models.errors import InputError

TEXTS = {
    "ISO days": (["2026-01-31"], "2026-01-31"),
    "ISO with a blank": (["2026-01-31 13:05"], "2026-01-31T13:05"),
    "nine digits of a second": (["2026-01-31T13:05:00.123456789"], "2026-01-31T13:05:00.123456"),
    "an offset": (["2026-01-31T13:05:00+01:00"], "2026-01-31T12:05"),
    "a short offset": (["2026-01-31 13:05 +0130"], "2026-01-31T11:35"),
    "UTC in letters": (["2026-01-31 13:05 UTC"], "2026-01-31T13:05"),
    "slashes, year first": (["2026/1/31"], "2026-01-31"),
    "digits alone": (["20260131"], "2026-01-31"),
    "points": (["31.1.2026 08:00"], "2026-01-31T08:00"),
    "day first": (["1/2/2026", "31/1/2026"], "2026-02-01"),
    "month first": (["1/2/2026", "1/31/2026"], "2026-01-02"),
    "half days": (["1/31/2026 12:30 AM"], "2026-01-31T00:30"),
    "afternoons": (["1/31/2026 1:30 p.m."], "2026-01-31T13:30"),
    "names of months": (["31 Jan 2026"], "2026-01-31"),
    "long names of months": (["January 31, 2026"], "2026-01-31"),
    "months": (["2026-01"], "2026-01-01"),
    "months by name": (["Jan 2026"], "2026-01-01"),
    "ISO weeks": (["2026-W05"], "2026-01-26"),
    "the 53rd week": (["2020W53"], "2020-12-28"),
    "days of weeks": (["2026-W05-7"], "2026-02-01"),
    "quarters": (["2026Q2"], "2026-04-01"),
    "quarters first": (["Q4 2026"], "2026-10-01"),
    "years": (["1885"], "1885-01-01"),
}


@pytest.mark.parametrize(("texts", "first"), TEXTS.values(), ids=TEXTS)
def test_a_column_shows_its_layout(texts: list[str], first: str) -> None:
    read = read_times(texts, None, "ds")
    assert read.times[0] == np.datetime64(first, "us")
    assert len(read.bad) == 0


@pytest.mark.parametrize(
    ("texts", "code", "remedy"),
    [
        (["1/2/2026", "3/4/2026"], "ambiguous_dates", "send day_first=true or day_first=false"),
        (["13/1/2026", "1/13/2026"], "ambiguous_dates", "year-month-day"),
        (["2026-01-01", "2026-01-02T00:00+01:00"], "mixed_zones", "in all of them, or in none"),
        (["yesterday", "today"], "bad_timestamp", "write ISO 8601"),
    ],
)
def test_what_cannot_be_decided_is_refused_with_the_remedy(texts: list[str], code: str, remedy: str) -> None:
    with pytest.raises(InputError) as refused:
        read_times(texts, None, "Datum")
    fault = refused.value.faults[0]
    assert (fault.code, fault.field) == (code, "Datum")
    assert remedy in fault.hint


def test_dates_that_may_be_either_follow_the_option() -> None:
    assert str(read_times(["1/2/2026"], True, "ds").times[0])[:10] == "2026-02-01"
    assert str(read_times(["1/2/2026"], False, "ds").times[0])[:10] == "2026-01-02"


def test_days_that_do_not_exist_are_found() -> None:
    read = read_times(["2026-02-28", "2026-02-30", "2026-W54", "28.2.2026"], None, "ds")
    assert read.bad.tolist() == [1, 2, 3]


def test_midnights_with_an_offset_are_days_of_a_place() -> None:
    winter_and_summer = read_times(["2026-03-28T00:00+01:00", "2026-03-30T00:00+02:00"], None, "ds")
    assert (winter_and_summer.times.astype("datetime64[D]").astype(str).tolist(), winter_and_summer.utc) == (
        ["2026-03-28", "2026-03-30"],
        False,
    )
    assert read_times(["2026-03-28T00:00Z"], None, "ds").utc


@given(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)))  # noqa: DTZ001 - moments without a zone are meant
def test_what_python_writes_is_read_back(moment: dt.datetime) -> None:
    read = read_times([f"{moment:%d.%m.%Y %H:%M:%S}"], None, "ds")
    assert read.times[0] == np.datetime64(moment.replace(microsecond=0), "us")


NUMBERS = {
    "seconds": (1_767_225_600, None, "2026-01-01"),
    "milliseconds": (1_767_225_600_000, None, "2026-01-01"),
    "microseconds": (1_767_225_600_000_000, None, "2026-01-01"),
    "nanoseconds": (1_767_225_600_000_000_000, None, "2026-01-01"),
    "digits of a day": (20_260_131, None, "2026-01-31"),
    "digits of a month": (202_601, None, "2026-01-01"),
    "years": (2026, None, "2026-01-01"),
    "days of Excel": (46_023, "excel", "2026-01-01"),
    "steps": (31, "step", "1970-02-01"),
}


@pytest.mark.parametrize(("number", "unit", "day"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_are_timestamps_by_their_range(number: float, unit: str, day: str) -> None:
    read = read_time_numbers(np.array([number, np.nan]), unit, "D" if unit == "step" else None, "t")  # type: ignore[arg-type]
    assert read.times[0] == np.datetime64(day, "us")
    assert np.isnat(read.times[1])


def test_counted_rows_need_a_frequency() -> None:
    with pytest.raises(InputError, match="from 1 to 3, which show no unit of time; name one step, such as freq=D"):
        read_time_numbers(np.array([1.0, 2.0, 3.0]), None, None, "t")
    assert str(read_time_numbers(np.array([1.0, 2.0]), None, "MS", "t").times[1])[:10] == "1970-03-01"
