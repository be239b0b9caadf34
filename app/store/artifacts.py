"""Files of jobs, stored in parts of at most ``PART_BYTES``, so that neither side holds a whole file in memory.

Functions that write take the job as ``app.store.jobs.hold`` returns it, so that only its holder writes.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from app.problems import NotFound
from app.store.db import now
from app.store.tables import Artifact, ArtifactPart, Job
from models.errors import excerpt

PART_BYTES = 4 * 1024**2


def begin(session: Session, job: Job, name: str, media_type: str) -> int:
    """Begin the empty file ``name`` and return its id; replace a file of this name that this attempt began before."""
    _delete(session, (Artifact.job_id == job.id) & (Artifact.token == job.token) & (Artifact.name == name))
    row = Artifact(
        tenant_id=job.tenant_id,
        job_id=job.id,
        token=job.token,
        name=name,
        media_type=media_type,
        size_bytes=0,
        created_at=now(session),
    )
    session.add(row)
    session.flush()
    return row.id


def add_part(session: Session, job: Job, artifact_id: int, number: int, data: bytes) -> None:
    """Store part ``number`` (from 1) of a file that this attempt has begun; storing it again changes nothing.

    Raise NotFound if this attempt has begun no such file, ValueError for more than ``PART_BYTES``.
    """
    if len(data) > PART_BYTES:
        raise ValueError(f"a part of {len(data)} bytes; send at most {PART_BYTES}")
    _begun(session, job, artifact_id)
    session.merge(ArtifactPart(artifact_id=artifact_id, number=number, data=data))
    session.flush()


def complete(session: Session, job: Job, artifact_id: int, size_bytes: int, sha256: str) -> None:
    """Mark a file as complete. Raise NotFound."""
    row = _begun(session, job, artifact_id)
    row.size_bytes, row.sha256 = size_bytes, sha256
    session.flush()


def delete_unfinished(session: Session, job_id: str, token: int | None) -> None:
    """Delete the files of a job that has ended, except the complete ones of ``token``; all of them if it is None."""
    condition = Artifact.job_id == job_id
    if token is not None:
        condition &= (Artifact.token != token) | Artifact.sha256.is_(None)
    _delete(session, condition)


def list_of_job(session: Session, job: Job) -> Sequence[Artifact]:
    """Return the files of a job that has succeeded, by name; none before that."""
    if job.state != "succeeded":
        return []
    same = (Artifact.job_id == job.id) & (Artifact.token == job.token)
    return session.scalars(select(Artifact).where(same, Artifact.sha256.is_not(None)).order_by(Artifact.name)).all()


def get(session: Session, job: Job, name: str) -> Artifact:
    """Return the file ``name`` of a job that has succeeded. Raise NotFound, which lists the files."""
    rows = list_of_job(session, job)
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        names = ", ".join(row.name for row in rows) or "none; they are there once the job has succeeded"
        raise NotFound(f"job {job.id} has no artifact {excerpt(name)}; its artifacts: {names}")
    return found


def read_part(session: Session, artifact_id: int, number: int) -> bytes | None:
    """Return the bytes of part ``number``, from 1; None after the last."""
    query = select(ArtifactPart.data).where(ArtifactPart.artifact_id == artifact_id, ArtifactPart.number == number)
    return session.scalars(query).one_or_none()


def _begun(session: Session, job: Job, artifact_id: int) -> Artifact:
    own = (Artifact.id == artifact_id) & (Artifact.job_id == job.id) & (Artifact.token == job.token)
    row = session.scalars(select(Artifact).where(own)).one_or_none()
    if row is None:
        raise NotFound(f"this attempt of job {job.id} has begun no artifact {artifact_id}; begin one first")
    return row


def _delete(session: Session, condition: ColumnElement[bool]) -> None:
    ids = session.scalars(select(Artifact.id).where(condition)).all()
    if ids:
        session.execute(delete(ArtifactPart).where(ArtifactPart.artifact_id.in_(ids)))
        session.execute(delete(Artifact).where(Artifact.id.in_(ids)))
