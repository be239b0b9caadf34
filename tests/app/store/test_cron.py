"""When a cron expression is due: summer time, ends of months, what never comes, and that nothing comes twice."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.store.cron import MAX_CAUGHT_UP, CronTimes, after, check, jitter, next_after, past_due_times
from models.errors import InputError

PARIS = "Europe/Paris"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def coming(cron: str, start: str, count: int, zone: str = PARIS) -> list[str]:
    """The next due times as the clocks of the zone say them, with their distance from UTC."""
    found = islice(after(CronTimes(cron, zone), utc(start)), count)
    return [due.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M%z") for due in found]


def test_a_time_of_day_that_is_left_out_in_spring_fires_once_when_the_gap_ends() -> None:
    # At 02:00 on 29 March the clocks of Paris go on to 03:00.
    assert coming("30 2 * * *", "2026-03-27T12:00", 4) == [
        "03-28 02:30+0100",
        "03-29 03:00+0200",
        "03-30 02:30+0200",
        "03-31 02:30+0200",
    ]


def test_a_time_of_day_that_comes_twice_in_autumn_fires_the_first_time_only() -> None:
    # At 03:00 on 25 October they go back to 02:00.
    assert coming("30 2 * * *", "2026-10-24T12:00", 2) == ["10-25 02:30+0200", "10-26 02:30+0100"]
    # Asked between the two: the second is not made up for.
    assert coming("30 2 * * *", "2026-10-25T00:45", 1) == ["10-26 02:30+0100"]
    assert coming("0-59 2 * * *", "2026-10-25T01:10", 1) == ["10-26 02:00+0100"]


def test_every_half_hour_is_every_half_hour_that_really_passes() -> None:
    assert coming("*/30 * * * *", "2026-10-25T00:00", 4) == [
        "10-25 02:30+0200",
        "10-25 02:00+0100",
        "10-25 02:30+0100",
        "10-25 03:00+0100",
    ]
    assert coming("*/30 * * * *", "2026-03-29T00:00", 3) == ["03-29 01:30+0100", "03-29 03:00+0200", "03-29 03:30+0200"]


def test_two_times_that_the_gap_makes_one_fire_once() -> None:
    assert coming("0,30 2,3 * * *", "2026-03-28T12:00", 3) == [
        "03-29 03:00+0200",
        "03-29 03:30+0200",
        "03-30 02:00+0200",
    ]


@pytest.mark.parametrize(
    ("cron", "first"),
    [
        ("0 0 29 2 *", "2028-02-29"),
        ("0 0 L * *", "2026-01-31"),
        ("0 0 31 4,6,12 *", "2026-12-31"),
        ("0 0 * * MON#1", "2026-01-05"),
        ("0 0 * * 7", "2026-01-04"),
        ("0 0 1 * FRI", "2026-01-02"),  # with both fields given, either will do
    ],
)
def test_days_are_found_as_cron_finds_them(cron: str, first: str) -> None:
    assert next_after(CronTimes(cron, "UTC"), NEW_YEAR) == utc(first)


@pytest.mark.parametrize(
    ("times", "code", "field", "words"),
    [
        (CronTimes("0 0 30 2 *", PARIS), "bad_cron", "cron", "Bad day-of-month"),
        (CronTimes("0 0 */31 * TUE#5", PARIS), "never_fires", "cron", "no due time in the next 50 years"),
        (CronTimes("* * * *", PARIS), "bad_cron", "cron", "Wrong number of fields"),
        (CronTimes("* * * * * *", PARIS), "bad_cron", "cron", "Wrong number of fields"),
        (CronTimes("@daily", PARIS), "bad_cron", "cron", "Wrong number of fields"),
        (CronTimes("0 24 * * *", PARIS), "bad_cron", "cron", "Bad hour"),
        (CronTimes("0 0 * * FUN", PARIS), "bad_cron", "cron", "Bad day-of-week"),
        (CronTimes("*/0 * * * *", PARIS), "bad_cron", "cron", "Bad minute"),
        (CronTimes(f"{',0' * 60} * * * *", PARIS), "bad_cron", "cron", "Wrong number of fields"),
        (CronTimes("0 0 * * *", "Europe/Pari"), "unknown_zone", "zone", "did you mean Europe/Paris"),
        (CronTimes("0 0 * * *", "../etc/passwd"), "unknown_zone", "zone", "IANA"),
        (CronTimes("0 0 * * *", ""), "unknown_zone", "zone", "IANA"),
        (CronTimes("*/5 * * * *", PARIS, 300), "bad_field", "jitter_s", "the 300 s between two due times"),
    ],
)
def test_what_cannot_come_due_is_refused_with_field_and_remedy(
    times: CronTimes, code: str, field: str, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(times, NEW_YEAR)
    [fault] = caught.value.faults
    assert (fault.code, fault.field) == (code, field)
    assert words in str(fault)
    assert fault.hint


def test_what_comes_due_is_not_refused() -> None:
    for times in (
        CronTimes("30 2 * * MON-FRI", PARIS, 3600),
        CronTimes("0 0 29 2 *", "UTC"),
        CronTimes("* * * * *", "UTC", 59.9),
    ):
        check(times, NEW_YEAR)


def test_of_three_hours_that_nobody_looked_every_due_time_is_known() -> None:
    found = past_due_times(CronTimes("0 * * * *", PARIS), 1, utc("2026-05-01T01:00"), utc("2026-05-01T03:59"))
    assert found == ([utc(f"2026-05-01T0{hour}:00") for hour in (1, 2, 3)], 3, utc("2026-05-01T04:00"))


def test_of_a_year_that_nobody_looked_the_newest_are_known() -> None:
    found = past_due_times(CronTimes("* * * * *", "UTC"), 1, utc("2025-01-01"), utc("2026-01-01"))
    assert len(found.newest) == MAX_CAUGHT_UP
    assert found.newest[-1] == utc("2026-01-01")
    assert found.newest[0] == utc("2025-12-31T22:21")
    assert found.total == 40 * 24 * 60 + 1  # of the last 40 days, and the first one
    assert found.following == utc("2026-01-01T00:01")


def test_a_due_time_has_not_passed_before_its_jitter_is_over() -> None:
    times, due = CronTimes("0 * * * *", "UTC", 1800), utc("2026-05-01T02:00")
    wait = jitter(times, 7, due)
    assert timedelta(0) < wait < timedelta(minutes=30)
    assert wait == jitter(times, 7, due)
    assert wait != jitter(times, 8, due)
    before = past_due_times(times, 7, utc("2026-05-01T01:00"), due + wait - timedelta(microseconds=1))
    assert (before.newest[-1], before.following) == (utc("2026-05-01T01:00"), due)
    assert past_due_times(times, 7, utc("2026-05-01T01:00"), due + wait).newest[-1] == due


def test_jitter_is_spread_over_the_time_that_it_has() -> None:
    times = CronTimes("0 * * * *", "UTC", 100)
    waits = sorted(jitter(times, number, NEW_YEAR).total_seconds() for number in range(1000))
    assert waits[0] >= 0
    assert waits[-1] < 100
    assert 40 < waits[500] < 60


def field(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    span = st.tuples(value, value).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, high).map(lambda every: f"*/{every}")
    many = st.lists(value, min_size=1, max_size=3).map(lambda each: ",".join(map(str, each)))
    return st.one_of(st.just("*"), span, step, many)


crons = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), st.just("*")).map(" ".join)
zones = st.sampled_from([PARIS, "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata", "UTC"])
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(crons, zones, moments)
@example("30 2 * * *", PARIS, utc("2026-10-25T00:45"))
@example("15 1 * * *", "Australia/Lord_Howe", utc("2026-04-04T14:50"))  # whose clocks move by half an hour
def test_due_times_rise_and_asking_anew_after_each_gives_the_same(cron: str, zone: str, moment: datetime) -> None:
    times = CronTimes(cron, zone)
    together = list(islice(after(times, moment), 12))
    assert all(earlier < later for earlier, later in zip([moment, *together], together, strict=False))
    one_by_one, last = [], moment
    for _ in together:
        found = next_after(times, last)
        assert found is not None
        one_by_one.append(found)
        last = found
    assert one_by_one == together


@given(zones, st.integers(0, 23), st.integers(0, 59), st.integers(0, 700))
def test_a_time_of_day_comes_once_on_each_day(zone: str, hour: int, minute: int, day: int) -> None:
    start = NEW_YEAR + timedelta(days=day)
    dues = list(islice(after(CronTimes(f"{minute} {hour} * * *", zone), start), 30))
    days = [due.astimezone(ZoneInfo(zone)).date() for due in dues]
    assert days == [days[0] + timedelta(days=number) for number in range(30)]
