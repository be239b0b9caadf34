"""Models, their versions, and the aliases that point at them."""

from datetime import datetime
from typing import Literal

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.store.tables.base import Base, Owned
from models.json_types import JsonObject

Origin = Literal["job", "import"]


class Model(Owned, Base):
    """Name under which versions are registered; an archived one is in no list until it gets another version."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]
    archived_by: Mapped[str | None]


class Version(Owned, Base):
    """Trained forecaster, bundle included. Immutable; ``sha256`` is the bundle's, ``data_sha256`` its data's.

    A version of ``origin`` "job" was trained here: it has the job and the revision that it learned from. A version of
    ``origin`` "import" came as a bundle: it may have neither, and ``job_id`` is the job that checked it.
    An archived version is out of use; of a deleted one the bundle is empty.
    """

    __tablename__ = "versions"
    __table_args__ = (
        UniqueConstraint("model_id", "number"),
        Index(None, "tenant_id", "deleted_at", "size_bytes"),
        CheckConstraint("origin IN ('job', 'import')", name="origin"),
        CheckConstraint(
            "origin <> 'job' OR (job_id IS NOT NULL AND revision_id IS NOT NULL AND data_sha256 IS NOT NULL)",
            name="lineage",
        ),
        {"sqlite_autoincrement": True},  # ids are never reused: caches in memory have them as keys
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    number: Mapped[int]
    bundle: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    spec: Mapped[JsonObject]
    scores: Mapped[JsonObject]
    skill: Mapped[float | None] = mapped_column(Double)
    revision_id: Mapped[int | None] = mapped_column(ForeignKey("revisions.id"))
    data_sha256: Mapped[str | None]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"), unique=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    origin: Mapped[Origin] = mapped_column(String, server_default="job")
    archived_at: Mapped[datetime | None]
    archived_by: Mapped[str | None]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None]


class Alias(Owned, Base):
    """Name that points at one version of a model, and can move."""

    __tablename__ = "aliases"
    __table_args__ = (UniqueConstraint("model_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    name: Mapped[str]
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    moved_at: Mapped[datetime]

    version: Mapped[Version] = relationship(lazy="joined", innerjoin=True)


class AliasMove(Owned, Base):
    """Move of an alias, by version numbers; ``from_version`` is NULL for a new alias, ``to_version`` for a deletion."""

    __tablename__ = "alias_moves"
    __table_args__ = (Index(None, "model_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    alias: Mapped[str]
    from_version: Mapped[int | None]
    to_version: Mapped[int | None]
    reason: Mapped[str]
    moved_by: Mapped[str]
    moved_at: Mapped[datetime]
