"""Firings: each due time of a schedule is made a job of once, however many look at it.

Whoever fires has read the schedule before: the firing, its job and the next due time are written in one transaction,
and only if nobody has changed the schedule since (``rev``).
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
from app.store.tables import Firing, Heartbeat, Job, Schedule
from app.store.triggers import Watermark
from models.errors import excerpt
from models.types import JsonObject

Outcome = Literal["fired", "refused", "skipped", "missed", "alarm"]
SCHEDULER = "scheduler"  # the pulse of those who tick
UNFINISHED = ("queued", "running")
TOLD = ("refused", "alarm")  # what the webhooks hear of: a person has to do something


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFiring:
    """A due time that has come, and the ``job`` to be made of it; with ``refused`` why there is none."""

    due_at: datetime
    cause: str
    outcome: Outcome
    detail: JsonObject
    job: NewJob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleUpdate:
    """What becomes of a schedule that was looked at: what it fires, and when it is to be looked at again."""

    firings: Sequence[NewFiring] = ()
    due_at: datetime | None
    watermark: Watermark


def waiting(session: Session, moment: datetime, size: int) -> list[Schedule]:
    """Up to ``size`` schedules of all tenants that are to be looked at, those that wait longest first."""
    query = select(Schedule).where(Schedule.next_at <= moment)
    return list(session.scalars(query.order_by(Schedule.next_at, Schedule.id).limit(size)))


def take_turn(session: Session, seen: Schedule, turn: ScheduleUpdate, moment: datetime) -> list[Firing] | None:
    """Write down what has become of the schedule ``seen``: what was fired; None where somebody was faster.

    A job that is to be made while the one before is unfinished is left out, where the schedule says so.
    """
    next_at = schedules.look_at(schedules.plan_of(seen), seen.id, turn.due_at, moment)
    same = (Schedule.id == seen.id) & (Schedule.rev == seen.rev)
    values = {"rev": seen.rev + 1, "due_at": turn.due_at, "next_at": next_at, "watermark": turn.watermark.to_json()}
    changed = update(Schedule).where(same).values(**values).returning(Schedule.id)
    if session.scalars(changed.execution_options(synchronize_session=False)).one_or_none() is None:
        return None
    return [row for firing in turn.firings if (row := _fire(session, seen, firing, moment)) is not None]


def postpone(session: Session, seen: Schedule, until: datetime) -> None:
    """Leave a schedule alone until then, unless somebody has changed it since."""
    same = (Schedule.id == seen.id) & (Schedule.rev == seen.rev)
    session.execute(update(Schedule).where(same).values(next_at=until))


def run_now(session: Session, tenant_id: int, name: str, job: NewJob, at: datetime | None = None) -> Firing:
    """Fire at once, paused or not. Raise NotFound, Conflict where the job before is unfinished."""
    row = schedules.lock(session, tenant_id, name)
    firing = NewFiring(due_at=at or now(session), cause="manual", outcome="fired", detail={}, job=job)
    made = _fire(session, row, firing, firing.due_at)
    if made is None:
        raise Conflict(f"schedule {excerpt(name)} fires at this very moment; ask again")
    if made.outcome == "skipped":
        raise Conflict(
            f"job {made.detail['unfinished']} of schedule {excerpt(name)} is unfinished; wait for it, cancel it, or "
            "set overlap to 'queue'"
        )
    return made


def unfinished_job(session: Session, schedule_id: int) -> str | None:
    """The id of the newest job that was made of the schedule, where it has not ended."""
    made = select(Firing.job_id).where(Firing.schedule_id == schedule_id, Firing.job_id.is_not(None))
    newest = made.order_by(Firing.id.desc()).limit(1).scalar_subquery()
    return session.scalars(select(Job.id).where(Job.id == newest, Job.state.in_(UNFINISHED))).one_or_none()


def counts(session: Session, last_s: float) -> dict[str, int]:
    """How many firings of all tenants there were within the last ``last_s`` seconds, by outcome."""
    recent = Firing.fired_at > now(session) - timedelta(seconds=last_s)
    totals: dict[str, int] = dict.fromkeys(get_args(Outcome), 0)
    for outcome, count in session.execute(select(Firing.outcome, func.count()).where(recent).group_by(Firing.outcome)):
        totals[outcome] = count
    return totals


def lag_s(session: Session) -> float:
    """For how long the schedule that waits longest has been due; 0 where none is."""
    longest = session.scalars(select(func.min(Schedule.next_at))).one()
    return 0.0 if longest is None else max(0.0, (now(session) - longest).total_seconds())


def last_beat(session: Session, name: str) -> datetime | None:
    """When a process of this kind last did its work; None where none ever has."""
    return session.scalars(select(Heartbeat.at).where(Heartbeat.name == name)).one_or_none()


def beat(session: Session, name: str, at: datetime) -> None:
    """Say that a process of this kind has done its work at ``at``."""
    if insert_if_absent(session, Heartbeat, name=name, at=at) is None:
        session.execute(update(Heartbeat).where(Heartbeat.name == name, Heartbeat.at < at).values(at=at))


def forget(session: Session, older_than_s: float) -> int:
    """Delete the firings that are older than this; how many there were."""
    old = Firing.fired_at < now(session) - timedelta(seconds=older_than_s)
    return len(session.execute(delete(Firing).where(old).returning(Firing.id)).all())


def list_page(session: Session, tenant_id: int, name: str, after_id: int | None, size: int) -> list[Firing]:
    """Up to ``size`` firings, newest first, after the id ``after_id`` (None: from the newest). Raise NotFound."""
    query = select(Firing).where(Firing.schedule_id == schedules.get(session, tenant_id, name).id)
    if after_id is not None:
        query = query.where(Firing.id < after_id)
    return list(session.scalars(query.order_by(Firing.id.desc()).limit(size)))


def _fire(session: Session, schedule: Schedule, firing: NewFiring, moment: datetime) -> Firing | None:
    """The firing as a row; None where its due time has one already."""
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
    if firing.outcome in TOLD:
        said = {"schedule": schedule.name, "outcome": firing.outcome, "cause": firing.cause, **firing.detail}
        webhooks.announce(session, schedule.tenant_id, "schedule.alarm", said)
    if firing.job is not None:
        dedup = f"schedule:{schedule.id}@{firing.due_at.isoformat()}"
        row.job_id = jobs.enqueue(session, replace(firing.job, schedule_id=schedule.id, dedup=dedup)).id
        session.flush()
    return row
