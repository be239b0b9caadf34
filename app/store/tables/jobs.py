"""Jobs, what was tried for them, what they said on their way, and what they leave behind."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base, Json, Owned

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Job(Owned, Base):
    """A unit of long work. ``token`` rises at each claim: who holds an older one may write no more.

    ``place`` orders the queue: the moment of its creation, moved forward by its priority, so that what is old enough
    goes first whatever its priority; a child without one is not in the queue yet. ``run_at``: not before then.
    ``dedup``: what was asked for is one job, however often it is asked for. A parent has ``children_total`` > 0: no
    worker claims it, it ends with its last child. ``holder`` says which process of which machine has it.
    ``version_id``, ``parent_id`` and ``schedule_id`` have no foreign keys: SQLite could not add them to a table that
    others point to.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        Index(None, "state", "kind", "created_at"),
        Index(None, "state", "resource", "place", "id", "run_at"),
        Index(None, "state", "deadline_at"),
        Index(None, "parent_id", "state"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "tenant_id", "dedup", unique=True),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    model: Mapped[str | None]
    revision_id: Mapped[int | None] = mapped_column(ForeignKey("revisions.id"))
    request: Mapped[dict[str, Any]]
    state: Mapped[State] = mapped_column(String, default="queued")
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    token: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
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
    holder: Mapped[dict[str, Any] | None] = mapped_column(Json)
    runner_sha256: Mapped[str | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    schedule_id: Mapped[int | None]
    parent_id: Mapped[str | None]
    label: Mapped[dict[str, Any] | None] = mapped_column(Json)
    children_total: Mapped[int] = mapped_column(server_default="0")
    children_at_once: Mapped[int | None]


class JobAttempt(Base):
    """One start of a job: who had it, how long it had waited for that, and how it ended (None while it runs)."""

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
    """One thing that happened to a job, in order of ``id``: ``state``, ``progress`` or ``log``."""

    __tablename__ = "job_events"
    __table_args__ = (Index(None, "job_id", "id"),)

    # SQLite counts up no other type; on a server there may be more of them than 32 bits count.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class JobCheckpoint(Base):
    """The newest complete state of a job's work, from which the next attempt goes on."""

    __tablename__ = "checkpoints"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    token: Mapped[int]
    size_bytes: Mapped[int]
    sha256: Mapped[str]
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    at: Mapped[datetime]


class Artifact(Owned, Base):
    """A file that a job leaves behind, in parts; complete once it has a ``sha256``, seen once its job has succeeded.

    Of several attempts' files only those written under the token of the one that finished are kept.
    """

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("job_id", "token", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    token: Mapped[int]
    name: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    sha256: Mapped[str | None]
    created_at: Mapped[datetime]


class ArtifactPart(Base):
    """The bytes of an artifact, from part 1 on."""

    __tablename__ = "artifact_parts"

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)


class Resource(Base):
    """How many jobs that need ``name`` may run at once, in all; without a row as many as there are workers."""

    __tablename__ = "resources"

    name: Mapped[str] = mapped_column(primary_key=True)
    slots: Mapped[int]


class IdempotencyKey(Owned, Base):
    """A POST that was answered: the same key and body get the same answer, the same key with another body none."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), Index(None, "created_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    route: Mapped[str]
    request_sha256: Mapped[str]
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
