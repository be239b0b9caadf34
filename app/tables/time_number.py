"""Timestamps written as numbers: seconds and finer units since 1970, days of a calendar, Excel's days, and steps."""

from typing import NamedTuple

import numpy as np

from app.formats.errors import refusal
from app.tables.options import TimeUnit
from models.data.calendar import MAX_TIME, MIN_TIME, parse_freq
from models.data.frequency_choice import FreqChoice
from models.types import Floats, Times

# Numbers in these ranges are timestamps from 1973 to 2286 in that unit.
_EPOCHS: tuple[tuple[TimeUnit, float, float], ...] = (
    ("s", 1e8, 1e10),
    ("ms", 1e11, 1e13),
    ("us", 1e14, 1e16),
    ("ns", 1e17, 1e19),
)
_UNIT_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3, "excel": 86_400e6}
_EXCEL_START = np.datetime64("1899-12-30", "us")  # day 0; Excel counts a 29 February 1900 that did not exist
_START = np.datetime64("1970-01-01", "us")
_LAYOUTS = {
    "years": ("Y", 1678, 2262),
    "year and month": ("YM", 167_801, 226_112),
    "yearmonthday": ("YMD", 16_780_101, 22_611_231),
}


class TimeNumbers(NamedTuple):
    """Times of numbers, NaT where the number is none; ``utc`` for units since 1970; the name of the layout."""

    times: Times
    utc: bool
    layout: str


def may_be_times(values: Floats) -> bool:
    """Return whether whole numbers without a given unit can be read as timestamps."""
    return _guess(values) is not None


def read_time_numbers(values: Floats, unit: TimeUnit | None, freq: FreqChoice, column: str) -> TimeNumbers:
    """Return the times of a column of numbers (R,).

    Raises:
        InputError: ``ambiguous_times`` if the numbers are in no range that shows their unit.
    """
    if unit == "step" or (unit is None and _guess(values) is None and isinstance(freq, str)):
        if not isinstance(freq, str):
            hint = "send freq too, such as freq=D"
            raise refusal(
                "ambiguous_times", f"the column '{column}' counts steps of unknown length", hint, field=column
            )
        return TimeNumbers(_steps(values, freq), False, f"steps of {freq} since 1970-01-01")
    found = unit or _guess(values)
    if found is None:
        low, high = np.nanmin(values), np.nanmax(values)
        message = f"the column '{column}' has numbers from {low:.15g} to {high:.15g}, which show no unit of time"
        hint = (
            "name one step, such as freq=D (the rows are then dated from 1970-01-01), send time_unit=s, ms, us, ns or "
            "excel, or name another column with time="
        )
        raise refusal("ambiguous_times", message, hint, field=column)
    if found in _LAYOUTS:
        return TimeNumbers(_calendar(values, _LAYOUTS[found][0]), False, found)
    start = _EXCEL_START if found == "excel" else _START
    return TimeNumbers(
        _in_range(start, np.round(values * _UNIT_US[found])), found != "excel", f"{found} since {str(start)[:10]}"
    )


def _guess(values: Floats) -> str | None:
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = known.min(), known.max()
    unit = next((unit for unit, least, most in _EPOCHS if least <= low and high < most), None)
    if unit is not None or (known != np.floor(known)).any():
        return unit
    fitting = (name for name, (_, least, most) in _LAYOUTS.items() if least <= low and high <= most)
    return next((name for name in fitting if not np.isnat(_calendar(known, _LAYOUTS[name][0])).any()), None)


def _calendar(values: Floats, form: str) -> Times:
    whole = np.where(np.isnan(values), 0, values).astype(np.int64)
    year, month, day = {
        "Y": lambda: (whole, np.ones_like(whole), np.ones_like(whole)),
        "YM": lambda: (whole // 100, whole % 100, np.ones_like(whole)),
        "YMD": lambda: (whole // 10_000, whole // 100 % 100, whole % 100),
    }[form]()
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    exists = ~np.isnan(values) & (month >= 1) & (month <= 12) & (day >= 1) & (days.astype("datetime64[M]") == months)
    return np.where(exists, days.astype("datetime64[us]"), np.datetime64("NaT"))


def _steps(values: Floats, freq: str) -> Times:
    whole = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 1e9)
    steps = np.where(whole, values, 0).astype(np.int64)
    times = parse_freq(freq).after(_START, steps)
    return np.where(whole & (times >= MIN_TIME) & (times <= MAX_TIME), times, np.datetime64("NaT"))


def _in_range(start: np.datetime64, since_us: Floats) -> Times:
    known = np.abs(since_us) < 9e18
    times = start + np.where(known, since_us, 0).astype(np.int64).astype("timedelta64[us]")
    return np.where(known & (times >= MIN_TIME) & (times <= MAX_TIME), times, np.datetime64("NaT"))
