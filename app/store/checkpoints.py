"""Checkpoints: the newest complete state of a job's work, written by its holder, read by the next attempt."""

from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.db import now
from app.store.tables import Job, JobCheckpoint


def save(session: Session, job: Job, data: bytes) -> None:
    """Replace the checkpoint of ``job``, a job as ``app.store.jobs.hold`` returns it or one that is just queued."""
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


def load(session: Session, job_id: str) -> bytes | None:
    """Return the checkpoint of any attempt at the job; None if there is none, or its checksum is wrong."""
    query = select(JobCheckpoint.data, JobCheckpoint.sha256).where(JobCheckpoint.job_id == job_id)
    found = session.execute(query).one_or_none()
    return found.data if found is not None and sha256(found.data).hexdigest() == found.sha256 else None


def delete(session: Session, job_ids: Sequence[str]) -> None:
    """Delete the checkpoints of jobs that have ended."""
    session.execute(sql_delete(JobCheckpoint).where(JobCheckpoint.job_id.in_(job_ids)))
