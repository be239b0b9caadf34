"""Frequencies and timestamps: the grid of a series, and the times that follow on it.

A frequency counts the steps between two times; a regular series has one point per step. Timestamps are
``datetime64[us]`` without a zone, or in UTC where the input ends in ``Z``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.errors import Fault, Findings, InputError, excerpt
from models.types import Ints, Times

DAY_US = 86_400_000_000
UNIT_US = {"ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "D": DAY_US, "W": 7 * DAY_US}
MONTHS = {"MS": 1, "ME": 1, "QS": 3, "QE": 3, "YS": 12, "YE": 12}
_SYNONYMS = {"H": "h", "T": "min", "S": "s", "d": "D", "M": "ME", "Q": "QE", "A": "YE", "Y": "YE", "AS": "YS"}
_FREQ = re.compile(r"([1-9][0-9]{0,3})?(min|ms|MS|ME|QS|QE|YS|YE|AS|[sSTHhDdBWMQAY])(?:-([A-Z]{3}))?")
# Anchors are parsed but not used: a grid begins where its series begins.
_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_ANCHORS = {"W": _DAYS, "Q": _MONTH_NAMES, "Y": _MONTH_NAMES, "A": _MONTH_NAMES}
_PERIODS = {"W": 52, "D": 7, "B": 5}
MAX_STEPS_PER_SEASON = 300

KNOWN_FREQUENCIES = "ms, s, min, h, D, B, W, MS, ME, QS, QE, YS, YE, each with an optional multiple such as 15min"

_STAMP = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?(Z|\+00:00)?", re.ASCII)
MIN_TIME = np.datetime64("1678-01-01", "us")
MAX_TIME = np.datetime64("2261-12-31", "us")


@dataclass(frozen=True, slots=True)
class Freq:
    """A regular step in time: ``count`` times ``unit`` (one of ms, s, min, h, D, B, W, MS, ME, QS, QE, YS, YE)."""

    count: int
    unit: str

    def __str__(self) -> str:
        return self.unit if self.count == 1 else f"{self.count}{self.unit}"

    @property
    def season(self) -> int:
        """Steps in the usual season: a day for steps below a day, a week for days, a year for weeks and months."""
        if self.unit in MONTHS:
            return _divide_season(12, MONTHS[self.unit] * self.count)
        if self.unit in _PERIODS:
            return _divide_season(_PERIODS[self.unit], self.count)
        step_us = UNIT_US[self.unit] * self.count
        for season_us in (DAY_US, UNIT_US["h"], UNIT_US["min"]):
            if season_us % step_us == 0 and season_us // step_us <= MAX_STEPS_PER_SEASON:
                return season_us // step_us
        return 1

    @property
    def is_anchored(self) -> bool:
        """Whether only certain days are on its grid, as for months and business days."""
        return self.unit not in UNIT_US

    @property
    def min_days(self) -> float:
        """Days in the shortest step of this frequency."""
        if self.unit in MONTHS:
            return 28.0 * MONTHS[self.unit] * self.count
        return UNIT_US.get(self.unit, DAY_US) * self.count / DAY_US

    def steps(self, since: Times, times: Times) -> tuple[Ints, NDArray[np.bool_]]:
        """Return whole steps from ``since`` to ``times`` (one shape), and whether each is on the grid of ``since``.

        ``MS`` is the first day of a month, ``ME`` the last; business days are Monday to Friday; the time of day is the
        same throughout. Other grids begin where the series begins.
        """
        if self.unit in UNIT_US:
            step_us = UNIT_US[self.unit] * self.count
            steps, rest = np.divmod((times - since).astype("timedelta64[us]").astype(np.int64), step_us)
            return steps, rest == 0
        (days, days_us, valid), (first, first_us, _) = self._units(times), self._units(since)
        size = self.count if self.unit == "B" else MONTHS[self.unit] * self.count
        steps, rest = np.divmod(days - first, size)
        return steps, valid & (rest == 0) & (days_us == first_us)

    def _units(self, times: Times) -> tuple[Ints, Ints, NDArray[np.bool_]]:
        """Return the number of the business day or month, microseconds into its anchor day, and if it is that day."""
        if self.unit == "B":
            days = times.astype("datetime64[D]")
            number = np.busday_count("1970-01-01", days).astype(np.int64)
            return number, (times - days).astype(np.int64), np.is_busday(days)
        # A month end becomes the start of the next month, so that one calculation serves both.
        day = times + np.timedelta64(1 if self.unit.endswith("E") else 0, "D")
        months = day.astype("datetime64[M]")
        within_us = (day - months.astype("datetime64[us]")).astype(np.int64)
        return months.astype(np.int64), within_us, within_us < DAY_US

    def after(self, start: np.datetime64 | Times, steps: Ints) -> Times:
        """Return the times ``steps`` after ``start`` (0 = ``start``, negative before it), as datetime64[us].

        ``start`` may be an array of starts; the two are broadcast.
        """
        start = start.astype("datetime64[us]")
        if self.unit in UNIT_US:
            return np.asarray(start + steps * np.timedelta64(UNIT_US[self.unit] * self.count, "us"))
        if self.unit == "B":
            day = start.astype("datetime64[D]")
            moved = np.busday_offset(day, steps * self.count, roll="forward")
            return np.asarray(moved.astype("datetime64[us]") + (start - day))
        one_day = np.timedelta64(1 if self.unit.endswith("E") else 0, "D")
        month = (start + one_day).astype("datetime64[M]")
        within = start + one_day - month.astype("datetime64[us]")
        moved = month + (steps * (MONTHS[self.unit] * self.count)).astype("timedelta64[M]")
        return np.asarray(moved.astype("datetime64[us]") + within - one_day)


def _divide_season(season: int, step: int) -> int:
    return season // step if season % step == 0 else 1


def parse_freq(text: str) -> Freq:
    """Return the frequency of ``text``, a frequency alias of pandas (``h``, ``15min``, ``MS``, ``W-MON``).

    Raises:
        InputError: ``unknown_frequency`` if it is none of the supported ones.
    """
    found = _match_freq(text) if isinstance(text, str) else None
    if found is None:
        message, hint = f"unknown frequency {excerpt(text)}", f"use {KNOWN_FREQUENCIES}"
        raise InputError.of("unknown_frequency", message, hint, field="freq")
    return found


@lru_cache(maxsize=100)
def _match_freq(text: str) -> Freq | None:
    match = _FREQ.fullmatch(text)
    if match is None or not (match[3] is None or match[3] in _ANCHORS.get(match[2][0], ())):
        return None
    return _in_longest_unit(int(match[1] or 1), _SYNONYMS.get(match[2], match[2]))


def _in_longest_unit(count: int, unit: str) -> Freq:
    """Return ``count`` times ``unit`` in the longest unit that divides it: 24h is D, and 3MS is QS."""
    if unit in MONTHS:
        months, side = count * MONTHS[unit], unit[1]
        longest = next(word + side for word in "YQM" if months % MONTHS[word + side] == 0)
        return Freq(months // MONTHS[longest], longest)
    if unit == "B":
        return Freq(count, unit)
    step_us = count * UNIT_US[unit]
    longest = next(name for name in reversed(UNIT_US) if step_us % UNIT_US[name] == 0)
    return Freq(step_us // UNIT_US[longest], longest)


def parse_times(values: Sequence[object], found: Findings) -> tuple[Times, bool]:
    """Parse ISO 8601 timestamps as ``datetime64[us]``; return them and whether they are in UTC.

    Accepted are ``YYYY-MM-DD``, with an optional ``THH:MM[:SS[.ffffff]]`` and an optional ``Z``; all rows have ``Z`` or
    none has. Each bad timestamp is added to ``found``.
    """
    parsed = _parse_table(values) if len(values) >= MIN_FAST_TIMES else None
    if parsed is not None:
        return parsed
    texts: list[str] = []
    bad: set[int] = set()
    zones = set()
    for row, value in enumerate(values):
        match = _STAMP.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            bad.add(row)
            texts.append("1970-01-01")
        else:
            zones.add(match[1] is not None)
            texts.append(match[0] if match[1] is None else match[0][: match.start(1)])
    if len(zones) > 1:
        message = "some timestamps end in Z and some have no zone"
        hint = "write them all with Z (UTC) or all without"
        found.add([0], lambda _: Fault(code="mixed_zones", field="ds", message=message, hint=hint))
    times = _convert(texts, bad)

    def bad_time(row: int) -> Fault:
        message = f"{excerpt(values[row])} is not a supported timestamp (years 1678 to 2261)"
        hint = "write ISO 8601 without an offset or in UTC, such as 2026-01-31T13:00:00 or 2026-01-31T13:00:00Z"
        return Fault(code="bad_timestamp", field="ds", row=row + 1, message=message, hint=hint)

    found.add(sorted(bad), bad_time)
    return times, zones == {True}


MIN_FAST_TIMES = 200  # timestamps; from here on parsing all at once is faster than one by one
_DIGITS = (
    0,
    1,
    2,
    3,
    5,
    6,
    8,
    9,
    11,
    12,
    14,
    15,
    17,
    18,
    20,
    21,
    22,
    23,
    24,
    25,
)  # positions of the digits in a timestamp
_MAX_PAIRS = np.array([99, 99, 12, 31, 23, 59, 59, 99, 99, 99])  # largest value of each two digits


def _parse_table(values: Sequence[object]) -> tuple[Times, bool] | None:
    """Parse timestamps that all have the format of the first as one table of digits; None if one is not valid.

    For 50,000 timestamps in a request this takes a fifth of the time.
    """
    first = values[0] if len(values) else None
    match = _STAMP.fullmatch(first) if isinstance(first, str) else None
    if match is None or set(map(type, values)) != {str} or set(map(len, values)) != {len(match[0])}:  # type: ignore[arg-type]
        return None
    text = "".join(values)  # type: ignore[arg-type]  # strings, see above
    if not text.isascii():
        return None
    table = np.frombuffer(text.encode(), dtype=np.uint8).reshape(len(values), -1)
    end = match.start(1) if match[1] else table.shape[1]
    places = [place for place in _DIGITS if place < end]
    rest = [place for place in range(table.shape[1]) if place not in places]
    digits = table[:, places] - np.uint8(48)  # a character before "0" becomes large
    if (digits > 9).any() or (table[:, rest] != table[0, rest]).any():
        return None
    if len(places) % 2:  # in the fraction of a second
        digits = np.pad(digits, ((0, 0), (0, 1)))
    times = _times_of_pairs(digits[:, 0::2] * np.uint8(10) + digits[:, 1::2])
    return None if times is None else (times, match[1] is not None)


def _times_of_pairs(pairs: NDArray[np.uint8]) -> Times | None:
    """Return the times of digit ``pairs`` (n, k); None if one does not exist or is out of range."""
    lowest, highest = pairs.min(axis=0), pairs.max(axis=0)
    if (highest > _MAX_PAIRS[: len(highest)]).any() or lowest[2] < 1 or lowest[3] < 1 or lowest[0] < 16:
        return None
    century, year, month, day, *parts = pairs.T.astype(np.int64)
    months = ((century * 100 + year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    if highest[3] > 28 and (days.astype("datetime64[M]") != months).any():  # such as the 30th of February
        return None
    times = days.astype("datetime64[us]")
    for part, size_us in zip(parts, (UNIT_US["h"], UNIT_US["min"], UNIT_US["s"], 10_000, 100, 1), strict=False):
        times = times + part * np.timedelta64(size_us, "us")
    return None if (times < MIN_TIME).any() or (times > MAX_TIME).any() else times


def _convert(texts: list[str], bad: set[int]) -> Times:
    """Return the times of ``texts``; the rows of those that do not exist or are out of range are added to ``bad``."""
    try:
        times = np.array(texts, dtype="datetime64[us]")
    except ValueError:  # a day that does not exist: find each one
        times = np.zeros(len(texts), dtype="datetime64[us]")
        for row, text in enumerate(texts):
            try:
                times[row] = np.datetime64(text, "us")
            except ValueError:
                bad.add(row)
    bad.update(np.flatnonzero((times < MIN_TIME) | (times > MAX_TIME)).tolist())
    return times
