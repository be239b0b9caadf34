"""The due times of a cron expression in a time zone, as cronsim has them, which follows Debian's cron.

What is set for a fixed time of day fires once a day whatever the clocks do: a time that is left out in spring fires
when the gap ends, one that comes twice in autumn the first time. Where the minutes or the hours begin with a star, it
fires by the time that has really passed.
"""

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from models.errors import Fault, InputError, excerpt

LONGEST = 100  # characters of an expression
CAUGHT_UP = 100  # due times of one schedule that are made good at once, at most
LOOK_BACK = timedelta(days=40)  # that they are looked for in
FORM = "give minute, hour, day of month, month and day of week, such as '30 2 * * MON-FRI'"


class Times(NamedTuple):
    """When a schedule is due: a cron expression of five fields, an IANA zone, and how many seconds it may wait then."""

    cron: str
    zone: str
    jitter_s: float = 0.0


class Passed(NamedTuple):
    """Due times that have passed: the newest of them in order, how many there were at least, and the next one."""

    newest: list[datetime]
    total: int
    following: datetime | None


def after(times: Times, moment: datetime) -> Iterator[datetime]:
    """The due times later than ``moment``, in UTC, each later than the one before.

    Raises:
        CronSimError, KeyError: see ``check``, which says it better.
    """
    last = moment
    # Asked for wall times, cronsim forgets which of two equal ones it stood at: what comes out again is left out.
    for local in CronSim(times.cron, moment.astimezone(ZoneInfo(times.zone))):
        found = local.astimezone(UTC)
        if found > last:
            yield found
            last = found


def next_after(times: Times, moment: datetime) -> datetime | None:
    """The first due time later than ``moment``; None where there is none within 50 years."""
    return next(after(times, moment), None)


def passed(times: Times, schedule_id: int, first: datetime, moment: datetime) -> Passed:
    """The due times from ``first`` on whose jitter is over at ``moment``; at most ``CAUGHT_UP`` of them.

    Of a long time without a scheduler only the last ``LOOK_BACK`` is looked through, and ``first`` itself.
    """
    newest, total = [first], 1
    start = max(first, moment - LOOK_BACK)
    for due in after(times, start):
        if due + jitter(times, schedule_id, due) > moment:
            return Passed(newest, total, due)
        newest, total = [*newest[1 - CAUGHT_UP :], due], total + 1
    return Passed(newest, total, None)


def jitter(times: Times, schedule_id: int, due: datetime) -> timedelta:
    """How long to wait at ``due``: less than ``jitter_s``, and the same whoever asks."""
    digest = sha256(f"{schedule_id}@{due.isoformat()}".encode()).digest()
    return timedelta(seconds=times.jitter_s * int.from_bytes(digest[:8]) / 2**64)


def check(times: Times, moment: datetime) -> None:
    """Raise InputError, naming the field, where ``times`` are not due any more after ``moment`` or cannot be read."""
    _check_zone(times.zone)
    try:
        if len(times.cron) > LONGEST or len(times.cron.split()) != 5:
            raise CronSimError("Wrong number of fields")
        coming = list(islice(after(times, moment), 6))
    except CronSimError as error:
        raise _refusal("bad_cron", "cron", f"{excerpt(times.cron)} is no cron expression: {error}", FORM) from error
    if not coming:
        message = f"{excerpt(times.cron)} never comes: no such day in 50 years"
        raise _refusal("never_fires", "cron", message, FORM)
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
