"""Events of jobs: changes of state, progress and log lines, in the order of their ids; only the newest are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app.store.db import now
from app.store.jobs.rows import hold
from app.store.tables import Job, JobEvent, State
from models.json_types import JsonObject

MAX_EVENTS = 2_000  # kept of one job
PROGRESS_INTERVAL = timedelta(seconds=0.5)  # progress that comes sooner changes the row and makes no event
MAX_READ = 500  # events of one job that one query reads
MAX_LINE_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class JobUpdate:
    """Present state of a job, and its events after those that the reader knows."""

    state: State
    attempt: int
    events: tuple[JobEvent, ...]


def record_states(session: Session, *jobs: Job, at: datetime) -> None:
    """Record the present state of each of ``jobs`` as an event."""
    session.flush()
    rows = [{"job_id": job.id, "kind": "state", "data": _state(job), "at": at} for job in jobs]
    session.execute(insert(JobEvent), rows)  # in one statement: a parent may have thousands of children


def report(session: Session, job_id: str, token: int, progress: JsonObject) -> bool:
    """Record the progress of a job; return whether its cancellation was requested. Raise Fenced."""
    job = hold(session, job_id, token)
    job.progress = progress
    record_progress(session, job)
    return job.cancel_requested


def record_progress(session: Session, job: Job) -> None:
    """Record the present progress of a job as an event, at most one in ``PROGRESS_INTERVAL``."""
    moment = now(session)
    newest = select(JobEvent.at).where(JobEvent.job_id == job.id, JobEvent.kind == "progress")
    last = session.scalars(newest.order_by(JobEvent.id.desc()).limit(1)).one_or_none()
    if last is None or not moment - PROGRESS_INTERVAL < last <= moment:
        _add(session, job.id, "progress", dict(job.progress), moment)
    session.flush()


def log(session: Session, job_id: str, token: int, line: str) -> None:
    """Record a log line, cut to ``MAX_LINE_CHARS``. Raise Fenced."""
    hold(session, job_id, token)
    _add(session, job_id, "log", {"line": line[:MAX_LINE_CHARS]}, now(session))


def updates_since(session: Session, known: Mapping[str, int]) -> dict[str, JobUpdate]:
    """Return the state of each job in ``known`` and its events after the given event id (0: all that are kept).

    Within one job, ids rise in the order of commits, because every writer holds the lock of the job; across jobs they
    need not.
    """
    jobs = session.execute(select(Job.id, Job.state, Job.attempt).where(Job.id.in_(known))).all()
    heads = select(JobEvent.job_id, func.max(JobEvent.id)).where(JobEvent.job_id.in_(known)).group_by(JobEvent.job_id)
    grown = {job_id: known[job_id] for job_id, head in session.execute(heads) if head > known[job_id]}
    found: dict[str, list[JobEvent]] = {}
    for job_id, after in grown.items():
        query = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.id > after)
        found[job_id] = list(session.scalars(query.order_by(JobEvent.id).limit(MAX_READ)))
    return {job_id: JobUpdate(state, attempt, tuple(found.get(job_id, ()))) for job_id, state, attempt in jobs}


def _state(job: Job) -> JsonObject:
    data: JsonObject = {"state": job.state, "attempt": job.attempt}
    if job.error is not None and job.state in ("queued", "failed"):
        data["error"] = job.error
    if job.state == "queued" and job.run_at is not None:
        data["run_at"] = job.run_at.isoformat()
    return data


def _add(session: Session, job_id: str, kind: str, data: JsonObject, moment: datetime) -> None:
    session.add(JobEvent(job_id=job_id, kind=kind, data=data, at=moment))
    session.flush()
    own = JobEvent.job_id == job_id
    oldest = select(JobEvent.id).where(own).order_by(JobEvent.id.desc()).offset(MAX_EVENTS).limit(1)
    if (last := session.scalars(oldest).one_or_none()) is not None:
        session.execute(delete(JobEvent).where(own, JobEvent.id <= last))
