"""Jobs with their attempts, events, checkpoints and files; slots of resources; idempotency keys."""

from datetime import datetime
from typing import Literal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base, Json, Owned
from models.json_types import JsonObject

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Job(Owned, Base):
    """Unit of long work. ``token`` rises with each claim; holders of an older token can no longer write.

    ``place`` orders the queue: the time of creation minus ten minutes for each step of priority, so that an old job
    runs first whatever its priority; a child without a place is not in the queue yet. ``run_at``: earliest start.
    ``dedup``: a tenant has at most one job of the same text. A parent has ``children_total`` > 0: no worker claims it,
    and it ends with its last child. ``holder`` describes the process that runs the job. ``model`` and ``revision_id``
    are NULL if the job is about no model or reads no stored data.
    ``traceparent`` names the span of the request that queued the job.
    Of a deleted job the payload, result and error are empty; no list has it.
    ``version_id``, ``parent_id`` and ``schedule_id`` have no foreign keys: SQLite could not add them to a table that
    others point to.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        Index(None, "state", "kind", "created_at"),
        Index(None, "state", "resource", "tenant_id", "place", "id", "run_at"),
        Index(None, "tenant_id", "resource", "started_at"),
        Index(None, "state", "deadline_at"),
        Index(None, "parent_id", "state"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "tenant_id", "dedup", unique=True),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    model: Mapped[str | None]
    revision_id: Mapped[int | None] = mapped_column(ForeignKey("revisions.id"))
    request: Mapped[JsonObject]
    state: Mapped[State] = mapped_column(String, default="queued")
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    token: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[JsonObject] = mapped_column(default=dict)
    error: Mapped[JsonObject | None] = mapped_column(Json)
    version_id: Mapped[int | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    resource: Mapped[str] = mapped_column(server_default="cpu")
    priority: Mapped[int] = mapped_column(server_default="0")
    place: Mapped[datetime | None]
    run_at: Mapped[datetime | None]
    deadline_at: Mapped[datetime | None]
    dedup: Mapped[str | None]
    holder: Mapped[JsonObject | None] = mapped_column(Json)
    runner_sha256: Mapped[str | None]
    result: Mapped[JsonObject | None] = mapped_column(Json)
    schedule_id: Mapped[int | None]
    parent_id: Mapped[str | None]
    label: Mapped[JsonObject | None] = mapped_column(Json)
    children_total: Mapped[int] = mapped_column(server_default="0")
    children_at_once: Mapped[int | None]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None]
    traceparent: Mapped[str | None]


class JobAttempt(Base):
    """One start of a job: its worker, how long the job had waited, and its outcome (NULL while it runs)."""

    __tablename__ = "job_attempts"
    __table_args__ = (UniqueConstraint("job_id", "token"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    number: Mapped[int]
    token: Mapped[int]
    worker: Mapped[str]
    started_at: Mapped[datetime]
    waited_s: Mapped[float]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    message: Mapped[str | None]


class JobEvent(Base):
    """Event of a job, in the order of ``id``; its kind is ``state``, ``progress`` or ``log``."""

    __tablename__ = "job_events"
    __table_args__ = (Index(None, "job_id", "id"),)

    # SQLite increments only INTEGER keys; on PostgreSQL 32 bits may be too few.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    kind: Mapped[str]
    data: Mapped[JsonObject]
    at: Mapped[datetime]


class JobCheckpoint(Base):
    """Newest complete state of a job's work, from which the next attempt continues; of an import, its bundle."""

    __tablename__ = "checkpoints"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    token: Mapped[int]
    size_bytes: Mapped[int]
    sha256: Mapped[str]
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    at: Mapped[datetime]


class Artifact(Owned, Base):
    """File of a job, stored in parts; complete once it has a ``sha256``, listed once its job has succeeded.

    Only the files of the attempt that finished the job, known by its token, are kept.
    """

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("job_id", "token", "name"), Index(None, "tenant_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    token: Mapped[int]
    name: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    sha256: Mapped[str | None]
    created_at: Mapped[datetime]


class ArtifactPart(Base):
    """Part of an artifact, numbered from 1."""

    __tablename__ = "artifact_parts"

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)


class Resource(Base):
    """Greatest number of jobs that run on the resource ``name`` at the same time; without a row there is no limit."""

    __tablename__ = "resources"

    name: Mapped[str] = mapped_column(primary_key=True)
    slots: Mapped[int]


class IdempotencyKey(Owned, Base):
    """Answered POST: the same key and body get the same answer; the same key with another body is refused."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), Index(None, "created_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    route: Mapped[str]
    request_sha256: Mapped[str]
    body: Mapped[JsonObject]
    created_at: Mapped[datetime]
