"""Due times of a cron expression in a time zone: cronsim reads the expression, this module handles clock changes.

An expression for fixed times of day fires once for each local time, also when the clocks change: a time that is skipped
fires when the gap ends, a time that occurs twice fires the first time. An expression whose minutes or hours begin with
a star fires at every real minute at which the local time matches: twice where the local time occurs twice, never where
it is skipped.
"""

import difflib
import math
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from models.errors import Fault, InputError, excerpt

MAX_CHARS = 100  # of an expression
MAX_CAUGHT_UP = 100  # missed due times of one schedule that are handled at once
LOOK_BACK = timedelta(days=40)  # in which missed due times are searched
MIN_BETWEEN_CHANGES = timedelta(hours=12)  # of the clocks of one zone; they are weeks apart at least
HINT = "give minute, hour, day of month, month and day of week, such as '30 2 * * MON-FRI'"


class CronTimes(NamedTuple):
    """A cron expression of five fields, an IANA zone, and the greatest random delay after a due time in seconds."""

    cron: str
    zone: str
    jitter_s: float = 0.0


class PastDueTimes(NamedTuple):
    """Due times that have passed: the newest in order, a lower bound of their number, and the next due time."""

    newest: list[datetime]
    total: int
    following: datetime | None


def after(times: CronTimes, moment: datetime) -> Iterator[datetime]:
    """Return the due times later than ``moment`` in UTC, in ascending order.

    Raises:
        CronSimError, KeyError: ``check`` would refuse the expression or the zone.
    """
    minute, hour = times.cron.split()[:2]
    is_elapsed, zone = minute.startswith("*") or hour.startswith("*"), ZoneInfo(times.zone)
    return (_by_elapsed_time if is_elapsed else _by_time_of_day)(times.cron, zone, moment.astimezone(UTC))


def _by_time_of_day(cron: str, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
    """Yield the first instant of each matching local time; a skipped time has the instant at which its gap ends."""
    last = moment
    for wall in CronSim(cron, moment.astimezone(zone).replace(tzinfo=None)):
        # PEP 495: the offset before the change gives the later instant for a skipped time, the earlier one otherwise.
        found, other = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if other < found:
            found = _first_change(zone, other, found) or found
        if found > last:
            yield found
            last = found


def _by_elapsed_time(cron: str, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
    """Yield each instant whose local time matches, stretch by stretch of a constant offset from UTC."""
    checked, change = moment, None
    while True:
        offset = _offset(zone, change or moment)
        # cronsim begins with the second after its start; the instant of a change itself may match.
        start = moment if change is None else change - timedelta(seconds=1)
        for wall in CronSim(cron, start.replace(tzinfo=None) + offset):
            due = (wall - offset).replace(tzinfo=UTC)
            change = _first_change(zone, checked, due)
            if change is not None:
                checked = change
                break
            checked = due
            yield due
        else:
            return


def _first_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """Return the first instant in (``start``, ``end``] with another offset from UTC than at ``start``, or None."""
    offset = _offset(zone, start)
    while start < end:
        later = min(start + MIN_BETWEEN_CHANGES, end)
        if _offset(zone, later) != offset:
            break
        start = later
    else:
        return None
    start = start.replace(microsecond=0)
    seconds = bisect_left(
        range(1, math.ceil((later - start).total_seconds()) + 1),
        True,
        key=lambda passed: _offset(zone, start + timedelta(seconds=passed)) != offset,
    )
    return start + timedelta(seconds=seconds + 1)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def next_after(times: CronTimes, moment: datetime) -> datetime | None:
    """Return the first due time later than ``moment``; None if there is none within 50 years."""
    return next(after(times, moment), None)


def past_due_times(times: CronTimes, schedule_id: int, first: datetime, moment: datetime) -> PastDueTimes:
    """Return the due times from ``first`` whose delay is over at ``moment``, at most ``MAX_CAUGHT_UP``.

    After a long time without a scheduler only the last ``LOOK_BACK`` and ``first`` itself are searched.
    """
    newest, total = [first], 1
    start = max(first, moment - LOOK_BACK)
    for due in after(times, start):
        if due + jitter(times, schedule_id, due) > moment:
            return PastDueTimes(newest, total, due)
        newest, total = [*newest[1 - MAX_CAUGHT_UP :], due], total + 1
    return PastDueTimes(newest, total, None)


def jitter(times: CronTimes, schedule_id: int, due: datetime) -> timedelta:
    """Return the delay after ``due``: less than ``jitter_s``, and the same in every process."""
    digest = sha256(f"{schedule_id}@{due.isoformat()}".encode()).digest()
    return timedelta(seconds=times.jitter_s * int.from_bytes(digest[:8]) / 2**64)


def check(times: CronTimes, moment: datetime) -> None:
    """Raise InputError, naming the field, if ``times`` cannot be parsed or have no due time after ``moment``."""
    _check_zone(times.zone)
    try:
        if len(times.cron) > MAX_CHARS or len(times.cron.split()) != 5:
            raise CronSimError("Wrong number of fields")
        coming = list(islice(after(times, moment), 6))
    except CronSimError as error:
        raise _refusal("bad_cron", "cron", f"{excerpt(times.cron)} is no cron expression: {error}", HINT) from error
    if not coming:
        message = f"{excerpt(times.cron)} has no due time in the next 50 years"
        raise _refusal("never_fires", "cron", message, HINT)
    shortest_s = min(((b - a).total_seconds() for a, b in pairwise(coming)), default=times.jitter_s + 1)
    if times.jitter_s >= shortest_s:
        message = f"a jitter of {times.jitter_s:g} s is not less than the {shortest_s:g} s between two due times"
        raise _refusal("bad_field", "jitter_s", message, "make it shorter")


def _check_zone(zone: str) -> None:
    known = available_timezones()
    if zone in known:
        return
    near = difflib.get_close_matches(zone, known, 3, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "use a name of the IANA database, such as Europe/Paris"
    raise _refusal("unknown_zone", "zone", f"no time zone {excerpt(zone)}", hint)


def _refusal(code: str, field: str, message: str, hint: str) -> InputError:
    return InputError([Fault(code=code, field=field, message=message, hint=hint)])
