"""Firings: each due time of a schedule makes one job, however many schedulers look at it.

A scheduler reads the schedule first; the firing, its job and the next due time are written in one transaction, and only
if no other process has changed the schedule since (``rev``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.problems import Conflict
from app.store import jobs, schedules, webhooks
from app.store.db import insert_if_absent, now
from app.store.jobs import NewJob
from app.store.suspension import suspended_tenants
from app.store.tables import Firing, Heartbeat, Job, Schedule
from app.store.triggers import Watermark
from models.errors import excerpt
from models.json_types import JsonObject

FiringOutcome = Literal["fired", "refused", "skipped", "missed", "alarm"]
SCHEDULER = "scheduler"  # name of the heartbeat of the schedulers
UNFINISHED = ("queued", "running")
ANNOUNCED = ("refused", "alarm")  # outcomes that webhooks get: a person has to act


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFiring:
    """A due time that has come and its ``job``; ``detail`` says why there is none."""

    due_at: datetime
    cause: str
    outcome: FiringOutcome
    detail: JsonObject
    job: NewJob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleUpdate:
    """Result of a look at a schedule: its firings, the next due time, and the new watermark of its triggers."""

    firings: Sequence[NewFiring] = ()
    due_at: datetime | None
    watermark: Watermark


def list_due(session: Session, moment: datetime, size: int) -> list[Schedule]:
    """Return up to ``size`` schedules that are due for a look: tenants in turn, the longest overdue of each first.

    Those of suspended tenants wait.
    """
    overdue = (Schedule.next_at, Schedule.id)
    turn = func.row_number().over(partition_by=Schedule.tenant_id, order_by=overdue).label("turn")
    is_due = (Schedule.next_at <= moment) & Schedule.tenant_id.not_in(suspended_tenants())
    turns = select(Schedule.id, turn).where(is_due).subquery()
    query = select(Schedule).join(turns, turns.c.id == Schedule.id)
    return list(session.scalars(query.order_by(turns.c.turn, *overdue).limit(size)))


def apply_update(session: Session, schedule: Schedule, change: ScheduleUpdate, moment: datetime) -> list[Firing] | None:
    """Store the result of a look at ``schedule`` and return its firings; None if another process was first.

    If the schedule forbids overlap, a firing makes no job while the one before is unfinished.
    """
    next_at = schedules.next_look(schedules.plan_of(schedule), schedule.id, change.due_at, moment)
    same = (Schedule.id == schedule.id) & (Schedule.rev == schedule.rev)
    values = {
        "rev": schedule.rev + 1,
        "due_at": change.due_at,
        "next_at": next_at,
        "watermark": change.watermark.to_json(),
    }
    changed = update(Schedule).where(same).values(**values).returning(Schedule.id)
    if session.scalars(changed.execution_options(synchronize_session=False)).one_or_none() is None:
        return None
    return [row for firing in change.firings if (row := _fire(session, schedule, firing, moment)) is not None]


def postpone(session: Session, schedule: Schedule, until: datetime) -> None:
    """Put off the next look at a schedule, unless another process has changed it since."""
    same = (Schedule.id == schedule.id) & (Schedule.rev == schedule.rev)
    session.execute(update(Schedule).where(same).values(next_at=until))


def run_now(session: Session, tenant_id: int, name: str, job: NewJob, at: datetime | None = None) -> Firing:
    """Fire at once, even if paused. Raise NotFound, Conflict if overlap is forbidden and the last job is unfinished."""
    row = schedules.lock(session, tenant_id, name)
    firing = NewFiring(due_at=at or now(session), cause="manual", outcome="fired", detail={}, job=job)
    fired = _fire(session, row, firing, firing.due_at)
    if fired is None:
        raise Conflict(f"schedule {excerpt(name)} is firing at this moment; send the request again")
    if fired.outcome == "skipped":
        raise Conflict(
            f"job {fired.detail['unfinished']} of schedule {excerpt(name)} is unfinished; wait for it, cancel it, or "
            "set overlap to 'queue'"
        )
    return fired


def unfinished_job(session: Session, schedule_id: int) -> str | None:
    """Return the id of the schedule's newest job if it has not ended, else None."""
    job_ids = select(Firing.job_id).where(Firing.schedule_id == schedule_id, Firing.job_id.is_not(None))
    newest = job_ids.order_by(Firing.id.desc()).limit(1).scalar_subquery()
    return session.scalars(select(Job.id).where(Job.id == newest, Job.state.in_(UNFINISHED))).one_or_none()


def counts(session: Session, last_s: float) -> dict[str, int]:
    """Return the number of firings of all tenants in the last ``last_s`` seconds, by outcome."""
    recent = Firing.fired_at > now(session) - timedelta(seconds=last_s)
    totals: dict[str, int] = dict.fromkeys(get_args(FiringOutcome), 0)
    for outcome, count in session.execute(select(Firing.outcome, func.count()).where(recent).group_by(Firing.outcome)):
        totals[outcome] = count
    return totals


def lag_s(session: Session) -> float:
    """Return how many seconds the longest overdue schedule has been due; 0 if none is."""
    longest = session.scalars(select(func.min(Schedule.next_at))).one()
    return 0.0 if longest is None else max(0.0, (now(session) - longest).total_seconds())


def last_heartbeat(session: Session, name: str) -> datetime | None:
    """Return the time of the last work of a process of this kind; None if there was none."""
    return session.scalars(select(Heartbeat.at).where(Heartbeat.name == name)).one_or_none()


def record_heartbeat(session: Session, name: str, at: datetime) -> None:
    """Record that a process of this kind has done its work at ``at``."""
    if insert_if_absent(session, Heartbeat, name=name, at=at) is None:
        session.execute(update(Heartbeat).where(Heartbeat.name == name, Heartbeat.at < at).values(at=at))


def forget(session: Session, older_than_s: float) -> int:
    """Delete the firings that are older than this, and return their number."""
    old = Firing.fired_at < now(session) - timedelta(seconds=older_than_s)
    return len(session.execute(delete(Firing).where(old).returning(Firing.id)).all())


def list_page(session: Session, tenant_id: int, name: str, after_id: int | None, size: int) -> list[Firing]:
    """Return up to ``size`` firings with an id below ``after_id`` (None: all), newest first. Raise NotFound."""
    query = select(Firing).where(Firing.schedule_id == schedules.get(session, tenant_id, name).id)
    if after_id is not None:
        query = query.where(Firing.id < after_id)
    return list(session.scalars(query.order_by(Firing.id.desc()).limit(size)))


def jobs_of(session: Session, tenant_id: int, rows: Sequence[Firing]) -> dict[str, Job]:
    """Return the jobs that a page of firings has made, by id; deleted ones are left out."""
    wanted = [row.job_id for row in rows if row.job_id is not None]
    query = select(Job).where(Job.tenant_id == tenant_id, Job.id.in_(wanted))
    return {job.id: job for job in session.scalars(query)} if wanted else {}


def _fire(session: Session, schedule: Schedule, firing: NewFiring, moment: datetime) -> Firing | None:
    """Add a firing and its job; return None if its due time has a firing already."""
    if firing.job is not None and schedule.overlap == "skip":
        unfinished = unfinished_job(session, schedule.id)
        if unfinished is not None:
            firing = replace(firing, outcome="skipped", detail={**firing.detail, "unfinished": unfinished}, job=None)
    inserted = insert_if_absent(
        session,
        Firing,
        schedule_id=schedule.id,
        due_at=firing.due_at,
        fired_at=moment,
        cause=firing.cause,
        outcome=firing.outcome,
        detail=firing.detail,
    )
    if inserted is None:
        return None
    row = session.get_one(Firing, inserted)
    if firing.outcome in ANNOUNCED:
        message = {"schedule": schedule.name, "outcome": firing.outcome, "cause": firing.cause, **firing.detail}
        webhooks.announce(session, schedule.tenant_id, "schedule.alarm", message)
    if firing.job is not None:
        dedup = f"schedule:{schedule.id}@{firing.due_at.isoformat()}"
        row.job_id = jobs.enqueue(session, replace(firing.job, schedule_id=schedule.id, dedup=dedup)).id
        session.flush()
    return row
