"""Schedules: what enqueues jobs by itself, when, and what to do where that went wrong.

The clock is the database's, unless the caller says ``at``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import cron
from app.store.cron import Times
from app.store.db import insert_if_absent, now
from app.store.tables import Firing, Schedule
from app.store.triggers import Triggers
from models.errors import excerpt
from models.types import JsonObject

LOOK_S = 30.0  # between two looks at the triggers of a schedule
MAX_SCHEDULES = 1_000  # schedules of one tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What somebody wants to happen when: all of a schedule that can be edited."""

    cron: str | None
    zone: str
    misfire: str
    overlap: str
    grace_s: float
    jitter_s: float
    triggers: Triggers
    request: JsonObject
    gate: JsonObject | None

    @property
    def times(self) -> Times | None:
        """When it is due; None without a cron expression."""
        return None if self.cron is None else Times(self.cron, self.zone, self.jitter_s)

    def values(self) -> JsonObject:
        """Return the values of the columns of the schedule table."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"triggers": self.triggers.to_json()}


def plan_of(row: Schedule) -> Plan:
    """What can be edited of a schedule."""
    columns = {field.name: getattr(row, field.name) for field in fields(Plan)}
    return Plan(**columns | {"triggers": Triggers.from_json(row.triggers)})


def create(
    session: Session, tenant_id: int, name: str, plan: Plan, created_by: str, at: datetime | None = None
) -> Schedule:
    """Create a schedule, due from now on. Raise Conflict where the name or ``MAX_SCHEDULES`` schedules exist."""
    count = session.scalars(select(func.count()).where(Schedule.tenant_id == tenant_id)).one()
    if count >= MAX_SCHEDULES:
        raise Conflict(f"there are {MAX_SCHEDULES} schedules, which is the limit; delete one of them")
    moment = at or now(session)
    inserted = insert_if_absent(
        session,
        Schedule,
        tenant_id=tenant_id,
        name=name,
        paused=False,
        watermark={},
        rev=1,
        created_by=created_by,
        created_at=moment,
        changed_at=moment,
        **plan.values(),
    )
    if inserted is None:
        raise Conflict(f"schedule {excerpt(name)} exists already; edit it, delete it, or choose another name")
    row = session.get_one(Schedule, inserted)
    _plan_ahead(session, row, moment)
    return row


def edit(session: Session, tenant_id: int, name: str, seen: Plan, plan: Plan, at: datetime | None = None) -> Schedule:
    """Replace the plan ``seen`` by another; due times that nobody has looked at yet stay due where they are the same.

    Raise NotFound, Conflict where somebody else has edited it since.
    """
    row = lock(session, tenant_id, name)
    if plan_of(row) != seen:
        raise Conflict(f"schedule {excerpt(name)} was edited meanwhile; read it again, then edit it")
    for field, value in plan.values().items():
        setattr(row, field, value)
    moment = _changed(session, row, at)
    if seen.times != plan.times:
        _plan_ahead(session, row, moment)
    elif not row.paused:
        row.next_at = look_at(plan, row.id, row.due_at, moment)
    session.flush()
    return row


def pause(session: Session, tenant_id: int, name: str, at: datetime | None = None) -> Schedule:
    """Let nothing more come of it; what comes due meanwhile is not made good later. Raise NotFound."""
    row = lock(session, tenant_id, name)
    if not row.paused:
        row.paused, row.due_at, row.next_at = True, None, None
        _changed(session, row, at)
    return row


def resume(session: Session, tenant_id: int, name: str, at: datetime | None = None) -> Schedule:
    """Go on from now. Raise NotFound."""
    row = lock(session, tenant_id, name)
    if row.paused:
        row.paused = False
        _plan_ahead(session, row, _changed(session, row, at))
    return row


def remove(session: Session, tenant_id: int, name: str) -> None:
    """Delete a schedule and its firings; the jobs that it has made stay. Raise NotFound."""
    session.delete(lock(session, tenant_id, name))
    session.flush()


def get(session: Session, tenant_id: int, name: str) -> Schedule:
    """The schedule ``name``. Raise NotFound."""
    mine = (Schedule.tenant_id == tenant_id) & (Schedule.name == name)
    found = session.scalars(select(Schedule).where(mine)).one_or_none()
    if found is None:
        raise NotFound(f"no schedule {excerpt(name)}; GET /v1/schedules lists them")
    return found


def names_of(session: Session, tenant_id: int, ids: Iterable[int | None]) -> dict[int, str]:
    """Return the names of the schedules that made a page of rows, by id, in one query; deleted ones are left out."""
    wanted = {one for one in ids if one is not None}
    query = select(Schedule.id, Schedule.name).where(Schedule.tenant_id == tenant_id, Schedule.id.in_(wanted))
    return dict(session.execute(query).all()) if wanted else {}


def list_page(session: Session, tenant_id: int, after_id: int, size: int) -> list[Schedule]:
    """Up to ``size`` schedules, oldest first, that come after the id ``after_id`` (0: from the first)."""
    query = select(Schedule).where(Schedule.tenant_id == tenant_id, Schedule.id > after_id)
    return list(session.scalars(query.order_by(Schedule.id).limit(size)))


def look_at(plan: Plan, schedule_id: int, due_at: datetime | None, moment: datetime) -> datetime | None:
    """When to look at a schedule again: at its next due time, and for its triggers; None: not before it is edited."""
    times = [] if plan.times is None or due_at is None else [due_at + cron.jitter(plan.times, schedule_id, due_at)]
    times += [moment + timedelta(seconds=LOOK_S)] if plan.triggers.any else []
    return min(times, default=None)


def _plan_ahead(session: Session, row: Schedule, moment: datetime) -> None:
    """Make it due from ``moment`` on, but never again at a time that has been dealt with."""
    plan = plan_of(row)
    if not row.paused:
        dealt = select(func.max(Firing.due_at)).where(Firing.schedule_id == row.id, Firing.cause == "cron")
        start = max(moment, session.scalars(dealt).one() or moment)
        row.due_at = None if plan.times is None else cron.next_after(plan.times, start)
        row.next_at = look_at(plan, row.id, row.due_at, moment)
    session.flush()


def lock(session: Session, tenant_id: int, name: str) -> Schedule:
    """The schedule as it is now, nobody else's until the transaction ends. Raise NotFound."""
    row = get(session, tenant_id, name)
    # What was read before the lock was got may be old.
    locked = select(Schedule).where(Schedule.id == row.id).with_for_update().execution_options(populate_existing=True)
    found = session.scalars(locked).one_or_none()
    if found is None:
        raise NotFound(f"no schedule {excerpt(name)}; GET /v1/schedules lists them")
    return found


def _changed(session: Session, row: Schedule, at: datetime | None) -> datetime:
    moment = at or now(session)
    row.rev, row.changed_at = row.rev + 1, moment
    session.flush()
    return moment
