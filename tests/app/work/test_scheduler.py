"""The scheduler's tick at given times: due times that fire, are missed, skipped or refused."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import artifacts, datasets, firings, jobs, keys, schedules, webhooks
from app.store.db import Database
from app.store.quality import Quality
from app.store.tables import Job
from app.store.triggers import DriftLimit, Triggers, Watermark
from app.work.scheduler import SchedulerDependencies, clean_up, run, tick
from tests.app.store.conftest import new_revision
from tests.app.work.schedule_harness import PLAN, ScheduleHarness, at
from tests.app.work.small_jobs import eventually
from tests.postgres import postgres_server, read_only

FIRED = {"fired": 1}


@pytest.fixture
def clock(database: Database) -> ScheduleHarness:
    return ScheduleHarness(database)


@pytest.fixture
def one(sqlite: Database) -> ScheduleHarness:
    """A harness on SQLite only, for tests that do not depend on the kind of database."""
    return ScheduleHarness(sqlite)


def test_each_due_time_enqueues_one_job_on_the_newest_data(clock: ScheduleHarness) -> None:
    clock.add()
    assert clock.tick("09:59") == {}
    assert clock.tick("10:00") == FIRED
    assert clock.tick("10:00") == clock.tick("10:59") == {}
    clock.grow(rows_total=6)
    assert clock.tick("11:00", plus_s=0.5) == FIRED
    assert clock.outcomes() == [("10:00", "cron", "fired"), ("11:00", "cron", "fired")]
    assert [job.request for job in clock.jobs()] == [{"rows": 3}, {"rows": 6}]
    first, second = clock.jobs()
    assert [row.job_id for row in clock.firings()] == [first.id, second.id]
    assert (first.schedule_id, first.created_by) == (clock.look().id, "schedule:nightly")
    assert first.dedup == f"schedule:{first.schedule_id}@2026-05-01T10:00:00+00:00"


def test_a_schedule_is_due_by_the_clock_of_its_zone(one: ScheduleHarness) -> None:
    one.add(cron="30 2 * * *", zone="Europe/Paris", now="2026-10-24T12:00")
    for now in ("2026-10-25T00:29", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-26T01:29", "2026-10-26T01:30"):
        one.tick(now)
    assert [row.due_at for row in one.firings()] == [at("2026-10-25T00:30"), at("2026-10-26T01:30")]


@pytest.mark.parametrize(
    ("misfire", "outcomes", "said"),
    [
        ("once", {"missed": 1, "fired": 1}, [("10:00", "missed"), ("13:00", "fired")]),
        ("skip", {"missed": 1}, [("10:00", "missed")]),
        ("all", {"fired": 4}, [("10:00", "fired"), ("11:00", "fired"), ("12:00", "fired"), ("13:00", "fired")]),
    ],
)
def test_the_misfire_policy_decides_after_three_hours_without_a_scheduler(
    clock: ScheduleHarness, misfire: str, outcomes: dict[str, int], said: list[tuple[str, str]]
) -> None:
    clock.add(misfire=misfire)
    assert clock.tick("13:02") == outcomes
    assert [(due, outcome) for due, _, outcome in clock.outcomes()] == said
    assert clock.tick("13:03") == {}
    assert clock.tick("14:00") == FIRED
    missed = [row.detail for row in clock.firings() if row.outcome == "missed"]
    count = {"once": 3, "skip": 4, "all": 0}[misfire]
    assert missed == [{"missed": count, "until": at("13:00").isoformat()}] * (count > 0)


def test_a_due_time_within_the_grace_is_on_time(one: ScheduleHarness) -> None:
    one.add(misfire="skip", grace_s=90)
    assert one.tick("10:01", plus_s=30) == FIRED
    assert one.tick("11:01", plus_s=31) == {"missed": 1}


def test_the_misfire_policy_all_fires_at_most_a_hundred_due_times(one: ScheduleHarness) -> None:
    one.add(cron="* * * * *", misfire="all", now="00:00")
    assert one.tick("02:30") == {"fired": 100, "missed": 1}
    assert one.firings()[0].detail == {"missed": 50, "until": at("02:30").isoformat()}
    assert len(one.requests) == 1  # settled once for all of them
    assert len(one.jobs()) == 100


def test_a_job_waits_for_its_jitter_which_is_always_the_same(one: ScheduleHarness) -> None:
    row = one.add(jitter_s=1800)
    assert row.due_at == at("10:00")
    assert row.next_at is not None
    wait_s = (row.next_at - at("10:00")).total_seconds()
    assert 0 < wait_s < 1800
    assert one.tick("10:00", wait_s - 0.001) == {}
    assert one.tick("10:00", wait_s) == FIRED
    assert one.firings()[0].due_at == at("10:00")


def test_while_the_last_job_is_unfinished_no_other_is_enqueued(clock: ScheduleHarness) -> None:
    clock.add(overlap="skip")
    assert clock.tick("10:00") == FIRED
    assert clock.tick("11:00") == {"skipped": 1}
    [job] = clock.jobs()
    assert clock.firings()[1].detail == {"unfinished": job.id}
    assert clock.firings()[1].job_id is None
    clock.end_jobs()
    assert clock.tick("12:00") == FIRED


def test_a_request_that_no_longer_works_is_refused_and_stops_no_other(clock: ScheduleHarness) -> None:
    with clock.database.write() as session:
        webhooks.create(session, clock.tenant_id, "desk", "https://example.org", ["schedule.alarm"], "cli")
    clock.add("gone", request={"model": "demand", "dataset": "gone"}, misfire="all")
    clock.add("sound")
    assert clock.tick("12:00") == {"missed": 2, "refused": 1, "fired": 1}
    assert clock.outcomes("gone") == [("10:00", "cron", "missed"), ("12:00", "cron", "refused")]
    refused = clock.firings("gone")[1]
    assert refused.detail == {"error": "NotFound", "message": "no data set 'gone'; GET /v1/datasets lists them"}
    assert refused.job_id is None
    with clock.database.read() as session:
        [told] = webhooks.list_deliveries(session, clock.tenant_id, "desk", None, 10)
    assert (told.event, told.payload["schedule"], told.payload["outcome"]) == ("schedule.alarm", "gone", "refused")
    assert clock.tick("13:00") == {"refused": 1, "fired": 1}  # planned again at the next due time


def test_a_schedule_with_an_unexpected_error_is_postponed(
    one: ScheduleHarness, caplog: pytest.LogCaptureFixture
) -> None:
    one.add("broken", request={"model": "bug", "dataset": "sales"})
    one.add("sound")
    assert one.tick("10:00") == {"broken": 1, "fired": 1}
    assert "nobody thought of this" in caplog.text
    assert one.tick("10:04") == {}
    assert one.tick("10:05") == {"broken": 1}
    assert one.outcomes("broken") == []


def test_the_policy_of_a_schedule_goes_with_each_of_its_requests(one: ScheduleHarness) -> None:
    one.add(gate={"minimum_gain": 0.02})
    one.tick("10:00")
    assert one.requests == [{"model": "demand", "dataset": "sales", "gate": {"minimum_gain": 0.02}}]


def test_a_due_time_during_a_pause_is_skipped(clock: ScheduleHarness) -> None:
    clock.add()
    assert clock.pause(now="09:45").next_at is None
    assert clock.tick("11:30") == {}
    assert clock.resume(now="11:30").due_at == at("12:00")
    assert clock.tick("11:30") == {}
    assert clock.tick("12:00") == FIRED


def test_a_new_cron_or_zone_counts_from_the_edit_on(one: ScheduleHarness) -> None:
    one.add()
    assert one.edit(cron="30 * * * *", now="09:40").due_at == at("10:30")
    assert one.edit(zone="Asia/Kolkata", now="09:45").due_at == at("10:00")  # 15:30 there
    assert one.edit(cron=None, triggers=Triggers(new_rows=1), now="09:45").due_at is None


def test_an_edit_of_another_field_keeps_the_due_time(one: ScheduleHarness) -> None:
    one.add()
    assert one.edit(grace_s=5.0, now="10:30").due_at == at("10:00")
    assert one.tick("10:30") == FIRED


def test_when_the_clock_is_set_back_an_hour_no_due_time_fires_again(clock: ScheduleHarness) -> None:
    clock.add(cron="*/10 * * * *", now="09:55")
    for now in ("10:00", "10:10", "10:20"):
        clock.tick(now, plus_s=1)
    assert [clock.tick(now) for now in ("09:21", "09:30", "10:00", "10:20")] == [{}] * 4
    # Nor where it is edited or resumed in between.
    clock.edit(cron="0,10,20,30 * * * *", now="09:25")
    clock.pause(now="09:26")
    clock.resume(now="09:27")
    assert [clock.tick(now) for now in ("09:30", "10:00", "10:20")] == [{}] * 3
    assert clock.tick("10:30") == FIRED
    assert [due for due, _, _ in clock.outcomes()] == ["10:00", "10:10", "10:20", "10:30"]


def test_new_rows_since_the_last_training_fire(one: ScheduleHarness) -> None:
    one.add(cron=None, triggers=Triggers(new_rows=4, pause_s=60))
    assert one.tick("09:31") == {}  # 3 rows
    one.grow(rows_total=7)
    assert one.tick("09:31", plus_s=29) == {}  # looked at every 30 s
    assert one.tick("09:32") == FIRED
    assert one.firings()[0].detail == {"new_rows": 7}
    assert one.tick("09:40") == {}
    one.grow(rows_total=10)
    assert one.tick("09:41") == {}
    one.grow(rows_total=11)
    assert one.tick("09:42") == FIRED
    assert one.firings()[1].detail == {"new_rows": 4}


def test_gaps_and_rows_of_the_future_are_no_new_rows(one: ScheduleHarness) -> None:
    one.add(cron=None, triggers=Triggers(new_rows=6, pause_s=60))
    one.grow(rows_total=1_000, rows_added=2)  # after a long gap
    assert one.tick("09:31") == {}
    one.grow(rows_total=2_000, rows_added=0)  # covariates of the future
    assert one.tick("09:32") == {}
    one.grow(rows_total=2_001, rows_added=1)
    assert one.tick("09:33") == FIRED
    assert one.firings()[-1].detail == {"new_rows": 6}


def test_rows_of_the_future_do_not_end_the_silence_that_an_alarm_was_sent_for(one: ScheduleHarness) -> None:
    one.add(cron=None, triggers=Triggers(data_alarm_s=3600.0), now="2036-05-01T09:30")
    assert one.tick("2036-05-01T09:31") == {"alarm": 1}
    one.grow(rows_total=100, rows_added=0)
    assert one.tick("2036-05-01T10:32") == {}
    one.grow(rows_total=101, rows_added=1)
    assert one.tick("2036-05-01T11:33") == {"alarm": 1}


def test_a_trigger_waits_for_the_previous_job_and_is_not_lost(clock: ScheduleHarness) -> None:
    clock.add(cron=None, overlap="skip", triggers=Triggers(new_rows=3, pause_s=60))
    assert clock.tick("09:31") == FIRED
    clock.grow(rows_total=6)
    assert clock.tick("09:33") == {}
    assert clock.tick("09:34") == {}
    clock.end_jobs()
    assert clock.tick("09:35") == FIRED
    assert [job.request for job in clock.jobs()] == [{"rows": 3}, {"rows": 6}]
    assert [outcome for _, _, outcome in clock.outcomes()] == ["fired", "fired"]


def test_a_schedule_that_is_given_another_data_set_counts_its_rows_from_the_start(one: ScheduleHarness) -> None:
    one.grow(rows_total=1_000)
    one.add(cron=None, triggers=Triggers(new_rows=4, pause_s=60))
    assert one.tick("09:31") == FIRED
    with one.database.write() as session:
        datasets.create(session, one.tenant_id, "small", "D", new_revision(rows_total=4), "cli")
    one.edit(request={"model": "demand", "dataset": "small"}, now="09:32")
    assert one.tick("09:33") == FIRED
    assert one.firings()[1].detail == {"new_rows": 4}


def test_a_trigger_beside_a_cron_changes_nothing_of_its_due_times(one: ScheduleHarness) -> None:
    one.add(triggers=Triggers(new_rows=3, pause_s=60))
    assert one.tick("09:31") == FIRED
    assert one.tick("10:00") == FIRED
    assert [cause for _, cause, _ in one.outcomes()] == ["new_rows", "cron"]


def test_drift_is_tested_on_the_scores_of_logged_forecasts(one: ScheduleHarness) -> None:
    one.add(
        cron=None,
        triggers=Triggers(drift=DriftLimit(ratio=1.5, confidence=0.9, least=50), pause_s=600),
    )
    assert one.tick("09:31") == {}
    one.quality = Quality(points=60, drift=1.8, confidence=0.95, coverage={})
    assert one.tick("09:32") == FIRED
    one.grow(rows_total=4)
    assert one.tick("09:41") == {}  # the pause
    assert one.tick("09:43") == FIRED
    assert one.tick("09:54") == {}  # the gate kept the champion, and there is nothing new to learn from


def test_drift_of_a_job_that_names_a_version_is_that_of_its_model(one: ScheduleHarness) -> None:
    one.quality = Quality(points=60, drift=1.8, confidence=0.95, coverage={})
    drift = Triggers(drift=DriftLimit(ratio=1.5, confidence=0.9, least=50))
    names = {"kind": "backtest", "dataset": "sales"}
    one.add("of-a-version", cron=None, triggers=drift, request={**names, "version": "demand@champion"})
    one.add("of-baselines", cron=None, triggers=drift, request=names)
    assert one.tick("09:31") == FIRED
    assert [len(one.firings(name)) for name in ("of-a-version", "of-baselines")] == [1, 0]


def test_missing_data_raise_one_alarm_and_no_job(clock: ScheduleHarness) -> None:
    clock.add(cron=None, triggers=Triggers(data_alarm_s=3600.0), now="2036-05-01T09:30")
    assert clock.tick("2036-05-01T09:31") == {"alarm": 1}
    assert clock.tick("2036-05-01T10:31") == {}
    [row] = clock.firings()
    assert (row.cause, row.outcome, row.job_id) == ("data_age", "alarm", None)
    clock.grow(rows_total=6)
    assert clock.tick("2036-05-01T10:32") == {"alarm": 1}  # they came, and then again none
    assert clock.jobs() == []


def test_a_model_without_versions_fires_nothing(one: ScheduleHarness) -> None:
    one.add(cron=None, triggers=Triggers(older_than_s=60.0), request={"kind": "retrain", "model": "unborn"})
    assert one.tick("09:31") == {}


def test_running_now_is_a_firing_too_paused_or_not(clock: ScheduleHarness) -> None:
    clock.add(overlap="skip")
    clock.pause()
    job = clock.settle(clock.tenant_id, {"model": "demand", "dataset": "sales"}, "a1b2c3d4")

    def run(session: Session, now: str) -> None:
        firings.run_now(session, clock.tenant_id, "nightly", job, at(now))

    with clock.database.write() as session:
        run(session, "09:50")
    with pytest.raises(Conflict, match="is unfinished"), clock.database.write() as session:
        run(session, "09:51")
    clock.end_jobs()
    with pytest.raises(Conflict, match="is firing at this moment"), clock.database.write() as session:
        run(session, "09:50")
    assert clock.outcomes() == [("09:50", "manual", "fired")]


def test_a_firing_of_another_scheduler_is_not_repeated(clock: ScheduleHarness) -> None:
    clock.add()
    with clock.database.read() as session:
        [stale] = firings.list_due(session, at("10:00"), 10)
    turn = firings.ScheduleUpdate(due_at=at("11:00"), watermark=Watermark())
    for expected in ([], None):
        with clock.database.write() as session:
            assert firings.apply_update(session, stale, turn, at("10:00")) == expected


def test_the_schedules_that_wait_longest_fire_first(one: ScheduleHarness) -> None:
    for number in range(3):
        one.add(f"n{number}", cron=f"{30 - number} 10 * * *")
    with one.database.read() as session:
        assert [row.name for row in firings.list_due(session, at("10:30"), 2)] == ["n2", "n1"]
        assert firings.list_due(session, at("10:27"), 9) == []


def test_tenants_take_turns_however_many_schedules_one_of_them_has(clock: ScheduleHarness) -> None:
    for number in range(3):
        clock.add(f"n{number}", cron=f"{number} 10 * * *")
    with clock.database.write() as session:
        rival = keys.tenant_id(session, "rival")
        schedules.create(session, rival, "theirs", replace(PLAN, cron="20 10 * * *"), "cli", at("09:30"))
    with clock.database.read() as session:
        due = firings.list_due(session, at("10:30"), 3)
    assert [row.name for row in due] == ["n0", "theirs", "n1"]


def test_a_tick_writes_a_heartbeat_and_its_lag_is_known(clock: ScheduleHarness) -> None:
    with clock.database.read() as session:
        assert firings.last_heartbeat(session, firings.SCHEDULER) is None
    clock.tick("10:00")
    clock.tick("09:00")  # a second scheduler, whose clock would be behind
    with clock.database.read() as session:
        assert firings.last_heartbeat(session, firings.SCHEDULER) == at("10:00")
        assert firings.lag_s(session) == 0.0
    clock.add(now="2026-01-01T09:30")
    with clock.database.read() as session:
        assert firings.lag_s(session) > 86_400
        assert firings.counts(session, 86_400) == dict.fromkeys(("fired", "refused", "skipped", "missed", "alarm"), 0)


def test_without_a_time_a_tick_uses_the_databases_clock(one: ScheduleHarness) -> None:
    one.add(cron="0 0 * * *", now="2026-05-01T09:30")
    assert tick(one.database, one.dependencies)["fired"] == 1
    row = one.look()
    assert row.due_at is not None
    with one.database.read() as session:
        assert timedelta(0) < row.due_at - firings.now(session) < timedelta(days=1)


def test_old_firings_are_deleted(clock: ScheduleHarness) -> None:
    clock.add(now="2026-01-01T09:30")
    clock.tick("2026-01-01T10:00")
    with clock.database.write() as session:
        assert firings.forget(session, 1e9) == 0
        assert firings.forget(session, 86_400) == 1
    assert clock.firings() == []


def test_the_files_of_jobs_are_deleted_when_their_time_is_over(clock: ScheduleHarness) -> None:
    clock.add()
    clock.tick("10:00")
    with clock.database.write() as session:
        job = jobs.claim(session, "w1", 60.0)
        assert job is not None
        artifacts.complete(session, job, artifacts.begin(session, job, "forecast.csv", "text/csv"), 0, "0" * 64)
        jobs.finish(session, job.id, job.token, None)
    clean_up(clock.database, artifacts_kept_s=3_600.0)
    assert kept(clock, job) == ["forecast.csv"]
    clean_up(clock.database, artifacts_kept_s=-1.0)
    assert kept(clock, job) == []


def kept(clock: ScheduleHarness, job: Job) -> list[str]:
    with clock.database.read() as session:
        return [row.name for row in artifacts.list_of_job(session, jobs.get(session, job.tenant_id, job.id))]


def test_a_deleted_schedule_deletes_its_firings_and_keeps_its_jobs(clock: ScheduleHarness) -> None:
    row = clock.add()
    clock.tick("10:00")
    with clock.database.write() as session:
        schedules.remove(session, clock.tenant_id, "nightly", "cli")
    with clock.database.read() as session, pytest.raises(NotFound):
        schedules.get(session, clock.tenant_id, "nightly")
    assert len(clock.jobs()) == 1
    again = clock.add()  # its id is another, so its due times are others too
    assert again.id > row.id
    assert clock.tick("10:00") == FIRED
    assert len(clock.jobs()) == 2


def test_a_scheduler_survives_a_database_that_takes_no_writes(caplog: pytest.LogCaptureFixture) -> None:
    # As after a failover to a standby that is not promoted yet: psycopg raises no OperationalError for that.
    database = Database(postgres_server().new_database())
    clock = ScheduleHarness(database)
    clock.add(cron="* * * * *", now="2026-05-01T09:30")
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(database, clock.dependencies, stop, 0.02))
    try:
        with read_only(database):
            thread.start()
            eventually(lambda: "the database does not answer" in caplog.text)
        eventually(clock.firings)
    finally:
        stop.set()
        thread.join(60)
        database.dispose()
    assert caplog.text.count("the database does not answer") == 1
    assert "a schedule is broken" not in caplog.text  # an outage is no fault of a schedule


def test_a_tick_loads_quality_only_for_triggers_that_need_it(one: ScheduleHarness) -> None:
    def nobody_asks(session: Session, tenant_id: int, model: str) -> Quality:
        raise AssertionError("there is no trigger for quality")

    one.add(cron=None, triggers=Triggers(new_rows=1))
    assert dict(tick(one.database, SchedulerDependencies(one.settle, nobody_asks), at("09:31"))) == FIRED
