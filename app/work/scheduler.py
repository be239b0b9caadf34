"""The scheduler: enqueues a job for each due time of a schedule, and when a trigger fires. Any number of them may run.

The job is planned on the newest data, before the transaction that fires the schedule, because planning takes a while.
If two schedulers plan the same job, only one of their transactions fires.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.problems import ServiceError
from app.store import artifacts, cron, firings, schedules, webhooks
from app.store.cron import PastDueTimes
from app.store.data_freshness import freshness, model_of
from app.store.db import Database, DatabaseUnreachable, now
from app.store.firings import NewFiring, ScheduleUpdate
from app.store.jobs import NewJob
from app.store.quality import Quality
from app.store.tables import Schedule
from app.store.triggers import Triggers, Watermark
from app.work import triggers
from app.work.loop import poll
from app.work.triggers import Cause, TriggerInputs
from models.errors import ForecastError
from models.types import JsonObject

logger = logging.getLogger(__name__)

MAX_SCHEDULES = 100  # in one tick
BROKEN_S = 300.0  # after an unexpected error, a schedule is skipped for this time
HEARTBEAT_S = 5.0
MAX_MESSAGE = 500  # characters of a refusal that are stored
CLEAN_UP_S = 3600.0  # between two deletions of old rows
FIRINGS_KEPT_S, DELIVERIES_KEPT_S = 30 * 86_400.0, 7 * 86_400.0
ARTIFACTS_KEPT_S = 30 * 86_400.0  # unless a setting says otherwise
ARTIFACTS_AT_ONCE = 10  # deleted in one transaction: each may have a gigabyte

PlanJob = Callable[[int, JsonObject, str], NewJob]  # from a tenant, the body of POST /v1/jobs, and the actor's name
LoadQuality = Callable[[Session, int, str], Quality]  # of a tenant's model


@dataclass(frozen=True, slots=True)
class SchedulerDependencies:
    """Functions of other layers: ``plan_job`` turns a request into a job, ``load_quality`` returns the scores of a
    model's logged forecasts."""

    plan_job: PlanJob
    load_quality: LoadQuality


def tick(database: Database, dependencies: SchedulerDependencies, at: datetime | None = None) -> Counter[str]:
    """Fire every schedule that is due once, and return the number of firings by outcome.

    ``at`` is the present, the database's own clock unless given. A job that cannot be planned is recorded as a refused
    firing; an error of one schedule delays no other.

    Raises:
        DatabaseUnreachable: the database does not answer, or takes no writes.
    """
    with database.read() as session:
        moment = at or now(session)
        waiting = firings.list_due(session, moment, MAX_SCHEDULES)
        beat_at = firings.last_heartbeat(session, firings.SCHEDULER)
    outcomes: Counter[str] = Counter()
    for schedule in waiting:
        try:
            outcomes.update(_fire(database, dependencies, schedule, moment))
        except DatabaseUnreachable:
            raise
        except Exception:
            logger.exception("a schedule is broken", extra={"schedule": schedule.name, "id": schedule.id})
            outcomes["broken"] += 1
            with database.write() as session:
                firings.postpone(session, schedule, moment + timedelta(seconds=BROKEN_S))
    if beat_at is None or (moment - beat_at).total_seconds() >= HEARTBEAT_S:  # an idle tick writes nothing else
        with database.write() as session:
            firings.record_heartbeat(session, firings.SCHEDULER, moment)
    return outcomes


def run(
    database: Database,
    dependencies: SchedulerDependencies,
    stop: threading.Event,
    poll_s: float,
    artifacts_kept_s: float = ARTIFACTS_KEPT_S,
) -> None:
    """Tick every ``poll_s`` seconds until ``stop`` is set, and delete old rows and files every hour."""
    logger.info("scheduler started")
    clean_at_s = time.monotonic()

    def step() -> None:
        nonlocal clean_at_s
        if time.monotonic() >= clean_at_s:
            clean_up(database, artifacts_kept_s)
            clean_at_s = time.monotonic() + CLEAN_UP_S
        for outcome, count in tick(database, dependencies).items():
            logger.info("schedules fired", extra={"outcome": outcome, "count": count})

    poll(step, stop, poll_s)


def clean_up(database: Database, artifacts_kept_s: float = ARTIFACTS_KEPT_S) -> None:
    """Delete firings, deliveries and files of jobs that ended long ago."""
    with database.write() as session:
        firings.forget(session, FIRINGS_KEPT_S)
        webhooks.forget(session, DELIVERIES_KEPT_S)
    is_done = False
    while not is_done:
        with database.write() as session:
            is_done = artifacts.forget(session, artifacts_kept_s, ARTIFACTS_AT_ONCE) < ARTIFACTS_AT_ONCE


def due_times(schedule: Schedule, moment: datetime) -> tuple[list[datetime], PastDueTimes]:
    """Return the passed due times that the schedule's misfire policy fires, and all that have passed."""
    times = schedules.plan_of(schedule).times
    assert times is not None  # without a cron expression nothing is due
    assert schedule.due_at is not None
    passed = cron.past_due_times(times, schedule.id, schedule.due_at, moment)
    if schedule.misfire == "all":
        return passed.newest, passed
    if schedule.misfire == "once":
        return passed.newest[-1:], passed
    earliest = moment - timedelta(seconds=schedule.grace_s)
    return [due for due in passed.newest if due + cron.jitter(times, schedule.id, due) >= earliest], passed


def _fire(database: Database, dependencies: SchedulerDependencies, schedule: Schedule, moment: datetime) -> list[str]:
    """Fire the schedule, and return the outcomes; none if another scheduler was faster."""
    times = schedules.plan_of(schedule).times
    is_due = times and schedule.due_at and schedule.due_at + cron.jitter(times, schedule.id, schedule.due_at) <= moment
    if is_due:
        update = _by_cron(dependencies, schedule, moment)
    else:
        update = _by_triggers(database, dependencies, schedule, moment)
    with database.write() as session:
        made = firings.apply_update(session, schedule, update, moment)
    return [row.outcome for row in made or ()]


def _by_cron(dependencies: SchedulerDependencies, schedule: Schedule, moment: datetime) -> ScheduleUpdate:
    fired_at, passed = due_times(schedule, moment)
    fired = [_firing(dependencies, schedule, fired_at[-1], Cause("cron", {}))] if fired_at else []
    if fired and fired[0].job is not None:  # a refusal is recorded once, whatever the number of due times
        fired = [replace(fired[0], due_at=due) for due in fired_at]
    if missed := passed.total - len(fired):
        assert schedule.due_at is not None
        detail = {"missed": missed, "until": passed.newest[-1].isoformat()}
        fired.insert(0, NewFiring(due_at=schedule.due_at, cause="cron", outcome="missed", detail=detail))
    return ScheduleUpdate(firings=fired, due_at=passed.following, watermark=Watermark.from_json(schedule.watermark))


def _by_triggers(
    database: Database, dependencies: SchedulerDependencies, schedule: Schedule, moment: datetime
) -> ScheduleUpdate:
    inputs, watermark = (
        _trigger_inputs(database, dependencies, schedule, moment),
        Watermark.from_json(schedule.watermark),
    )
    if inputs is None:
        return ScheduleUpdate(due_at=schedule.due_at, watermark=watermark)
    fired, conditions = [], Triggers.from_json(schedule.triggers)
    if (late := triggers.find_alarm(conditions, watermark, inputs)) is not None:
        since = inputs.data.data_at + timedelta(seconds=late.detail["data_alarm_s"])
        fired.append(NewFiring(due_at=since, cause=late.name, outcome="alarm", detail=late.detail))
        watermark = watermark.alarmed(inputs.data.revision_id)
    if (cause := triggers.find_cause(conditions, watermark, inputs)) is not None:
        fired.append(_firing(dependencies, schedule, moment, cause))
        watermark = watermark.fired(inputs.data.dataset_id, inputs.data.rows, inputs.moment)
    return ScheduleUpdate(firings=fired, due_at=schedule.due_at, watermark=watermark)


def _trigger_inputs(
    database: Database, dependencies: SchedulerDependencies, schedule: Schedule, moment: datetime
) -> TriggerInputs | None:
    """Return the inputs of the schedule's triggers; None if its data set or model does not exist any more."""
    with database.read() as session:
        data = freshness(session, schedule.tenant_id, schedule.request)
        model = model_of(schedule.request)
        quality = None
        if model is not None and not {"drift", "coverage_below"}.isdisjoint(schedule.triggers):
            quality = dependencies.load_quality(session, schedule.tenant_id, model)
        busy = schedule.overlap == "skip" and firings.unfinished_job(session, schedule.id) is not None
    return None if data is None else TriggerInputs(moment=moment, data=data, quality=quality, busy=busy)


def _firing(dependencies: SchedulerDependencies, schedule: Schedule, due_at: datetime, cause: Cause) -> NewFiring:
    """Plan the job of the schedule on the newest data; return a firing with that job, or with the refusal."""
    request = schedule.request if schedule.gate is None else {**schedule.request, "gate": schedule.gate}
    try:
        job = dependencies.plan_job(schedule.tenant_id, request, f"schedule:{schedule.name}")
    except DatabaseUnreachable:
        raise  # no fault of the schedule
    except (ServiceError, ForecastError) as error:
        reason = {"error": type(error).__name__, "message": str(error)[:MAX_MESSAGE]}
        return NewFiring(due_at=due_at, cause=cause.name, outcome="refused", detail={**cause.detail, **reason})
    return NewFiring(due_at=due_at, cause=cause.name, outcome="fired", detail=cause.detail, job=job)
