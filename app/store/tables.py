"""The tables. Every row that belongs to a user has a ``tenant_id``; large bytes are never loaded unless asked for."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from app.store.db import UtcDateTime

Scope = Literal["read", "write"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    """Base of all tables; names every constraint, so that a later migration can find it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: Json}  # noqa: RUF012 - SQLAlchemy's own way


class Owned:
    """Columns of a row that belongs to a tenant."""

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))


class Tenant(Base):
    """Whom rows belong to; tenants do not see each other."""

    __tablename__ = "tenants"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class ApiKey(Owned, Base):
    """A key: ``id`` is its public part, of the secret part only the SHA-256 is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint("scope IN ('read', 'write')", name="scope"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret_sha256: Mapped[str]
    scope: Mapped[Scope] = mapped_column(String)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Dataset(Owned, Base):
    """A named set of series with one frequency; its content is in its revisions."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    freq: Mapped[str]
    created_at: Mapped[datetime]


class Revision(Owned, Base):
    """A data set after one write. Immutable: ``chunk`` holds the rows that this write added, and no others.

    ``sha256`` is of the whole content up to here, ``missing_total`` counts its points without a value, ``covariates``
    names its further columns; ``first_ds`` and ``last_ds`` are ISO 8601 text.
    """

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"))
    number: Mapped[int]
    sha256: Mapped[str]
    rows_added: Mapped[int]
    rows_total: Mapped[int]
    series_total: Mapped[int]
    missing_total: Mapped[int] = mapped_column(server_default="0")
    covariates: Mapped[list[str]] = mapped_column(Json, server_default=text("'[]'"))
    first_ds: Mapped[str]
    last_ds: Mapped[str]
    chunk: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime]

    dataset: Mapped[Dataset] = relationship(lazy="joined", innerjoin=True)


class Model(Owned, Base):
    """A name under which versions are registered."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]


class Version(Owned, Base):
    """A trained forecaster, bundle included. Immutable; ``sha256`` is the bundle's, ``data_sha256`` its data's."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("model_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    number: Mapped[int]
    bundle: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    spec: Mapped[dict[str, Any]]
    scores: Mapped[dict[str, Any]]
    skill: Mapped[float | None] = mapped_column(Double)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revisions.id"))
    data_sha256: Mapped[str]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime]


class Alias(Owned, Base):
    """A name that points at one version of a model, and moves."""

    __tablename__ = "aliases"
    __table_args__ = (UniqueConstraint("model_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    name: Mapped[str]
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    moved_at: Mapped[datetime]

    version: Mapped[Version] = relationship(lazy="joined", innerjoin=True)


class AliasMove(Owned, Base):
    """One move of an alias, by version numbers; ``from_version`` is None where the alias was new."""

    __tablename__ = "alias_moves"
    __table_args__ = (Index(None, "model_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    alias: Mapped[str]
    from_version: Mapped[int | None]
    to_version: Mapped[int]
    reason: Mapped[str]
    moved_by: Mapped[str]
    moved_at: Mapped[datetime]


class Job(Owned, Base):
    """A unit of long work. ``token`` rises at each claim: who holds an older one may write no more.

    ``version_id`` has no foreign key, because versions point here already; both are written in one transaction.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        Index(None, "state", "created_at"),
        Index(None, "tenant_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    model: Mapped[str]
    revision_id: Mapped[int] = mapped_column(ForeignKey("revisions.id"))
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
