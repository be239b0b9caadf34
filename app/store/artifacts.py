"""The files that jobs leave behind, in parts: no part is larger than ``PART_BYTES``, neither side holds a whole file.

What writes is given the job as ``app.store.jobs.hold`` found it, so that only who has the job writes.
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
    """A new file ``name`` of the job, empty; its id. One that this attempt has begun before is begun anew."""
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
    """Part ``number`` (from 1) of a file that this attempt has begun; the same part again changes nothing.

    Raise NotFound where it has begun no such file, ValueError for more than ``PART_BYTES``.
    """
    if len(data) > PART_BYTES:
        raise ValueError(f"a part of {len(data)} bytes; send at most {PART_BYTES}")
    _mine(session, job, artifact_id)
    session.merge(ArtifactPart(artifact_id=artifact_id, number=number, data=data))
    session.flush()


def complete(session: Session, job: Job, artifact_id: int, size_bytes: int, sha256: str) -> None:
    """All parts of the file are there. Raise NotFound."""
    row = _mine(session, job, artifact_id)
    row.size_bytes, row.sha256 = size_bytes, sha256
    session.flush()


def sweep(session: Session, job_id: str, token: int | None) -> None:
    """Of a job that is over only the complete files written under ``token`` stay; none at all where it is None."""
    gone = Artifact.job_id == job_id
    if token is not None:
        gone &= (Artifact.token != token) | Artifact.sha256.is_(None)
    _delete(session, gone)


def of_job(session: Session, job: Job) -> Sequence[Artifact]:
    """The files of a job that has succeeded, by name; none of one that has not."""
    if job.state != "succeeded":
        return []
    mine = (Artifact.job_id == job.id) & (Artifact.token == job.token)
    return session.scalars(select(Artifact).where(mine, Artifact.sha256.is_not(None)).order_by(Artifact.name)).all()


def named(session: Session, job: Job, name: str) -> Artifact:
    """The file ``name`` of a job that has succeeded. Raise NotFound, saying what there is."""
    there = of_job(session, job)
    found = next((row for row in there if row.name == name), None)
    if found is None:
        names = ", ".join(row.name for row in there) or "none; they are there once the job has succeeded"
        raise NotFound(f"job {job.id} has no artifact {excerpt(name)}; its artifacts: {names}")
    return found


def part(session: Session, artifact_id: int, number: int) -> bytes | None:
    """The bytes of one part, from 1 on; None after the last."""
    query = select(ArtifactPart.data).where(ArtifactPart.artifact_id == artifact_id, ArtifactPart.number == number)
    return session.scalars(query).one_or_none()


def _mine(session: Session, job: Job, artifact_id: int) -> Artifact:
    own = (Artifact.id == artifact_id) & (Artifact.job_id == job.id) & (Artifact.token == job.token)
    row = session.scalars(select(Artifact).where(own)).one_or_none()
    if row is None:
        raise NotFound(f"this attempt of job {job.id} has begun no artifact {artifact_id}; begin one first")
    return row


def _delete(session: Session, which: ColumnElement[bool]) -> None:
    ids = session.scalars(select(Artifact.id).where(which)).all()
    if ids:
        session.execute(delete(ArtifactPart).where(ArtifactPart.artifact_id.in_(ids)))
        session.execute(delete(Artifact).where(Artifact.id.in_(ids)))
