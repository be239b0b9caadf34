"""Tenants, keys, data sets and their revisions."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.principal import Scope
from app.store.tables.base import Base, Json, Owned
from models.json_types import JsonObject


class Tenant(Base):
    """Owner of rows; tenants do not see each other's rows. Of a suspended one no key is accepted and no job begins.

    ``deletion_began_at``: some of its rows may be deleted already, so that it stays suspended.
    """

    __tablename__ = "tenants"
    __table_args__ = ({"sqlite_autoincrement": True},)  # ids are never reused: caches in memory have them as keys

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    suspended_at: Mapped[datetime | None]
    deletion_began_at: Mapped[datetime | None]


class ApiKey(Owned, Base):
    """API key: ``id`` is its public part; only the SHA-256 of the secret part is stored.

    ``last_used_at`` is written once a minute, so it may be a minute old.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("scope IN ('forecast', 'read', 'write', 'admin', 'operator')", name="scope"),
        Index(None, "tenant_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret_sha256: Mapped[str]
    scope: Mapped[Scope] = mapped_column(String)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class Dataset(Owned, Base):
    """Named set of series of one frequency; its revisions hold the content."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("tenant_id", "name"), {"sqlite_autoincrement": True})  # as for tenants

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    freq: Mapped[str]
    created_at: Mapped[datetime]


class Revision(Owned, Base):
    """Data set after one write. Immutable: ``chunk`` holds only the rows that this write added.

    ``rows_added`` counts the added rows with a value; releases before 0.1 counted the gaps between them too.
    ``sha256`` is of the whole content up to this revision, ``missing_total`` counts its points without a value,
    ``covariates`` names its further columns; ``first_ds`` and ``last_ds`` are ISO 8601 text; ``size_bytes`` is the
    length of ``chunk``; ``reading`` records how the table was read, empty in releases before 0.2.
    """

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"), Index(None, "tenant_id", "size_bytes"))

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"))
    number: Mapped[int]
    sha256: Mapped[str]
    rows_added: Mapped[int]
    rows_total: Mapped[int]
    series_total: Mapped[int]
    missing_total: Mapped[int] = mapped_column(server_default="0")
    covariates: Mapped[list[str]] = mapped_column(Json, server_default=text("'[]'"))
    reading: Mapped[JsonObject] = mapped_column(Json, server_default=text("'{}'"))
    first_ds: Mapped[str]
    last_ds: Mapped[str]
    chunk: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    size_bytes: Mapped[int] = mapped_column(server_default="0")
    created_by: Mapped[str]
    created_at: Mapped[datetime]

    dataset: Mapped[Dataset] = relationship(lazy="joined", innerjoin=True)
