"""The job table: claimed under a lease, written to under a fencing token, by any number of workers.

A token is good while the job is running and nobody has claimed it since; every write of a worker checks it, so a worker
that froze and woke up cannot undo the work of the one that took over. All times are the database's.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import uuid4

from sqlalchemy import ColumnElement, Select, func, select, tuple_, update
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import datasets
from app.store.db import now
from app.store.tables import Job, State
from models.errors import excerpt


class Fenced(Exception):
    """The token is not good any more: the job was taken over, given back or finished. Drop the work and stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be done; ``model`` is the name under which its result is registered."""

    tenant_id: int
    kind: str
    model: str
    revision_id: int
    request: dict[str, Any]
    max_attempts: int
    created_by: str


def enqueue(session: Session, new: NewJob) -> Job:
    """Put a job at the end of the queue. Raise NotFound where the revision is not this tenant's."""
    datasets.revision_by_id(session, new.tenant_id, new.revision_id)
    moment = now(session)
    job = Job(id=uuid4().hex, created_at=moment, place=moment, **asdict(new))
    session.add(job)
    session.flush()
    return job


def claim(session: Session, worker: str, lease_s: float) -> Job | None:
    """Take the oldest job that is queued or whose worker let its lease run out; None where there is none.

    The caller owns it for ``lease_s`` seconds, and longer with ``heartbeat``, under the job's new ``token``.
    """
    moment = now(session)
    free = _claimable(moment)
    oldest = select(Job.id).where(free).order_by(Job.created_at, Job.id).limit(1).with_for_update(skip_locked=True)
    taken = (
        update(Job)
        .where(Job.id == oldest.scalar_subquery(), free)
        .values(
            state="running",
            attempt=Job.attempt + 1,
            token=Job.token + 1,
            worker=worker,
            lease_until=moment + timedelta(seconds=lease_s),
            started_at=moment,
        )
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return session.scalars(taken).one_or_none()


def heartbeat(session: Session, job_id: str, token: int, lease_s: float) -> bool:
    """Extend the lease to ``lease_s`` seconds from now; False where the token is not good any more."""
    try:
        _held(session, job_id, token).lease_until = now(session) + timedelta(seconds=lease_s)
    except Fenced:
        return False
    session.flush()
    return True


def report(session: Session, job_id: str, token: int, progress: dict[str, Any]) -> bool:
    """Record how far the work is; True where the job is to be cancelled. Raise Fenced."""
    job = _held(session, job_id, token)
    job.progress = progress
    session.flush()
    return job.cancel_requested


def release(session: Session, job_id: str, token: int) -> None:
    """Give the job back unfinished, the attempt not counted, because the worker is going away. Raise Fenced."""
    job = _held(session, job_id, token)
    job.attempt -= 1
    _requeue(session, job)


def fail(session: Session, job_id: str, token: int, code: str, message: str, *, retry: bool) -> None:
    """End the attempt with an error; with ``retry`` the job is queued again if it has attempts left. Raise Fenced."""
    job = _held(session, job_id, token)
    job.error = {"code": code, "message": message}
    if retry and job.attempt < job.max_attempts:
        _requeue(session, job)
    else:
        _end(session, job, "failed")


def finish(session: Session, job_id: str, token: int, version_id: int | None) -> None:
    """The work is done; a request to cancel that came too late is ignored. Raise Fenced.

    To be called in the transaction that registers the version, so that both are seen or neither.
    """
    job = _held(session, job_id, token)
    job.version_id, job.error = version_id, None
    _end(session, job, "succeeded")


def mark_cancelled(session: Session, job_id: str, token: int) -> None:
    """The work was stopped because the job is to be cancelled. Raise Fenced."""
    _end(session, _held(session, job_id, token), "cancelled")


def request_cancel(session: Session, tenant_id: int, job_id: str) -> Job:
    """Cancel a queued job at once; ask the worker of a running one. Raise NotFound, Conflict where it has ended."""
    session.execute(select(Job.id).where(Job.tenant_id == tenant_id, Job.id == job_id).with_for_update())
    job = get(session, tenant_id, job_id)
    if job.state not in ("queued", "running"):
        raise Conflict(f"job {job.id} is over ({job.state}); there is nothing left to cancel")
    job.cancel_requested = True
    if job.state == "queued":
        _end(session, job, "cancelled")
    session.flush()
    return job


def reap(session: Session) -> int:
    """End the jobs that lost their worker and may not be claimed again; how many there were."""
    lost = (Job.state == "running") & (Job.lease_until < now(session))
    gone = lost & (Job.cancel_requested | (Job.attempt >= Job.max_attempts))
    jobs = session.scalars(_fresh(gone).with_for_update(skip_locked=True)).all()
    for job in jobs:
        if job.cancel_requested:
            _end(session, job, "cancelled")
            continue
        message = f"the worker {job.worker} was lost at attempt {job.attempt} of {job.max_attempts}; see its log"
        job.error = {"code": "worker_lost", "message": message}
        _end(session, job, "failed")
    return len(jobs)


def get(session: Session, tenant_id: int, job_id: str) -> Job:
    """The job as it is now. Raise NotFound."""
    job = session.scalars(_fresh((Job.tenant_id == tenant_id) & (Job.id == job_id))).one_or_none()
    if job is None:
        raise NotFound(f"no job {excerpt(job_id)}; GET /v1/jobs lists them")
    return job


def list_page(session: Session, tenant_id: int, after: str | None, size: int, state: State | None = None) -> list[Job]:
    """Up to ``size`` jobs, newest first, that come after the job ``after`` (None: from the newest).

    Raise NotFound for ``after``.
    """
    query = select(Job).where(Job.tenant_id == tenant_id)
    if state is not None:
        query = query.where(Job.state == state)
    if after is not None:
        last = get(session, tenant_id, after)
        query = query.where(tuple_(Job.created_at, Job.id) < (last.created_at, last.id))
    return list(session.scalars(query.order_by(Job.created_at.desc(), Job.id.desc()).limit(size)))


def counts(session: Session) -> dict[State, int]:
    """How many jobs of all tenants are in each state."""
    totals: dict[State, int] = dict.fromkeys(get_args(State), 0)
    for state, count in session.execute(select(Job.state, func.count()).group_by(Job.state)):
        totals[state] = count
    return totals


def _claimable(moment: datetime) -> ColumnElement[bool]:
    lost = (Job.state == "running") & (Job.lease_until < moment)
    return ((Job.state == "queued") | lost) & (Job.attempt < Job.max_attempts) & ~Job.cancel_requested


def _fresh(condition: ColumnElement[bool]) -> Select[Job]:
    # What the session holds of a job may be older than the row.
    return select(Job).where(condition).execution_options(populate_existing=True)


def _held(session: Session, job_id: str, token: int) -> Job:
    """The running job, locked until the transaction ends. Raise Fenced where the token is not good any more."""
    mine = (Job.id == job_id) & (Job.token == token) & (Job.state == "running")
    job = session.scalars(_fresh(mine).with_for_update()).one_or_none()
    if job is None:
        raise Fenced(f"job {job_id} is not held under token {token} any more; drop the work and claim another job")
    return job


def _requeue(session: Session, job: Job) -> None:
    if job.cancel_requested:
        _end(session, job, "cancelled")
        return
    job.state, job.worker, job.lease_until, job.started_at = "queued", None, None, None
    session.flush()


def _end(session: Session, job: Job, state: State) -> None:
    job.state, job.lease_until, job.finished_at = state, None, now(session)
    session.flush()
