"""The newest complete state of a job's work; written by who holds the job, read by who comes after."""

from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.store.db import now
from app.store.tables import Job, JobCheckpoint


def keep(session: Session, job: Job, data: bytes) -> None:
    """Put ``data`` in place of what was kept before; ``job`` as ``app.store.jobs.hold`` found it."""
    session.merge(
        JobCheckpoint(
            job_id=job.id,
            token=job.token,
            size_bytes=len(data),
            sha256=sha256(data).hexdigest(),
            data=data,
            at=now(session),
        )
    )
    session.flush()


def newest(session: Session, job_id: str) -> bytes | None:
    """What was kept last, by whichever attempt; None where nothing was, or its bytes are not those that were kept."""
    query = select(JobCheckpoint.data, JobCheckpoint.sha256).where(JobCheckpoint.job_id == job_id)
    found = session.execute(query).one_or_none()
    return found.data if found is not None and sha256(found.data).hexdigest() == found.sha256 else None


def drop(session: Session, job_ids: Sequence[str]) -> None:
    """Delete the checkpoints of jobs that have ended."""
    session.execute(delete(JobCheckpoint).where(JobCheckpoint.job_id.in_(job_ids)))
