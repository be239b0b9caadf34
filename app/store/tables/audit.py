"""Events of the audit log, and the chain of each tenant's events."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base, Owned
from models.json_types import JsonObject


class AuditEvent(Owned, Base):
    """Event of the audit log: ``actor`` did ``action`` to ``subject``. Rows are added and never changed.

    ``sequence`` counts the events of the tenant from 1; ``sha256`` is of the event and the SHA-256 of the one before.
    Both are None for an event of an earlier release, until the tenant's next event chains it.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "tenant_id", "id"),
        Index(None, "tenant_id", "sequence", unique=True),
        {"sqlite_autoincrement": True},  # ids are never reused
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[JsonObject]
    request_id: Mapped[str | None]
    sequence: Mapped[int | None]
    sha256: Mapped[str | None]


class AuditChain(Base):
    """Number of a tenant's events, and the SHA-256 of the newest. The row is the lock of who adds one."""

    __tablename__ = "audit_chains"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    length: Mapped[int]
    sha256: Mapped[str]
