"""The scheduler: makes a job of each due time and of each trigger that says so. Any number of them may run.

What a schedule asks for is settled anew each time, on the newest data, before the transaction that fires: that takes a
while, and two who do it at once settle twice and fire once.
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
from app.store import cron, firings, schedules, webhooks
from app.store.cron import Passed
from app.store.data_freshness import freshness, model_of
from app.store.db import Database, DatabaseUnreachable, now
from app.store.firings import NewFiring, ScheduleUpdate
from app.store.jobs import NewJob
from app.store.quality import Quality
from app.store.tables import Schedule
from app.store.triggers import Triggers, Watermark
from app.work import triggers
from app.work.loop import poll
from app.work.triggers import TriggerInputs
from models.errors import ForecastError
from models.types import JsonObject

logger = logging.getLogger(__name__)

AT_ONCE = 100  # schedules that are seen to in one tick
BROKEN_S = 300.0  # that a schedule is left alone after an error that is nobody's fault but ours
BEAT_S = 5.0  # between two signs of life
MAX_SAID = 500  # characters of a refusal that are kept
TIDY_S = 3600.0  # between two times that what is old is forgotten
FIRINGS_KEPT_S, DELIVERIES_KEPT_S = 30 * 86_400.0, 7 * 86_400.0

Settle = Callable[[int, JsonObject, str], NewJob]  # tenant, the body of POST /v1/jobs, who asks for it
QualityOf = Callable[[Session, int, str], Quality]  # tenant and model


@dataclass(frozen=True, slots=True)
class SchedulerDependencies:
    """What a tick needs of others: how a request becomes a job, and how a model's forecasts did."""

    settle: Settle
    quality_of: QualityOf


def tick(database: Database, parts: SchedulerDependencies, at: datetime | None = None) -> Counter[str]:
    """See once to every schedule whose time has come; what came of it, counted by outcome. ``at``: the time it is.

    A schedule that cannot work is refused, and written down; nothing that one does holds up another.

    Raises:
        DatabaseUnreachable: the database does not answer, or takes no writes.
    """
    with database.read() as session:
        moment = at or now(session)
        waiting = firings.waiting(session, moment, AT_ONCE)
        beat_at = firings.last_beat(session, firings.SCHEDULER)
    outcomes: Counter[str] = Counter()
    for seen in waiting:
        try:
            outcomes.update(_see_to(database, parts, seen, moment))
        except DatabaseUnreachable:
            raise
        except Exception:
            logger.exception("a schedule cannot be seen to", extra={"schedule": seen.name, "id": seen.id})
            outcomes["broken"] += 1
            with database.write() as session:
                firings.postpone(session, seen, moment + timedelta(seconds=BROKEN_S))
    if beat_at is None or (moment - beat_at).total_seconds() >= BEAT_S:  # idle, it writes nothing
        with database.write() as session:
            firings.beat(session, firings.SCHEDULER, moment)
    return outcomes


def run(database: Database, parts: SchedulerDependencies, stop: threading.Event, poll_s: float) -> None:
    """Tick until ``stop`` is set, and now and then forget what is old."""
    logger.info("scheduler started")
    tidy_at_s = time.monotonic()

    def step() -> None:
        nonlocal tidy_at_s
        if time.monotonic() >= tidy_at_s:
            tidy(database)
            tidy_at_s = time.monotonic() + TIDY_S
        for outcome, count in tick(database, parts).items():
            logger.info("schedules fired", extra={"outcome": outcome, "count": count})

    poll(step, stop, poll_s)


def tidy(database: Database) -> None:
    """Forget firings and deliveries that ended long ago."""
    with database.write() as session:
        firings.forget(session, FIRINGS_KEPT_S)
        webhooks.forget(session, DELIVERIES_KEPT_S)


def outstanding(seen: Schedule, moment: datetime) -> tuple[list[datetime], Passed]:
    """Which of the due times that have passed are to be made jobs of, by what the schedule says of misfires."""
    times = schedules.plan_of(seen).times
    assert times is not None  # without a cron expression nothing is due
    assert seen.due_at is not None
    gone = cron.passed(times, seen.id, seen.due_at, moment)
    if seen.misfire == "all":
        return gone.newest, gone
    if seen.misfire == "once":
        return gone.newest[-1:], gone
    latest = moment - timedelta(seconds=seen.grace_s)
    return [each for each in gone.newest if each + cron.jitter(times, seen.id, each) >= latest], gone


def _see_to(database: Database, parts: SchedulerDependencies, seen: Schedule, moment: datetime) -> list[str]:
    """Take the schedule's turn; the outcomes, none where somebody else has taken it."""
    times = schedules.plan_of(seen).times
    is_due = times and seen.due_at and seen.due_at + cron.jitter(times, seen.id, seen.due_at) <= moment
    turn = _by_cron(parts, seen, moment) if is_due else _by_triggers(database, parts, seen, moment)
    with database.write() as session:
        made = firings.take_turn(session, seen, turn, moment)
    return [row.outcome for row in made or ()]


def _by_cron(parts: SchedulerDependencies, seen: Schedule, moment: datetime) -> ScheduleUpdate:
    wanted, gone = outstanding(seen, moment)
    fired = [_firing(parts, seen, wanted[-1], "cron", {})] if wanted else []
    if fired and fired[0].job is not None:  # a refusal is said once, however many due times it is for
        fired = [replace(fired[0], due_at=each) for each in wanted]
    if missed := gone.total - len(fired):
        assert seen.due_at is not None
        detail = {"missed": missed, "until": gone.newest[-1].isoformat()}
        fired.insert(0, NewFiring(due_at=seen.due_at, cause="cron", outcome="missed", detail=detail))
    return ScheduleUpdate(firings=fired, due_at=gone.following, watermark=Watermark.from_json(seen.watermark))


def _by_triggers(database: Database, parts: SchedulerDependencies, seen: Schedule, moment: datetime) -> ScheduleUpdate:
    sight, watermark = _look(database, parts, seen, moment), Watermark.from_json(seen.watermark)
    if sight is None:
        return ScheduleUpdate(due_at=seen.due_at, watermark=watermark)
    fired, conditions = [], Triggers.from_json(seen.triggers)
    if (late := triggers.alarm(conditions, watermark, sight)) is not None:
        since = sight.data.data_at + timedelta(seconds=late.detail["data_alarm_s"])
        fired.append(NewFiring(due_at=since, cause=late.name, outcome="alarm", detail=late.detail))
        watermark = watermark.alarmed(sight.data.revision_id)
    if (cause := triggers.cause(conditions, watermark, sight)) is not None:
        fired.append(_firing(parts, seen, moment, cause.name, cause.detail))
        watermark = watermark.fired(sight.data.dataset_id, sight.data.rows, sight.moment)
    return ScheduleUpdate(firings=fired, due_at=seen.due_at, watermark=watermark)


def _look(database: Database, parts: SchedulerDependencies, seen: Schedule, moment: datetime) -> TriggerInputs | None:
    """What the triggers look at; None where there is nothing to see, as the data set or the model is gone."""
    with database.read() as session:
        data = freshness(session, seen.tenant_id, seen.request)
        model = model_of(seen.request)
        quality = None
        if model is not None and not {"drift", "coverage_below"}.isdisjoint(seen.triggers):
            quality = parts.quality_of(session, seen.tenant_id, model)
        busy = seen.overlap == "skip" and firings.unfinished_job(session, seen.id) is not None
    return None if data is None else TriggerInputs(moment=moment, data=data, quality=quality, busy=busy)


def _firing(
    parts: SchedulerDependencies, seen: Schedule, due_at: datetime, cause: str, detail: JsonObject
) -> NewFiring:
    """The job of the schedule, settled on the data as they are now, or why it cannot be."""
    request = seen.request if seen.gate is None else {**seen.request, "gate": seen.gate}
    try:
        job = parts.settle(seen.tenant_id, request, f"schedule:{seen.name}")
    except DatabaseUnreachable:
        raise  # no fault of the schedule
    except (ServiceError, ForecastError) as error:
        reason = {"error": type(error).__name__, "message": str(error)[:MAX_SAID]}
        return NewFiring(due_at=due_at, cause=cause, outcome="refused", detail={**detail, **reason})
    return NewFiring(due_at=due_at, cause=cause, outcome="fired", detail=detail, job=job)
