"""Chains of audit events: each event has the SHA-256 of its content and of the event before it.

Each tenant has a chain of its own, so that writers of different tenants do not wait for each other.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import groupby
from operator import attrgetter

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.principal import REQUEST_ID
from app.store.db import insert_if_absent, now
from app.store.tables import AuditChain, AuditEvent, Tenant
from models.json_types import JsonObject

FIRST = "0" * 64  # in place of the SHA-256 of an event before the first
PENDING = "audit_events"  # key of the session's events that are not stored yet
ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """Event that its transaction will add to the log."""

    tenant_id: int
    actor: str
    action: str
    subject: str
    detail: JsonObject


@dataclass(frozen=True, slots=True)
class ChainInfo:
    """Result of a check of one tenant's chain; ``fault`` is None if it is intact."""

    tenant: str
    events: int
    sha256: str
    fault: str | None


def digest(previous: str, event: AuditEvent) -> str:
    """Return the SHA-256 of an event that follows one with the SHA-256 ``previous``."""
    content = {
        "tenant_id": event.tenant_id,
        "sequence": event.sequence,
        "at": event.at.isoformat(timespec="microseconds"),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "request_id": event.request_id,
        "detail": event.detail,
    }
    return sha256((previous + json.dumps(content, sort_keys=True, separators=(",", ":"))).encode()).hexdigest()


def store_pending(session: Session) -> None:
    """Add the events that ``session.info`` holds to the chains of their tenants; called just before the commit."""
    if session.in_nested_transaction():
        return
    pending: list[NewEvent] = session.info.pop(PENDING, [])
    # In one order of tenants, so that two transactions do not wait for each other.
    for tenant_id, events in groupby(sorted(pending, key=attrgetter("tenant_id")), key=attrgetter("tenant_id")):
        _append(session, tenant_id, list(events))


def verify(session: Session, tenant: str | None = None) -> list[ChainInfo]:
    """Check the chain of one tenant, or of all: no event was changed, deleted, added or moved.

    It cannot find that somebody rewrote the end of a chain with its every SHA-256; an export kept elsewhere can.
    """
    _take_snapshot(session)
    chains = {chain.tenant_id: chain for chain in session.scalars(select(AuditChain))}
    return [_verify_chain(session, row, chains.get(row.id)) for row in tenants(session, tenant)]


def find_difference(session: Session, exported: Iterable[JsonObject]) -> str | None:
    """Return in words the first of the ``exported`` events that the log does not have like this; None if it has all."""
    names = {row.name: row.id for row in tenants(session)}
    for one in exported:
        own = (AuditEvent.tenant_id == names.get(one["tenant"])) & (AuditEvent.sequence == one["sequence"])
        found = session.scalars(select(AuditEvent.sha256).where(own)).one_or_none()
        if found != one["sha256"]:
            what = "is missing" if found is None else "has another SHA-256"
            return f"event {one['sequence']} of tenant {one['tenant']!r} {what}"
    return None


def tenants(session: Session, name: str | None = None) -> Sequence[Tenant]:
    """Return the tenant ``name``, or all tenants, oldest first."""
    query = select(Tenant) if name is None else select(Tenant).where(Tenant.name == name)
    return session.scalars(query.order_by(Tenant.id)).all()


def events_of(session: Session, tenant_id: int) -> Iterator[AuditEvent]:
    """Yield the chained events of a tenant in the order of their sequence; only some are in memory."""
    own = (AuditEvent.tenant_id == tenant_id) & (AuditEvent.sequence > 0)  # those of earlier releases have no sequence
    query = select(AuditEvent).where(own).order_by(AuditEvent.sequence).limit(ROWS_AT_ONCE)
    rows = session.scalars(query).all()
    while rows:
        yield from rows
        rows = session.scalars(query.where(AuditEvent.sequence > rows[-1].sequence)).all()


def _append(session: Session, tenant_id: int, events: Sequence[NewEvent]) -> None:
    chain, moment, request_id = _locked_chain(session, tenant_id), now(session), REQUEST_ID.get()
    unchained = select(AuditEvent).where(AuditEvent.tenant_id == tenant_id, AuditEvent.sequence.is_(None))
    rows = [*session.scalars(unchained.order_by(AuditEvent.id))]
    rows += [AuditEvent(at=moment, request_id=request_id, **asdict(event)) for event in events]
    for row in rows:
        row.sequence = chain.length = chain.length + 1
        row.sha256 = chain.sha256 = digest(chain.sha256, row)
    session.add_all(rows)
    session.flush()


def _locked_chain(session: Session, tenant_id: int) -> AuditChain:
    query = select(AuditChain).where(AuditChain.tenant_id == tenant_id).with_for_update()
    locked = query.execution_options(populate_existing=True)
    found = session.scalars(locked).one_or_none()
    if found is None:
        insert_if_absent(session, AuditChain, tenant_id=tenant_id, length=0, sha256=FIRST)
        found = session.scalars(locked).one()
    return found


def _take_snapshot(session: Session) -> None:
    """Let all queries of a transaction see the database as the first does; call this before the first.

    A transaction on SQLite always does; on PostgreSQL each query would see what was committed before it.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def _verify_chain(session: Session, tenant: Tenant, chain: AuditChain | None) -> ChainInfo:
    length, newest = (0, FIRST) if chain is None else (chain.length, chain.sha256)
    count, previous, fault = 0, FIRST, None
    for event in events_of(session, tenant.id):
        if event.sequence != count + 1:
            fault = f"event {count + 1} is missing"
        elif event.sha256 != digest(previous, event):
            fault = f"event {event.sequence} was changed, or does not follow the one before it"
        if fault is not None:
            break
        count, previous = count + 1, str(event.sha256)
    if fault is None and (count, previous) != (length, newest):
        fault = f"the chain has {length} events and ends with {newest[:12]}…, not {count} and {previous[:12]}…"
    return ChainInfo(tenant.name, count, previous, fault)
