"""What a job says on its way: states, progress and lines, in the order of their ids; the newest of them are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app.store.db import now
from app.store.jobs.rows import hold
from app.store.tables import Job, JobEvent, State
from models.types import JsonObject

KEPT = 2_000  # events of one job
EVERY = timedelta(seconds=0.5)  # progress: what comes sooner is in the row, and no event
AT_ONCE = 500  # events that one look takes of a job
LINE_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class News:
    """What is new of a job: how it is now, and its events after those that were known."""

    state: State
    attempt: int
    events: tuple[JobEvent, ...]


def say_state(session: Session, *jobs: Job, at: datetime) -> None:
    """The state of each of ``jobs`` has changed to what it is."""
    session.flush()
    rows = [{"job_id": job.id, "kind": "state", "data": _state(job), "at": at} for job in jobs]
    session.execute(insert(JobEvent), rows)  # together, for a parent may have thousands of children


def report(session: Session, job_id: str, token: int, progress: JsonObject) -> bool:
    """Record how far the work is; True where the job is to be cancelled. Raise Fenced."""
    job = hold(session, job_id, token)
    job.progress = progress
    say_progress(session, job)
    return job.cancel_requested


def say_progress(session: Session, job: Job) -> None:
    """The job's progress has changed to what it is."""
    moment = now(session)
    newest = select(JobEvent.at).where(JobEvent.job_id == job.id, JobEvent.kind == "progress")
    last = session.scalars(newest.order_by(JobEvent.id.desc()).limit(1)).one_or_none()
    if last is None or not moment - EVERY < last <= moment:
        _add(session, job.id, "progress", dict(job.progress), moment)
    session.flush()


def log(session: Session, job_id: str, token: int, line: str) -> None:
    """Keep a line about the work, for people to read. Raise Fenced."""
    hold(session, job_id, token)
    _add(session, job_id, "log", {"line": line[:LINE_CHARS]}, now(session))


def news(session: Session, known: Mapping[str, int]) -> dict[str, News]:
    """What there is of each job in ``known`` after the event whose id is given with it (0: all that is kept).

    The ids of one job's events rise in the order in which they were committed, for whoever writes one holds its job;
    those of several jobs need not.
    """
    jobs = session.execute(select(Job.id, Job.state, Job.attempt).where(Job.id.in_(known))).all()
    heads = select(JobEvent.job_id, func.max(JobEvent.id)).where(JobEvent.job_id.in_(known)).group_by(JobEvent.job_id)
    grown = {job_id: known[job_id] for job_id, head in session.execute(heads) if head > known[job_id]}
    found: dict[str, list[JobEvent]] = {}
    for job_id, after in grown.items():
        query = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.id > after)
        found[job_id] = list(session.scalars(query.order_by(JobEvent.id).limit(AT_ONCE)))
    return {job_id: News(state, attempt, tuple(found.get(job_id, ()))) for job_id, state, attempt in jobs}


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
    oldest = select(JobEvent.id).where(own).order_by(JobEvent.id.desc()).offset(KEPT).limit(1)
    if (last := session.scalars(oldest).one_or_none()) is not None:
        session.execute(delete(JobEvent).where(own, JobEvent.id <= last))
