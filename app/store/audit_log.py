"""Audit log: each change with its actor and subject, stored in the transaction of the change, chained by SHA-256.

Each tenant has a chain of its own: an event has the SHA-256 of its content and of the event before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.audit_chain import PENDING, NewEvent, events_of, store_pending, tenants
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
    "dataset.created",
    "dataset.appended",
    "job.created",
    "job.cancelled",
    "job.deleted",
    "artifact.deleted",
    "version.registered",
    "version.archived",
    "version.restored",
    "version.deleted",
    "model.archived",
    "model.deleted",
    "alias.moved",
    "alias.deleted",
    "decision.approved",
    "decision.rejected",
    "schedule.created",
    "schedule.edited",
    "schedule.paused",
    "schedule.resumed",
    "schedule.deleted",
    "webhook.created",
    "webhook.rotated",
    "webhook.disabled",
    "webhook.deleted",
]


@dataclass(frozen=True, slots=True)
class EventInfo:
    """Event of the log; ``tenant`` is the tenant's name, ``subject`` names the thing that changed."""

    tenant: str
    sequence: int | None
    at: datetime
    actor: str
    action: str
    subject: str
    detail: JsonObject
    request_id: str | None
    sha256: str | None


def record(
    session: Session, tenant_id: int, actor: str, action: Action, subject: str, detail: JsonObject | None = None
) -> None:
    """Add an event at the end of the transaction. ``detail`` has no secrets.

    ``actor`` is the id of a key, ``cli``, ``schedule:NAME``, or the id of the job whose gate acts.
    """
    if PENDING not in session.info:
        session.info[PENDING] = []
        # The lock on the chain is taken last and held for the commit only: no other lock is waited for under it.
        sqlalchemy_event.listen(session, "before_commit", store_pending)
    new = NewEvent(tenant_id=tenant_id, actor=actor, action=action, subject=subject, detail=detail or {})
    session.info[PENDING].append(new)


def list_page(session: Session, tenant_id: int, after_id: int | None, size: int) -> list[AuditEvent]:
    """Return up to ``size`` events with an id below ``after_id`` (None: all), newest first."""
    query = select(AuditEvent).where(AuditEvent.tenant_id == tenant_id)
    if after_id is not None:
        query = query.where(AuditEvent.id < after_id)
    return list(session.scalars(query.order_by(AuditEvent.id.desc()).limit(size)))


def newest(session: Session, size: int, tenant: str | None = None) -> list[EventInfo]:
    """Return the newest ``size`` events of one tenant, or of all, newest first."""
    query = select(AuditEvent, Tenant.name).join(Tenant, Tenant.id == AuditEvent.tenant_id)
    if tenant is not None:
        query = query.where(Tenant.name == tenant)
    rows = session.execute(query.order_by(AuditEvent.id.desc()).limit(size))
    return [_info(event, name) for event, name in rows]


def all_events(session: Session, tenant: str | None = None) -> Iterator[EventInfo]:
    """Yield the events of one tenant, or of all tenants one after the other, oldest first."""
    for row in tenants(session, tenant):
        yield from (_info(event, row.name) for event in events_of(session, row.id))


def _info(event: AuditEvent, tenant: str) -> EventInfo:
    return EventInfo(
        tenant,
        event.sequence,
        event.at,
        event.actor,
        event.action,
        event.subject,
        event.detail,
        event.request_id,
        event.sha256,
    )
