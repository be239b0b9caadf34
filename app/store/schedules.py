"""Schedules: stored requests that become jobs at due times or on triggers.

The clock is the database's, unless the caller gives ``at``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import audit_log, cron
from app.store.cron import CronTimes
from app.store.db import insert_if_absent, now
from app.store.stored_quotas import check_quota
from app.store.tables import Firing, Schedule
from app.store.triggers import Triggers
from models.errors import excerpt
from models.json_types import JsonObject

TRIGGER_CHECK_S = 30.0  # between two checks of the triggers of a schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The editable part of a schedule."""

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
    def times(self) -> CronTimes | None:
        """Return the due times; None without a cron expression."""
        return None if self.cron is None else CronTimes(self.cron, self.zone, self.jitter_s)

    def values(self) -> JsonObject:
        """Return the values of the columns of the schedule table."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"triggers": self.triggers.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Replacement of a plan that was read by another."""

    before: Plan
    after: Plan


def plan_of(row: Schedule) -> Plan:
    """Return the editable part of a schedule."""
    columns = {field.name: getattr(row, field.name) for field in fields(Plan)}
    return Plan(**columns | {"triggers": Triggers.from_json(row.triggers)})


def create(
    session: Session, tenant_id: int, name: str, plan: Plan, created_by: str, at: datetime | None = None
) -> Schedule:
    """Create a schedule, due from now on. Raise Conflict if the name exists, QuotaExceeded."""
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
    check_quota(session, tenant_id, "max_schedules")
    row = session.get_one(Schedule, inserted)
    _plan_ahead(session, row, moment)
    audit_log.record(session, tenant_id, created_by, "schedule.created", name)
    return row


def edit(session: Session, tenant_id: int, name: str, change: Edit, actor: str, at: datetime | None = None) -> Schedule:
    """Replace the plan of a schedule; if both plans have the same due times, a pending due time stays pending.

    Raise NotFound, Conflict if another request has edited it since.
    """
    row, plan = lock(session, tenant_id, name), change.after
    if plan_of(row) != change.before:
        raise Conflict(f"schedule {excerpt(name)} was edited meanwhile; read it again, then edit it")
    new, old = plan.values(), change.before.values()
    for field, value in new.items():
        setattr(row, field, value)
    moment = _changed(session, row, at)
    if change.before.times != plan.times:
        _plan_ahead(session, row, moment)
    elif not row.paused:
        row.next_at = next_look(plan, row.id, row.due_at, moment)
    session.flush()
    detail: JsonObject = {"fields": sorted(field for field in new if new[field] != old[field])}
    audit_log.record(session, tenant_id, actor, "schedule.edited", name, detail)
    return row


def pause(session: Session, tenant_id: int, name: str, actor: str, at: datetime | None = None) -> Schedule:
    """Pause a schedule; due times during the pause are skipped. Raise NotFound."""
    row = lock(session, tenant_id, name)
    if not row.paused:
        row.paused, row.due_at, row.next_at = True, None, None
        _changed(session, row, at)
        audit_log.record(session, tenant_id, actor, "schedule.paused", name)
    return row


def resume(session: Session, tenant_id: int, name: str, actor: str, at: datetime | None = None) -> Schedule:
    """Resume a schedule, due from now on. Raise NotFound."""
    row = lock(session, tenant_id, name)
    if row.paused:
        row.paused = False
        _plan_ahead(session, row, _changed(session, row, at))
        audit_log.record(session, tenant_id, actor, "schedule.resumed", name)
    return row


def remove(session: Session, tenant_id: int, name: str, actor: str) -> None:
    """Delete a schedule and its firings; its jobs stay. Raise NotFound."""
    session.delete(lock(session, tenant_id, name))
    session.flush()
    audit_log.record(session, tenant_id, actor, "schedule.deleted", name)


def get(session: Session, tenant_id: int, name: str) -> Schedule:
    """Return the schedule ``name``. Raise NotFound."""
    matches = (Schedule.tenant_id == tenant_id) & (Schedule.name == name)
    found = session.scalars(select(Schedule).where(matches)).one_or_none()
    if found is None:
        raise NotFound(f"no schedule {excerpt(name)}; GET /v1/schedules lists them")
    return found


def names_of(session: Session, tenant_id: int, ids: Iterable[int | None]) -> dict[int, str]:
    """Return the names of the schedules that made a page of rows, by id, in one query; deleted ones are left out."""
    wanted = {one for one in ids if one is not None}
    query = select(Schedule.id, Schedule.name).where(Schedule.tenant_id == tenant_id, Schedule.id.in_(wanted))
    return dict(session.execute(query).all()) if wanted else {}


def list_page(session: Session, tenant_id: int, after_id: int, size: int) -> list[Schedule]:
    """Return up to ``size`` schedules with an id above ``after_id``, oldest first."""
    query = select(Schedule).where(Schedule.tenant_id == tenant_id, Schedule.id > after_id)
    return list(session.scalars(query.order_by(Schedule.id).limit(size)))


def next_look(plan: Plan, schedule_id: int, due_at: datetime | None, moment: datetime) -> datetime | None:
    """Return the time of the next look, for a due time or for triggers; None: not before the schedule is edited."""
    times = [] if plan.times is None or due_at is None else [due_at + cron.jitter(plan.times, schedule_id, due_at)]
    times += [moment + timedelta(seconds=TRIGGER_CHECK_S)] if plan.triggers.any else []
    return min(times, default=None)


def _plan_ahead(session: Session, row: Schedule, moment: datetime) -> None:
    """Compute the next due time from ``moment``, but later than every due time that has fired."""
    plan = plan_of(row)
    if not row.paused:
        fired = select(func.max(Firing.due_at)).where(Firing.schedule_id == row.id, Firing.cause == "cron")
        start = max(moment, session.scalars(fired).one() or moment)
        row.due_at = None if plan.times is None else cron.next_after(plan.times, start)
        row.next_at = next_look(plan, row.id, row.due_at, moment)
    session.flush()


def lock(session: Session, tenant_id: int, name: str) -> Schedule:
    """Return the present row of a schedule, locked until the transaction ends. Raise NotFound."""
    row = get(session, tenant_id, name)
    # The row that was read before the lock may be old.
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
