"""Attempts: the starts of a job, and how each ended."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.store import usage
from app.store.db import now
from app.store.jobs.rows import get
from app.store.tables import Job, JobAttempt


def begin(session: Session, job: Job, waited_s: float) -> None:
    """Record that a worker has claimed ``job``, which was ready to run for ``waited_s`` seconds before."""
    session.add(
        JobAttempt(
            job_id=job.id,
            number=job.attempt,
            token=job.token,
            worker=job.worker,
            started_at=job.started_at,
            waited_s=waited_s,
        )
    )
    session.flush()


def close(session: Session, job: Job, outcome: str, message: str | None = None) -> None:
    """End the attempt under the job's token, if it is running, and add its seconds to the use of the tenant.

    ``outcome``: succeeded, cancelled, released (the worker was stopped), lost (the worker sent no heartbeat), or the
    class of the error: job, infrastructure, oom, timeout.
    """
    matches = (JobAttempt.job_id == job.id) & (JobAttempt.token == job.token) & JobAttempt.ended_at.is_(None)
    ended_at = now(session)
    end = update(JobAttempt).where(matches).values(ended_at=ended_at, outcome=outcome, message=message)
    started_at = session.scalars(end.returning(JobAttempt.started_at)).one_or_none()
    if started_at is not None:
        seconds = max(0.0, (ended_at - started_at).total_seconds())
        usage.add(session, job.tenant_id, ended_at.date(), {"job_s": seconds})


def mark_fenced(session: Session, job_id: str, token: int) -> None:
    """Record that the worker of a lost attempt woke up and learned that it has lost the job."""
    matches = (JobAttempt.job_id == job_id) & (JobAttempt.token == token) & (JobAttempt.outcome == "lost")
    session.execute(update(JobAttempt).where(matches).values(outcome="fenced"))


def has_ended_as(session: Session, job: Job, outcome: str) -> bool:
    """Return whether an attempt at ``job`` has ended with ``outcome``."""
    same = (JobAttempt.job_id == job.id) & (JobAttempt.outcome == outcome)
    return session.scalars(select(JobAttempt.id).where(same).limit(1)).one_or_none() is not None


def list_attempts(session: Session, tenant_id: int, job_id: str, after_id: int, size: int) -> list[JobAttempt]:
    """Return up to ``size`` attempts with an id above ``after_id``, oldest first. Raise NotFound for the job."""
    job = get(session, tenant_id, job_id)
    query = select(JobAttempt).where(JobAttempt.job_id == job.id, JobAttempt.id > after_id)
    return list(session.scalars(query.order_by(JobAttempt.id).limit(size)))
