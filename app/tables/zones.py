"""Timestamps of a time zone: local times become UTC, and local midnights become days."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from app.formats.errors import refusal
from models.data.validation import format_time
from models.errors import excerpt
from models.types import Ints, Times

_DAY = np.timedelta64(1, "D")


def read_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone ``name``.

    Raises:
        InputError: ``unknown_zone``.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        hint = "give an IANA name such as Europe/Berlin or UTC"
        raise refusal("unknown_zone", f"there is no time zone {excerpt(name)}", hint, field="zone") from error


def to_days(times: Times, zone: ZoneInfo) -> Times | None:
    """Return the days, without a zone, of UTC ``times`` that all are midnights in ``zone``; None if some are not."""
    local = times + _offsets(times, zone)
    known = local[~np.isnat(local)]
    return local if (known == known.astype("datetime64[D]")).all() else None


def to_utc(times: Times, series: Ints, zone: ZoneInfo, column: str) -> Times:
    """Return local ``times`` (R,) of ``zone`` in UTC; ``series`` (R,) has the number of each row's series.

    Where clocks go back, an hour occurs twice: its second occurrence in a series is the later one.

    Raises:
        InputError: ``no_such_time`` for a time that clocks skip.
    """
    early = times - _offsets(times - _DAY, zone)  # by the offset before a change near the time, and after it
    late = times - _offsets(times + _DAY, zone)
    fits_early, fits_late = (utc + _offsets(utc, zone) == times for utc in (early, late))
    skipped = np.flatnonzero(~(fits_early | fits_late | np.isnat(times)))
    if len(skipped):
        message = f"{format_time(times[skipped[0]])} does not exist in {zone.key}: clocks go forward over it"
        hint = "write the offset in each timestamp, or send times in UTC"
        raise refusal("no_such_time", message, hint, row=int(skipped[0]) + 1, field=column)
    repeated = np.zeros(len(times), dtype=bool)
    order = np.lexsort((times, series))
    repeated[order[1:]] = (np.diff(series[order]) == 0) & (times[order[1:]] == times[order[:-1]])
    return np.where(~fits_early | (fits_late & repeated), late, early)


def _offsets(times: Times, zone: ZoneInfo) -> NDArray[np.timedelta64]:
    """Return the offsets of ``zone`` at UTC ``times``, as timedelta64[us]; NaT gives no offset."""
    known = np.where(np.isnat(times), np.datetime64(0, "us"), times)
    quarters, codes = np.unique(known.astype("datetime64[m]").astype(np.int64) // 15, return_inverse=True)
    start = datetime(1970, 1, 1, tzinfo=UTC)
    moments = [(start + timedelta(minutes=15 * int(quarter))).astimezone(zone) for quarter in quarters]
    return np.array([moment.utcoffset() for moment in moments], dtype="timedelta64[us]")[codes]
