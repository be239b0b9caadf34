"""Audit log: events with actor, action and subject, stored in the same transaction as the change."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.db import now
from app.store.tables import AuditEvent, Tenant
from models.json_types import JsonObject

Action = Literal[
    "key.created",
    "key.rotated",
    "key.revoked",
    "tenant.created",
    "tenant.suspended",
    "tenant.resumed",
    "tenant.deleted",
    "quota.set",
    "quota.reset",
]


@dataclass(frozen=True, slots=True)
class EventInfo:
    """Event of the log; ``tenant`` is the tenant's name, ``subject`` the id of the thing that changed."""

    id: int
    at: datetime
    tenant: str
    actor: str
    action: str
    subject: str
    detail: JsonObject


def record(session: Session, tenant_id: int, actor: str, action: Action, subject: str, detail: JsonObject) -> None:
    """Add an event. ``detail`` has no secrets."""
    event = AuditEvent(tenant_id=tenant_id, at=now(session), actor=actor, action=action, subject=subject, detail=detail)
    session.add(event)
    session.flush()


def newest(session: Session, size: int) -> list[EventInfo]:
    """Return the newest ``size`` events of all tenants, newest first."""
    query = select(AuditEvent, Tenant.name).join(Tenant, Tenant.id == AuditEvent.tenant_id)
    rows = session.execute(query.order_by(AuditEvent.id.desc()).limit(size))
    return [
        EventInfo(event.id, event.at, tenant, event.actor, event.action, event.subject, event.detail)
        for event, tenant in rows
    ]
