"""The history of a job: each start of it, and how that ended."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.store.db import now
from app.store.jobs.rows import get
from app.store.tables import Job, JobAttempt

# How an attempt ended. ``lost``: its worker gave no sign of life; ``fenced``: and woke up later, to find it taken over.
OUTCOMES = ("succeeded", "cancelled", "released", "lost", "fenced", "job", "infrastructure", "oom", "timeout")


def begin(session: Session, job: Job, waited_s: float) -> None:
    """A worker has claimed ``job``, which could have been run for ``waited_s`` seconds."""
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
    """The attempt under the job's token is over; harmless where none is under way."""
    mine = (JobAttempt.job_id == job.id) & (JobAttempt.token == job.token) & JobAttempt.ended_at.is_(None)
    session.execute(update(JobAttempt).where(mine).values(ended_at=now(session), outcome=outcome, message=message))


def fenced(session: Session, job_id: str, token: int) -> None:
    """Who was thought lost has woken up, and knows now that the job is another's."""
    mine = (JobAttempt.job_id == job_id) & (JobAttempt.token == token) & (JobAttempt.outcome == "lost")
    session.execute(update(JobAttempt).where(mine).values(outcome="fenced"))


def had(session: Session, job: Job, outcome: str) -> bool:
    """Whether an attempt at ``job`` has ended so."""
    ended_so = (JobAttempt.job_id == job.id) & (JobAttempt.outcome == outcome)
    return session.scalars(select(JobAttempt.id).where(ended_so).limit(1)).one_or_none() is not None


def list_attempts(session: Session, tenant_id: int, job_id: str, after_id: int, size: int) -> list[JobAttempt]:
    """Up to ``size`` attempts, oldest first, that come after the id ``after_id`` (0: from the first).

    Raise NotFound for the job.
    """
    job = get(session, tenant_id, job_id)
    query = select(JobAttempt).where(JobAttempt.job_id == job.id, JobAttempt.id > after_id)
    return list(session.scalars(query.order_by(JobAttempt.id).limit(size)))
