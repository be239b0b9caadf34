"""Events of the audit log."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base, Owned
from models.json_types import JsonObject


class AuditEvent(Owned, Base):
    """Event of the audit log: ``actor`` did ``action`` to ``subject``. Rows are added and never changed or deleted."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "tenant_id", "id"), {"sqlite_autoincrement": True})  # ids are never reused

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[JsonObject]
