"""Timestamps written as text: the layout is decided by the whole column, and none is guessed.

Layouts: ISO 8601 with any offset, dates with the year first or last, English names of months, months, quarters, ISO
weeks and years.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import NamedTuple

import numpy as np

from app.formats.errors import refusal
from models.data.calendar import MAX_TIME, MIN_TIME, parse_times
from models.errors import Findings, excerpt
from models.types import Ints, Times

MIN_SHARE = 0.5  # of the texts that have to be in a layout for the column to be in it
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK = (
    r"(?:(?:[T ]|, )\s*(?P<h>\d{1,2}):(?P<m>\d\d)(?::(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s*(?P<ap>[AaPp]\.?[Mm]\.?)?)?"
)
_OFFSET = r"\s*(?P<z>Z|UTC|[+-]\d\d(?::?\d\d)?)?"
_WORD = r"(?P<w>[A-Za-z]{3})[a-z]*\.?"


class Layout(NamedTuple):
    """Writing of timestamps: its name for people, and the pattern of one text."""

    name: str
    pattern: re.Pattern[str]


def _layout(name: str, pattern: str, clock: bool = True) -> Layout:
    return Layout(name, re.compile(r"\s*" + pattern + (_CLOCK + _OFFSET if clock else "") + r"\s*", re.ASCII))


LAYOUTS = (
    _layout("year-month-day", r"(?P<Y>\d{4})(?P<sep>[-/.])(?P<M>\d{1,2})(?P=sep)(?P<D>\d{1,2})"),
    _layout("yearmonthday", r"(?P<Y>\d{4})(?P<M>\d\d)(?P<D>\d\d)"),
    _layout("day.month.year", r"(?P<D>\d{1,2})\.(?P<M>\d{1,2})\.(?P<Y>\d{4})"),
    _layout("day/month/year or month/day/year", r"(?P<a>\d{1,2})(?P<sep>[/-])(?P<b>\d{1,2})(?P=sep)(?P<Y>\d{4})"),
    _layout("day month-name year", rf"(?P<D>\d{{1,2}})[ -]{_WORD}[ -](?P<Y>\d{{4}})"),
    _layout("month-name day, year", rf"{_WORD}\s(?P<D>\d{{1,2}}),?\s(?P<Y>\d{{4}})"),
    _layout("month-name year", rf"{_WORD}[ -](?P<Y>\d{{4}})", clock=False),
    _layout("year-month", r"(?P<Y>\d{4})[-/.](?P<M>\d{1,2})", clock=False),
    _layout("year and ISO week", r"(?P<Y>\d{4})-?[Ww](?P<W>\d{1,2})(?:-(?P<d>[1-7]))?", clock=False),
    _layout("year and quarter", r"(?P<Y>\d{4})[- ]?[Qq](?P<Q>[1-4])", clock=False),
    _layout("quarter and year", r"[Qq](?P<Q>[1-4])[- /](?P<Y>\d{4})", clock=False),
    _layout("year", r"(?P<Y>\d{4})", clock=False),
)
_SLASHES = LAYOUTS[3]
DAY_FIRST, MONTH_FIRST = "day/month/year", "month/day/year"  # names of its two readings


class TimeTexts(NamedTuple):
    """Times of distinct texts, NaT where ``bad``; ``utc``: whether they had offsets and are in UTC now.

    Midnights with an offset stay what they are, days of a place, and have no zone.
    """

    times: Times
    utc: bool
    layout: str
    bad: Ints


def layout_of(texts: Sequence[str]) -> Layout | None:
    """Return the layout of most of the texts; None if fewer than ``MIN_SHARE`` of them are in any."""
    counts = [(sum(layout.pattern.fullmatch(text) is not None for text in texts), layout) for layout in LAYOUTS]
    most, layout = max(counts, key=lambda pair: pair[0])
    return layout if texts and most >= MIN_SHARE * len(texts) else None


def read_times(texts: Sequence[str], day_first: bool | None, column: str) -> TimeTexts:
    """Return the times of the distinct ``texts`` of one column.

    Raises:
        InputError: ``ambiguous_dates`` if days and months cannot be told apart, ``mixed_zones`` if only some timestamps
            have an offset, ``bad_timestamp`` if the texts are in no layout.
    """
    found_iso = Findings()
    times, utc = parse_times(texts, found_iso)
    if not found_iso.total:  # usual, and many times as fast
        return TimeTexts(times, utc, LAYOUTS[0].name, np.empty(0, np.int64))
    layout = layout_of(texts[:1_000]) or layout_of(texts)
    if layout is None:
        hint = "write ISO 8601, such as 2026-01-31 or 2026-01-31T13:00:00+01:00, or name another column with time="
        raise refusal("bad_timestamp", f"{excerpt(next(iter(texts), ''))} is not a timestamp", hint, field=column)
    found = [layout.pattern.fullmatch(text) for text in texts]
    if layout is _SLASHES:
        day_first = _is_day_first([match for match in found if match], day_first, column)
    parsed = [None if match is None else _time_of(match.groupdict(), bool(day_first)) for match in found]
    zones = {time.tzinfo is not None for time in parsed if time is not None}
    if len(zones) > 1:
        message = "some timestamps have an offset and some have none"
        raise refusal("mixed_zones", message, "write an offset or Z in all of them, or in none", field=column)
    utc = zones == {True} and not _are_local_days(parsed)
    naive = [None if time is None else (time.astimezone(UTC) if utc else time).replace(tzinfo=None) for time in parsed]
    times = np.array(naive, dtype="datetime64[us]")
    in_range = (times >= MIN_TIME) & (times <= MAX_TIME)  # NaT is in no range
    name = layout.name if layout is not _SLASHES else DAY_FIRST if day_first else MONTH_FIRST
    return TimeTexts(np.where(in_range, times, np.datetime64("NaT")), utc, name, np.flatnonzero(~in_range))


def _are_local_days(times: Sequence[datetime | None]) -> bool:
    """Return whether all times are midnights where they were written, and not all in UTC."""
    known = [time for time in times if time is not None]
    clocks = {(time.hour, time.minute, time.second, time.microsecond) for time in known}
    return clocks == {(0, 0, 0, 0)} and any(time.utcoffset() for time in known)


def _is_day_first(found: Sequence[re.Match[str]], day_first: bool | None, column: str) -> bool:
    if day_first is not None:
        return day_first
    first, second = (max(int(match[group]) for match in found) for group in "ab")
    if first > 12 and second > 12:
        message = "neither the first nor the second number of all dates can be the month"
        raise refusal("ambiguous_dates", message, "write all dates as year-month-day", field=column)
    if first <= 12 and second <= 12:
        message = f"{excerpt(found[0][0].strip())} and all other dates may be day/month or month/day"
        raise refusal("ambiguous_dates", message, "send day_first=true or day_first=false", field=column)
    return first > 12


def _time_of(parts: Mapping[str, str | None], day_first: bool) -> datetime | None:
    """Return the time of the parts of one text; None if it does not exist."""
    number: Callable[[str, int], int] = lambda name, default: int(parts.get(name) or default)  # noqa: E731
    try:
        day = _date_of(parts, number, day_first)
        hour, half = number("h", 0), (parts.get("ap") or "").lower()[:1]
        if half and not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half == "p") if half else hour
        fraction_us = int((parts.get("f") or "").ljust(6, "0")[:6])
        return datetime(
            day.year, day.month, day.day, hour, number("m", 0), number("s", 0), fraction_us, _zone(parts.get("z"))
        )
    except (ValueError, OverflowError):
        return None


def _date_of(parts: Mapping[str, str | None], number: Callable[[str, int], int], day_first: bool) -> date:
    """Return the day; the first day of a month, quarter, week or year. Raise ValueError if there is none."""
    year = number("Y", 0)
    if parts.get("W"):
        return date.fromisocalendar(year, number("W", 1), number("d", 1))
    if parts.get("Q"):
        return date(year, 3 * number("Q", 1) - 2, 1)
    if parts.get("a"):
        first, second = number("a", 0), number("b", 0)
        return date(year, second, first) if day_first else date(year, first, second)
    word = parts.get("w")
    month = _MONTHS.index(word.lower()) + 1 if word else number("M", 1)
    return date(year, month, number("D", 1))


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in ("Z", "UTC"):
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
