"""Claims: workers take jobs out of the queue, keep them by heartbeats, and requeue jobs of workers that are gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, cast, exists, func, or_, select, update
from sqlalchemy.orm import Session

from app.store.db import now
from app.store.jobs import attempts, events
from app.store.jobs.completion import handle_lost, handle_overdue
from app.store.jobs.rows import RESOURCES, Fenced, fresh, hold
from app.store.stored_quotas import settings_of
from app.store.suspension import suspended_tenants
from app.store.tables import Job, Quota, Resource, State, Tenant
from models.json_types import JsonObject

NO_LIMIT = 2**31 - 1
MAX_REAPED = 100  # jobs of one transaction
MAX_TENANTS_TRIED = 20  # by one claim, if other workers are claiming all ready jobs of the first ones


class JobChoice(NamedTuple):
    """Jobs that a worker claims: those that need one of ``resources``, or of these only the job ``job_id``."""

    resources: Sequence[str] = RESOURCES
    job_id: str | None = None


ANY_JOB = JobChoice()


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A running job and its ``holder``: the process that runs it, as the executor describes it."""

    id: str
    token: int
    holder: JsonObject | None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """State of a job for the worker that runs it or ran it; ``is_late``: its deadline or longest time has passed."""

    token: int
    state: State
    cancel_requested: bool
    is_late: bool


@dataclass(frozen=True, slots=True)
class PendingWork:
    """Whether there are jobs to claim, if a slot is free, and jobs to reap, at a time of the database's clock."""

    to_claim: bool
    to_reap: bool
    moment: datetime


def pending_work(session: Session, choice: JobChoice = ANY_JOB) -> PendingWork:
    """Return the work for a worker that claims ``choice``; only reads, so that idle workers lock nothing."""
    moment = now(session)
    ready_jobs = (_ready(moment, name, choice.job_id) for name in choice.resources)
    conditions = [*ready_jobs, _lost(moment), _overdue(moment)]
    *ready, is_lost, is_overdue = session.execute(select(*(exists().where(each) for each in conditions))).one()
    return PendingWork(any(ready), is_lost or is_overdue, moment)


def statuses(session: Session, job_ids: Sequence[str], max_s: float) -> dict[str, JobStatus]:
    """Return the status of each of a worker's jobs, by id; one attempt may run ``max_s`` seconds."""
    if not job_ids:
        return {}
    moment = now(session)
    earliest = moment - timedelta(seconds=max_s)
    is_late = func.coalesce(Job.deadline_at < moment, False) | func.coalesce(Job.started_at < earliest, False)
    query = select(Job.id, Job.token, Job.state, Job.cancel_requested, is_late).where(Job.id.in_(job_ids))
    return {
        job_id: JobStatus(token, state, cancel_requested, late)
        for job_id, token, state, cancel_requested, late in session.execute(query)
    }


def claim(
    session: Session,
    worker: str,
    lease_s: float,
    *,
    choice: JobChoice = ANY_JOB,
    holder: JsonObject | None = None,
    runner_sha256: str | None = None,
) -> Job | None:
    """Claim the job of ``choice`` whose turn it is and whose resource has a free slot; return None if there is none.

    Tenants take turns: first the one with the fewest running jobs on the resource, then the one that has waited longest
    since its last start. Within a tenant the order is that of the queue. The caller holds the job for ``lease_s``
    seconds, and longer with ``heartbeat``, under the job's new ``token``. ``holder`` describes the process that will
    run it, ``runner_sha256`` is the hash of the secret of a remote attempt.
    """
    moment = now(session)
    free = _with_free_slots(session, choice.resources)
    found = (_next_ready(session, name, _ready(moment, name, choice.job_id)) for name in free)
    candidates = [candidate for candidate in found if candidate is not None]
    if not candidates:
        return None
    update_row = (
        update(Job)
        .where(Job.id == min(candidates)[1])
        .values(
            state="running",
            attempt=Job.attempt + 1,
            token=Job.token + 1,
            worker=worker,
            holder=holder,
            runner_sha256=runner_sha256,
            lease_until=moment + timedelta(seconds=lease_s),
            started_at=moment,
        )
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    job = session.scalars(update_row).one()
    attempts.begin(session, job, (moment - max(job.created_at, job.run_at or job.created_at)).total_seconds())
    events.record_states(session, job, at=moment)
    return job


def heartbeat(session: Session, job_id: str, token: int, lease_s: float) -> bool:
    """Extend the lease to ``lease_s`` seconds from now; return False if the token is no longer valid."""
    try:
        hold(session, job_id, token).lease_until = now(session) + timedelta(seconds=lease_s)
    except Fenced:
        return False
    session.flush()
    return True


def reap(session: Session) -> int:
    """Requeue or end the jobs that lost their worker, end queued jobs whose deadline has passed; return their number.

    Callers wait for one lease after an outage of the database, or after its clock was set forward, because every lease
    has run out then.
    """
    moment, count = now(session), 0
    for condition, handle in ((_lost(moment), handle_lost), (_overdue(moment), handle_overdue)):
        # Ordered by parent: two workers that reap children of several parents lock them in the same order.
        query = fresh(condition).order_by(Job.parent_id, Job.id).limit(MAX_REAPED)
        for job in session.scalars(query.with_for_update(skip_locked=True)).all():
            handle(session, job)
            count += 1
    return count


def list_held(session: Session) -> list[HeldJob]:
    """Return every job that a worker holds: a dispatcher that finds a holder dead need not wait for the lease."""
    return _held(session, Job.children_total == 0)


def list_lost(session: Session) -> list[HeldJob]:
    """Return the jobs whose lease has run out, which ``reap`` would requeue or end."""
    return _held(session, _lost(now(session)))


def find_running(session: Session, job_id: str, token: int) -> Job | None:
    """Return the job if it runs under this token, else None."""
    same = (Job.id == job_id) & (Job.token == token) & (Job.state == "running")
    return session.scalars(fresh(same)).one_or_none()


def take_back(session: Session, job_id: str, token: int) -> None:
    """Requeue or end a job whose process is dead, without waiting for its lease. Raise Fenced."""
    handle_lost(session, hold(session, job_id, token))


def adopt(session: Session, job: Job, worker: str, lease_s: float, holder: JsonObject | None) -> None:
    """Make ``worker`` the owner of an attempt that outlived its worker, under the same token. Raise Fenced."""
    row = hold(session, job.id, job.token)
    row.worker, row.holder, row.lease_until = worker, holder, now(session) + timedelta(seconds=lease_s)
    session.flush()


def _held(session: Session, condition: ColumnElement[bool]) -> list[HeldJob]:
    query = select(Job.id, Job.token, Job.holder).where(Job.state == "running", condition)
    return [HeldJob(*row) for row in session.execute(query)]


def _next_ready(session: Session, resource: str, is_ready: ColumnElement[bool]) -> tuple[datetime, str] | None:
    """Return place and id of the ready job whose turn it is, locked; None if there is none, or others hold them all."""
    for tenant_id in _tenants_in_turn(session, resource, is_ready):
        query = select(Job.place, Job.id).where(is_ready, Job.tenant_id == tenant_id).order_by(Job.place, Job.id)
        row = session.execute(query.limit(1).with_for_update(skip_locked=True, of=Job)).one_or_none()
        if row is not None:
            return row.place, row.id
    return None


def _tenants_in_turn(session: Session, resource: str, is_ready: ColumnElement[bool]) -> Sequence[int]:
    """Return the tenants with a ready job for ``resource``, in the order of their turns; one index entry for each."""
    own = (Job.tenant_id == Tenant.id) & (Job.resource == resource)
    # Scalar subqueries, for which the database reads one entry of an index; for EXISTS it may read the whole queue.
    ready = select(Job.id).where(is_ready, Job.tenant_id == Tenant.id).limit(1).scalar_subquery()
    running = select(func.count()).where(own, Job.state == "running", Job.children_total == 0).scalar_subquery()
    last = select(func.max(Job.started_at)).where(own).scalar_subquery()
    query = (
        select(Tenant.id)
        .where(ready.is_not(None), _may_run_more(session))
        .order_by(running, last.asc().nulls_first(), Tenant.id)
    )
    return session.scalars(query.limit(MAX_TENANTS_TRIED)).all()


def _may_run_more(session: Session) -> ColumnElement[bool]:
    """Return the condition that a tenant has fewer running jobs than it may have.

    Workers that claim at the same moment do not see each other's claim, and may exceed the quota by one job each.
    """
    own = (Quota.tenant_id == Tenant.id) & (Quota.name == "max_running_jobs")
    limit = select(cast(Quota.value, BigInteger)).where(own).scalar_subquery()
    of_all = settings_of(session).get("max_running_jobs", NO_LIMIT)
    active = (Job.tenant_id == Tenant.id) & (Job.state == "running") & (Job.children_total == 0)
    running = select(func.count()).where(active).scalar_subquery()
    return running < func.coalesce(limit, of_all)


def _ready(moment: datetime, resource: str, only: str | None = None) -> ColumnElement[bool]:
    is_due = or_(Job.run_at.is_(None), Job.run_at <= moment) & or_(Job.deadline_at.is_(None), Job.deadline_at > moment)
    is_ready = (Job.state == "queued") & (Job.resource == resource) & Job.place.is_not(None) & is_due
    is_ready &= Job.tenant_id.not_in(suspended_tenants())
    return is_ready if only is None else is_ready & (Job.id == only)


def _lost(moment: datetime) -> ColumnElement[bool]:
    return (Job.state == "running") & (Job.lease_until < moment)


def _overdue(moment: datetime) -> ColumnElement[bool]:
    return (Job.state == "queued") & (Job.deadline_at <= moment)


def _with_free_slots(session: Session, resources: Sequence[str]) -> list[str]:
    """Return the resources with a free slot; a resource without a limit always has one."""
    names = set(session.scalars(select(Resource.name).where(Resource.name.in_(resources))))
    if not names:
        return list(resources)
    # The lock makes counting and claiming one step; a worker that finds it locked tries again at its next poll.
    locked = select(Resource.name, Resource.slots).where(Resource.name.in_(names)).with_for_update(skip_locked=True)
    slots = dict(session.execute(locked).all())
    running = select(Job.resource, func.count()).where(Job.state == "running", Job.children_total == 0)
    used = dict(session.execute(running.group_by(Job.resource)).all())
    return [name for name in resources if name not in names or used.get(name, 0) < slots.get(name, 0)]
