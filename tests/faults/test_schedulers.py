"""Several schedulers with kills, races and jumping clocks: each due time enqueues one job."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import pytest

from app.problems import NotFound
from app.store import schedules
from app.store.db import Database
from tests.app.store.conftest import at_once
from tests.app.work.schedule_harness import ScheduleHarness, at
from tests.postgres import database_fixture, database_url_fixture  # noqa: F401

KILLED = -9
FIRED = {"fired": 1}


@pytest.fixture
def clock(database: Database) -> ScheduleHarness:
    return ScheduleHarness(database)


def ticker(database: Database, start: str, steps: int, step_s: float, moment: str = "never") -> subprocess.Popen[bytes]:
    """Start a scheduler process."""
    url = database.url.render_as_string(hide_password=False)
    words = [url, at(start).isoformat(), str(steps), str(step_s), moment]
    return subprocess.Popen([sys.executable, "-m", "tests.faults.scheduler_process", *words])


def assert_each_once(clock: ScheduleHarness, name: str, first: str, last: str, step: timedelta) -> None:
    """Assert that each due time from ``first`` to ``last`` has one firing and one job, and no other has."""
    wanted, due = [], at(first)
    while due <= at(last):
        wanted.append(due)
        due += step
    rows = clock.firings(name)
    assert sorted(row.due_at for row in rows) == wanted
    assert {row.outcome for row in rows} == {"fired"}
    made = [job.id for job in clock.jobs() if job.schedule_id == clock.look(name).id]
    assert sorted(made) == sorted(str(row.job_id) for row in rows)


def test_three_schedulers_fire_each_due_time_of_three_minutes_once(clock: ScheduleHarness) -> None:
    for number in range(4):
        clock.add(f"n{number}", cron="* * * * *", now="09:59:30", jitter_s=number * 5.0)
    running = [ticker(clock.database, "10:00:00", 39, 5.5) for _ in range(3)]
    assert [process.wait(240) for process in running] == [0, 0, 0]
    for number in range(4):
        assert_each_once(clock, f"n{number}", "10:00", "10:03", timedelta(minutes=1))


@pytest.mark.parametrize(("moment", "before"), [("insert", 0), ("commit", 1)])
def test_a_scheduler_killed_around_its_commit_loses_and_repeats_nothing(
    clock: ScheduleHarness, moment: str, before: int
) -> None:
    clock.add()
    assert ticker(clock.database, "10:00", 1, 1, moment).wait(120) == KILLED
    assert len(clock.jobs()) == len(clock.firings()) == before
    assert ticker(clock.database, "10:00:05", 1, 1).wait(120) == 0
    assert_each_once(clock, "nightly", "10:00", "10:00", timedelta(hours=1))


def test_schedulers_killed_at_random_lose_no_due_time(clock: ScheduleHarness) -> None:
    names = ["n1", "n2", "n3"]
    for name in names:
        clock.add(name, cron="* * * * *", misfire="all", now="09:59:30")
    for start, moment in (("10:00", "insert"), ("10:10", "commit")):
        dying, other = ticker(clock.database, start, 60, 10, moment), ticker(clock.database, start, 60, 10)
        assert dying.wait(240) in {KILLED, 0}  # where the other was faster each time, it dies of nothing
        time.sleep(random.Random(start).random() / 2)
        other.kill()
        other.wait()
    assert ticker(clock.database, "10:20", 1, 1).wait(120) == 0
    for name in names:
        assert_each_once(clock, name, "10:00", "10:20", timedelta(minutes=1))


def race(clock: ScheduleHarness, other: Callable[[], object], now: str) -> list[object]:
    """Run a tick at ``now`` and another call at the same time; return both results."""
    tick = partial(clock.tick, now)
    results: list[object] = list(at_once([tick, other, tick]))
    assert not any(isinstance(result, Exception) for result in results), results
    return results


ROUNDS = 8


def test_a_pause_that_races_with_a_tick_holds(clock: ScheduleHarness) -> None:
    seen: Counter[int] = Counter()
    for number in range(ROUNDS):
        name = f"n{number}"
        clock.add(name)
        race(clock, partial(clock.pause, name, "10:00"), "10:00")
        fired = len(clock.firings(name))
        seen[fired] += 1
        clock.tick("11:00")
        assert len(clock.firings(name)) == fired <= 1
        assert clock.look(name).paused
    assert seen.total() == ROUNDS


def test_an_edit_that_races_with_a_tick_is_not_lost_and_fires_nothing_twice(clock: ScheduleHarness) -> None:
    for number in range(ROUNDS):
        same, other = f"same{number}", f"other{number}"
        clock.add(same)
        clock.add(other)
        race(clock, partial(clock.edit, same, "10:00", grace_s=7.0), "10:00")
        race(clock, partial(clock.edit, other, "10:00", cron="30 * * * *"), "10:00")
        clock.tick("10:00:01")
        assert clock.look(same).grace_s == 7.0
        assert_each_once(clock, same, "10:00", "10:00", timedelta(hours=1))
        assert clock.look(other).due_at == at("10:30")
        assert len(clock.firings(other)) <= 1  # 10:00, if the tick was first
        for name in (same, other):
            clock.pause(name)


def test_a_schedule_deleted_during_a_tick_is_gone_and_leaves_no_firing(clock: ScheduleHarness) -> None:
    def remove(name: str) -> None:
        with clock.database.write() as session:
            schedules.remove(session, clock.tenant_id, name, "cli")

    for number in range(ROUNDS):
        clock.add(f"n{number}")
        made = len(clock.jobs())
        race(clock, partial(remove, f"n{number}"), "10:00")
        assert len(clock.jobs()) - made in {0, 1}
        assert clock.tick("11:00") == {}
        with pytest.raises(NotFound):
            clock.look(f"n{number}")
    with clock.database.read() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM firings").scalar() == 0


def walk(clock: ScheduleHarness, start: str, end: str, step: timedelta) -> None:
    """Tick from ``start`` to ``end``."""
    moments = (at(start) + number * step for number in count())
    for moment in moments:
        if moment > at(end):
            return
        clock.tick(moment.strftime("%Y-%m-%dT%H:%M:%S"))


@pytest.mark.parametrize(
    ("night", "dues"),
    [
        ("2026-03-28", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),  # the gap ends at 01:00 UTC
        ("2026-10-24", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),  # 02:30 comes at 00:30 and 01:30
    ],
)
def test_a_job_at_half_past_two_in_paris_runs_once_on_days_of_clock_changes(
    clock: ScheduleHarness, night: str, dues: list[str]
) -> None:
    clock.add(cron="30 2 * * *", zone="Europe/Paris", now=f"{night}T00:00")
    after = datetime.fromisoformat(night) + timedelta(days=2, hours=3)
    walk(clock, f"{night}T00:00", after.isoformat(), timedelta(minutes=15))
    assert [row.due_at for row in clock.firings()] == [at(due) for due in dues]


def test_a_schedule_that_moves_to_another_zone_is_due_by_its_clocks(clock: ScheduleHarness) -> None:
    clock.add(cron="0 12 * * *", zone="Asia/Tokyo", now="00:00")  # 03:00 UTC
    assert clock.tick("03:00") == FIRED
    clock.edit(zone="America/New_York", now="03:30")  # 16:00 UTC
    assert clock.tick("15:59") == {}
    assert clock.tick("16:00") == FIRED
    clock.edit(zone="Asia/Tokyo", now="16:30")
    assert clock.look().due_at == at("2026-05-02T03:00")


def test_a_clock_set_back_by_an_hour_repeats_and_loses_nothing(clock: ScheduleHarness) -> None:
    clock.add(cron="*/20 * * * *", now="09:50")
    walk(clock, "10:00", "10:50", timedelta(minutes=5))
    walk(clock, "09:50", "11:30", timedelta(minutes=5))
    assert_each_once(clock, "nightly", "10:00", "11:20", timedelta(minutes=20))


@pytest.mark.parametrize(
    ("misfire", "fired"), [("once", ["13:00"]), ("skip", []), ("all", ["10:00", "11:00", "12:00", "13:00"])]
)
def test_three_hours_without_a_scheduler(clock: ScheduleHarness, misfire: str, fired: list[str]) -> None:
    clock.add(misfire=misfire)
    running = [ticker(clock.database, "13:02", 3, 1) for _ in range(2)]
    assert [process.wait(240) for process in running] == [0, 0]
    rows = clock.firings()
    assert [f"{row.due_at:%H:%M}" for row in rows if row.outcome == "fired"] == fired
    missed = [row.detail["missed"] for row in rows if row.outcome == "missed"]
    assert sum(missed) == 4 - len(fired)
    assert clock.tick("14:00") == FIRED
