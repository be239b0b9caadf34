"""Files of jobs, stored in parts of at most ``PART_BYTES``, so that neither side holds a whole file in memory.

Functions that write take the job as ``app.store.jobs.hold`` returns it, so that only its holder writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from app.problems import NotFound
from app.store import audit_log
from app.store.db import now
from app.store.job_limits import JobLimits, check_stored_bytes
from app.store.stored_quotas import check_quota
from app.store.tables import Artifact, ArtifactPart, Job
from models.errors import InputError, excerpt

PART_BYTES = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class NewPart:
    """Bytes of a file that an attempt has begun: part ``number``, from 1."""

    artifact_id: int
    number: int
    data: bytes


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


def add_part(session: Session, job: Job, part: NewPart, limits: JobLimits) -> None:
    """Store a part of a file that this attempt has begun; storing it again changes nothing.

    Raises:
        NotFound: this attempt has begun no such file.
        InputError: the file is larger than one file may be.
        QuotaExceeded: the tenant would have more bytes than it may have, in files or in all.
        ValueError: the part has more than ``PART_BYTES``.
    """
    if len(part.data) > PART_BYTES:
        raise ValueError(f"a part of {len(part.data)} bytes; send at most {PART_BYTES}")
    row = _begun(session, job, part.artifact_id)
    key = (ArtifactPart.artifact_id == row.id) & (ArtifactPart.number == part.number)
    replaced = session.scalars(select(func.length(ArtifactPart.data)).where(key)).one_or_none() or 0
    size_bytes = row.size_bytes - replaced + len(part.data)
    if size_bytes > limits.max_file_bytes:
        message = f"the file {row.name} has more than {limits.max_file_bytes} bytes"
        hint = "ask for fewer series, steps or levels, or raise FORECASTLE_MAX_ARTIFACT_BYTES"
        raise InputError.of("file_too_large", message, hint)
    check_stored_bytes(session, job.tenant_id, limits)
    row.size_bytes = size_bytes
    session.merge(ArtifactPart(artifact_id=row.id, number=part.number, data=part.data))
    session.flush()
    check_quota(session, job.tenant_id, "max_stored_bytes")


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


def delete_one(session: Session, job: Job, name: str, actor: str) -> None:
    """Delete the file ``name`` of a job that has succeeded. Raise NotFound, which lists the files."""
    _delete(session, Artifact.id == get(session, job, name).id)
    audit_log.record(session, job.tenant_id, actor, "artifact.deleted", f"{job.id}/{name}")


def forget(session: Session, older_than_s: float, size: int) -> int:
    """Delete up to ``size`` files of jobs that ended longer ago than this, and return their number."""
    old = Job.finished_at < now(session) - timedelta(seconds=older_than_s)
    ids = session.scalars(select(Artifact.id).join(Job, Job.id == Artifact.job_id).where(old).limit(size)).all()
    _delete(session, Artifact.id.in_(ids))
    return len(ids)


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
        names = (
            ", ".join(row.name for row in rows)
            or "none; they are there once the job has succeeded, until they are deleted"
        )
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
