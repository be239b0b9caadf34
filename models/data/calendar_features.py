"""Calendar features of a time: its phase in the day, the week and the year, and whether it is a public holiday.

A cycle has the sine and cosine of its phase, so that its end meets its beginning (the first Fourier pair of Hyndman and
Athanasopoulos, Forecasting: Principles and Practice, 7.4). All features lie within about [-1, 1] and are known ahead.
Days are those of the timestamps: in UTC if these are, else local ones.
"""

import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.calendar import Freq
from models.data.panel import Panel
from models.errors import SpecError, excerpt
from models.types import Float32, Ints, Times

_DAY_US = 86_400_000_000
_DAYS_PER_YEAR = 365.2425
_COUNTRY = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,4})?")
_FIRST_MONDAY = 4  # days from 1970-01-01, a Thursday


def cycles(freq: Freq) -> tuple[str, ...]:
    """Return the cycles in use at ``freq``: longer than a step, and at most a year."""
    if freq.min_days < 1:
        return ("day", "week", "year")
    if freq.min_days < 7:
        return ("week", "month", "year")
    return ("year",) if freq.min_days < 12 * 28 else ()


def feature_names(freq: Freq) -> tuple[str, ...]:
    """Return the names of the K features of ``calendar_features``."""
    known = cycles(freq)
    pairs = tuple(f"{cycle}_{part}" for cycle in known for part in ("sin", "cos"))
    return (*pairs, "weekend") if "week" in known else pairs


def calendar_features(freq: Freq, times: Times) -> Float32:
    """Return the phases of ``times`` (any shape) in the cycles of ``freq``: (..., K) features, see ``feature_names``.

    K is 7 for steps below a week, 2 for weeks, months and quarters, 0 for years.
    """
    us = times.astype("datetime64[us]").astype(np.int64)
    if us.size == 0 or not cycles(freq):
        return np.zeros((*us.shape, len(feature_names(freq))), dtype=np.float32)
    days = us // _DAY_US
    first = days.min()
    # Computed once per day: there are fewer days than times.
    table = _day_features(freq, np.arange(first, days.max() + 1))
    out: Float32 = table.take(days - first, axis=0)
    if "day" in cycles(freq):
        out[..., 0], out[..., 1] = _sine_and_cosine(((us - days * _DAY_US) / _DAY_US).astype(np.float32))
    return out


def _day_features(freq: Freq, days: Ints) -> Float32:
    """Return the features of ``days`` (D,), counted from 1970, at midnight: (D, K)."""
    day, weekday = days.astype("datetime64[D]"), (days - _FIRST_MONDAY) % 7
    phases = {"day": np.zeros(len(days)), "week": weekday / 7}
    for cycle, unit, length in (("month", "M", 31), ("year", "Y", _DAYS_PER_YEAR)):
        phases[cycle] = (day - day.astype(f"datetime64[{unit}]")).astype(np.int64) / length
    columns = [column for cycle in cycles(freq) for column in _sine_and_cosine(phases[cycle])]
    columns += [weekday >= 5] if "week" in cycles(freq) else []
    return np.stack(columns, axis=-1).astype(np.float32)


def _sine_and_cosine(phase: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the sine and cosine of a phase from 0 to 1."""
    return np.sin(2 * np.pi * phase), np.cos(2 * np.pi * phase)


def check_country(country: str) -> None:
    """Refuse a country without known public holidays; codes are ISO 3166: DE, or DE-BY for a part of it.

    Raises:
        SpecError: its holidays are not known.
    """
    _holidays(country, 2020, 2020)


def holiday_features(country: str, freq: Freq, times: Times) -> Float32:
    """Return 1 where the day of ``times`` (any shape) is a public holiday and 0 elsewhere, in their shape.

    For steps of a week or longer: holidays per week of the step that begins at the time, or ends (``ME``, ``QE``,
    ``YE``).

    Raises:
        SpecError: the public holidays of ``country`` are not known.
    """
    if times.size == 0:
        return np.zeros(times.shape, dtype=np.float32)
    begin = times.astype("datetime64[D]")
    end = begin + 1
    if freq.min_days >= 7 and freq.unit.endswith("E"):
        begin = freq.after(times, np.array(-1)).astype("datetime64[D]") + 1
    elif freq.min_days >= 7:
        end = freq.after(times, np.array(1)).astype("datetime64[D]")
    since, before = _holidays(country, _decade(begin.min()), _decade(end.max()))
    counts = before[(end - since).astype(np.int64)] - before[(begin - since).astype(np.int64)]
    step_days = (end - begin).astype(np.int64)
    return np.asarray(counts * np.minimum(7, step_days) / step_days, dtype=np.float32)


def _decade(day: np.datetime64) -> int:
    return int(str(day)[:3]) * 10


@lru_cache(maxsize=64)
def _holidays(country: str, first: int, last: int) -> tuple[np.datetime64, Ints]:
    """Return the first day of the decade ``first`` and, for each day up to the decade ``last``, the holidays before it.

    Raises:
        SpecError: the public holidays of the country are not known.
    """
    import holidays  # noqa: PLC0415 - takes a quarter of a second, needed only with holidays

    place, _, part = country.partition("-")
    try:
        if not _COUNTRY.fullmatch(country):
            raise NotImplementedError
        found = holidays.country_holidays(place, subdiv=part or None, years=range(first, last + 10))
    except NotImplementedError as error:
        message = f"no public holidays are known for {excerpt(country)}"
        hint = "use an ISO 3166 code such as DE, US, FR, JP or BR, or of a part of it such as US-CA; or leave it out"
        raise SpecError.of("bad_field", message, hint, field="holidays") from error
    since, end = np.datetime64(f"{first:04d}-01-01", "D"), np.datetime64(f"{last + 10:04d}-01-01", "D")
    is_holiday = np.zeros((end - since).astype(np.int64) + 1, dtype=np.int64)
    is_holiday[[(np.datetime64(day, "D") - since).astype(np.int64) + 1 for day in found]] = 1
    return since, np.cumsum(is_holiday)


def times_of(panel: Panel, series: Ints, at: Ints, back: int, ahead: int) -> Times:
    """Return the ``back`` times before point ``at`` (B,) of ``series`` (B,), and the ``ahead`` times from it on.

    Returns:
        (B, back + ahead) datetime64[us]; they may lie before a series' first or after its last point.
    """
    return panel.freq.after(panel.starts[series][:, None], at[:, None] + np.arange(-back, ahead))
