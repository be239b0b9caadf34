"""Due times around clock changes equal those of a walk through every minute, in zones with all kinds of changes."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.store.cron import CronTimes, after

MINUTE = timedelta(minutes=1)
BEFORE, LATER = timedelta(hours=30), timedelta(hours=50)
CHANGES = {  # zone -> days of changes (UTC, noon before or after): 30 minutes, 1 hour, 2 hours, 3 hours, a day
    "Australia/Lord_Howe": ("2026-04-04", "2026-10-03"),  # 30 minutes
    "Antarctica/Troll": ("2026-03-29", "2026-10-25"),  # 2 hours
    "Antarctica/Casey": ("2018-03-10", "2020-10-04"),  # 3 hours
    "Pacific/Apia": ("2011-12-30",),  # a day is left out
    "Pacific/Fakaofo": ("2011-12-30",),
    "Asia/Pyongyang": ("2015-08-14", "2018-05-04"),  # 30 minutes, for good
    "America/Caracas": ("2016-05-01",),
    "Europe/Paris": ("2026-03-29", "2026-10-25"),
    "Europe/London": ("2026-03-29", "2026-10-25"),
    "Europe/Dublin": ("2026-03-29", "2026-10-25"),
    "Europe/Istanbul": ("2015-11-08", "2016-03-27"),
    "Europe/Moscow": ("2011-03-26", "2014-10-25"),
    "Atlantic/Azores": ("2026-03-29", "2026-10-25"),  # the change includes midnight
    "Africa/Casablanca": ("2026-02-15", "2026-03-22"),
    "Africa/Cairo": ("2026-04-23", "2026-10-29"),
    "Asia/Beirut": ("2026-03-28", "2026-10-24"),
    "Asia/Gaza": ("2026-03-28", "2026-10-24"),
    "Asia/Jerusalem": ("2026-03-27", "2026-10-24"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "America/St_Johns": ("2026-03-08", "2026-11-01"),
    "America/Havana": ("2026-03-08", "2026-11-01"),
    "America/Santiago": ("2026-04-05", "2026-09-06"),
    "America/Scoresbysund": ("2025-03-30", "2026-10-25"),
    "America/Nuuk": ("2023-03-26", "2026-10-25"),
    "Pacific/Auckland": ("2026-04-04", "2026-09-26"),
    "Pacific/Chatham": ("2026-04-04", "2026-09-26"),
    "Pacific/Norfolk": ("2026-04-04", "2026-10-03"),
    "Pacific/Easter": ("2026-04-05", "2026-09-06"),
    "Australia/Adelaide": ("2026-04-04", "2026-10-03"),
    "Asia/Kolkata": ("2026-04-04",),  # none
}
CRONS = ("*/15 2 * * *", "15,45 * * * *", "*/7 */3 * * *", "30 2 * * *", "0,30 0-3 * * *")
CASES = [(zone, day, cron) for zone, days in CHANGES.items() for day in days for cron in CRONS]


def values(field: str, size: int) -> set[int]:
    """Return the values of a field of numbers, ranges and steps, read by other code than the library's."""
    found: set[int] = set()
    for term in field.split(","):
        matched = re.fullmatch(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", term)
        assert matched is not None
        low = 0 if matched[1] == "*" else int(matched[2])
        high = size - 1 if matched[1] == "*" else int(matched[3] or matched[2])
        found |= set(range(low, high + 1, int(matched[4] or 1)))
    return found


def walk(cron: str, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the due times in (``start``, ``end``] by looking at the clock at every minute."""
    minute, hour, *_ = cron.split()
    minutes, hours = values(minute, 60), values(hour, 24)
    newest = (start - MINUTE).astimezone(zone).replace(tzinfo=None)
    for number in range(int((end - start) / MINUTE) + 1):
        due = start + number * MINUTE
        wall = due.astimezone(zone).replace(tzinfo=None)
        shown = [wall]
        if not cron.startswith("*") and not hour.startswith("*"):
            # Each local time once: none that the clock has shown before, and with it those that the clock has skipped.
            shown = [newest + n * MINUTE for n in range(1, int((wall - newest) / MINUTE) + 1)]
        newest = max(wall, newest)
        if due > start and any(one.minute in minutes and one.hour in hours for one in shown):
            yield due


@pytest.mark.parametrize(("zone", "day", "cron"), CASES)
def test_due_times_around_a_change_equal_those_of_a_walk_through_every_minute(zone: str, day: str, cron: str) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=UTC)
    start, end = noon - BEFORE, noon + LATER
    expected = list(walk(cron, ZoneInfo(zone), start, end))
    found = []
    for due in after(CronTimes(cron, zone), start):
        if due > end:
            break
        found.append(due)
    assert found == expected


def test_240_cases_and_more_of_20_zones_and_more_are_compared_and_all_but_one_day_has_a_change() -> None:
    assert len(CASES) >= 240
    assert len(CHANGES) >= 20
    still = []
    for name, days in CHANGES.items():
        for day in days:
            noon, zone = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=UTC), ZoneInfo(name)
            if (noon - BEFORE).astimezone(zone).utcoffset() == (noon + LATER).astimezone(zone).utcoffset():
                still.append(name)
    assert still == ["Asia/Kolkata"]


def test_an_interval_in_an_hour_that_begins_within_a_repeated_half_hour_fires_at_each_real_quarter() -> None:
    """On 5 April 2026 the clocks of Lord Howe go back from 02:00 to 01:30; 02:00 comes half an hour later."""
    start = datetime(2026, 4, 4, 14, 0, tzinfo=UTC)
    found = [next(dues) for dues in [after(CronTimes("*/15 2 * * *", "Australia/Lord_Howe"), start)] for _ in range(4)]
    local = [due.astimezone(ZoneInfo("Australia/Lord_Howe")).strftime("%d %H:%M%z") for due in found]
    assert local == ["05 02:00+1030", "05 02:15+1030", "05 02:30+1030", "05 02:45+1030"]
