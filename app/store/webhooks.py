"""Webhooks and their outbox: a message is stored in the transaction of the change that it announces.

Messages follow Standard Webhooks 1.0: a message keeps its id however often it is sent, and is signed with a secret of
256 random bits, which is stored in plain text because signing needs it.
"""

import base64
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import case, delete, func, literal, select, update
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import audit_log
from app.store.db import insert_if_absent, now
from app.store.stored_quotas import check_quota
from app.store.tables import Delivery, Webhook
from models.errors import excerpt
from models.json_types import JsonObject

EVENTS = ("job.succeeded", "job.failed", "job.cancelled", "alias.moved", "schedule.alarm")
TEST = "webhook.test"  # sent on request, to every webhook
OLD_SECRET = timedelta(hours=24)  # after a rotation, in which the former secret signs too


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingDelivery:
    """A claimed delivery: message, address and secrets, and the attempt under which its result is recorded."""

    id: int
    attempt: int
    webhook_id: int
    tenant_id: int
    url: str
    secrets: tuple[str, ...]
    message_id: str
    event: str
    payload: JsonObject
    created_at: datetime


def announce(session: Session, tenant_id: int, event: str, *payloads: JsonObject) -> None:
    """Add a message for each payload to the outbox of the tenant's webhooks that subscribe to ``event``.

    ``event`` is one of ``EVENTS``; ``payloads`` are JSON values.
    """
    query = select(Webhook).where(Webhook.tenant_id == tenant_id, Webhook.disabled.is_(None))
    subscribed = [webhook for webhook in session.scalars(query) if event in webhook.events]
    if subscribed:
        _post(session, subscribed, event, payloads)


def create(session: Session, tenant_id: int, name: str, url: str, events: Sequence[str], created_by: str) -> Webhook:
    """Create a webhook with its secret. Raise Conflict if the name exists, QuotaExceeded."""
    inserted = insert_if_absent(
        session,
        Webhook,
        tenant_id=tenant_id,
        name=name,
        url=url,
        events=list(events),
        secret=_new_secret(),
        created_by=created_by,
        created_at=now(session),
    )
    if inserted is None:
        raise Conflict(f"webhook {excerpt(name)} exists already; delete it or choose another name")
    check_quota(session, tenant_id, "max_webhooks")
    # The URL is not recorded: its path may be a password.
    audit_log.record(session, tenant_id, created_by, "webhook.created", name, {"events": list(events)})
    return session.get_one(Webhook, inserted)


def rotate(session: Session, tenant_id: int, name: str, actor: str) -> Webhook:
    """Give a webhook a new secret; the former secret stays valid for ``OLD_SECRET``. Raise NotFound."""
    webhook = get(session, tenant_id, name)
    webhook.previous_secret, webhook.secret = webhook.secret, _new_secret()
    webhook.previous_until = now(session) + OLD_SECRET
    session.flush()
    audit_log.record(session, tenant_id, actor, "webhook.rotated", name)
    return webhook


def remove(session: Session, tenant_id: int, name: str, actor: str) -> None:
    """Delete a webhook and its pending messages. Raise NotFound."""
    session.delete(get(session, tenant_id, name))
    session.flush()
    audit_log.record(session, tenant_id, actor, "webhook.deleted", name)


def get(session: Session, tenant_id: int, name: str) -> Webhook:
    """Return the webhook ``name``. Raise NotFound."""
    found = session.scalars(select(Webhook).where(Webhook.tenant_id == tenant_id, Webhook.name == name)).one_or_none()
    if found is None:
        raise NotFound(f"no webhook {excerpt(name)}; GET /v1/webhooks lists them")
    return found


def list_all(session: Session, tenant_id: int) -> list[Webhook]:
    """Return the tenant's webhooks by name, at most as many as its quota."""
    return list(session.scalars(select(Webhook).where(Webhook.tenant_id == tenant_id).order_by(Webhook.name)))


def send_test(session: Session, tenant_id: int, name: str) -> Delivery:
    """Add a test message to the outbox. Raise NotFound, Conflict if the webhook is disabled."""
    webhook = get(session, tenant_id, name)
    if webhook.disabled is not None:
        raise Conflict(f"webhook {excerpt(name)} is disabled ({webhook.disabled}); delete it and create it again")
    return _post(session, [webhook], TEST, [{"webhook": name}])[0]


def list_deliveries(session: Session, tenant_id: int, name: str, after_id: int | None, size: int) -> list[Delivery]:
    """Return up to ``size`` deliveries with an id below ``after_id`` (None: all), newest first. Raise NotFound."""
    query = select(Delivery).where(Delivery.webhook_id == get(session, tenant_id, name).id)
    if after_id is not None:
        query = query.where(Delivery.id < after_id)
    return list(session.scalars(query.order_by(Delivery.id.desc()).limit(size)))


def is_due(session: Session) -> bool:
    """Return whether a delivery is due; cheaper than ``claim``, which locks."""
    due = (Delivery.state == "pending") & (Delivery.next_at <= now(session))
    return session.scalars(select(Delivery.id).where(due).limit(1)).one_or_none() is not None


def claim(session: Session, size: int, busy: Mapping[int, int], share: int, lease_s: float) -> list[OutgoingDelivery]:
    """Claim up to ``size`` due deliveries for ``lease_s`` seconds, and return them.

    ``busy`` are the webhooks being sent to, each with its tenant: at most one delivery of a webhook is sent at a time,
    and at most ``share`` of a tenant. Tenants with fewer go first, so that no tenant's slow receivers delay the others.
    """
    moment = now(session)
    due = (Delivery.state == "pending") & (Delivery.next_at <= moment) & Delivery.webhook_id.not_in(list(busy))
    oldest = select(func.min(Delivery.id).label("id"), Webhook.tenant_id).join(
        Webhook, Webhook.id == Delivery.webhook_id
    )
    first = oldest.where(due).group_by(Delivery.webhook_id, Webhook.tenant_id).subquery()
    rank = func.row_number().over(partition_by=first.c.tenant_id, order_by=first.c.id)
    sending = case(dict(Counter(busy.values())), value=first.c.tenant_id, else_=0) if busy else literal(0)
    turns = select(first.c.id, (rank + sending).label("turn")).subquery()
    query = select(Delivery).join(turns, turns.c.id == Delivery.id).where(turns.c.turn <= share, due)
    query = query.order_by(turns.c.turn, Delivery.next_at, Delivery.id).limit(size)
    rows = session.scalars(query.with_for_update(of=Delivery, skip_locked=True)).all()
    for row in rows:
        row.attempt, row.next_at = row.attempt + 1, moment + timedelta(seconds=lease_s)
    session.flush()
    return [_outgoing(session.get_one(Webhook, row.webhook_id), row, moment) for row in rows]


def mark_delivered(session: Session, delivery: OutgoingDelivery, detail: str) -> None:
    """Record that the receiver has accepted a delivery."""
    _settle(session, delivery, state="taken", next_at=None, detail=detail)


def retry_later(session: Session, delivery: OutgoingDelivery, detail: str, wait_s: float, max_age_s: float) -> None:
    """Retry a delivery in ``wait_s`` seconds, or end it as failed if it is older than ``max_age_s`` seconds by then."""
    next_at = now(session) + timedelta(seconds=wait_s)
    if next_at - delivery.created_at > timedelta(seconds=max_age_s):
        _settle(session, delivery, state="failed", next_at=None, detail=detail)
    else:
        _settle(session, delivery, next_at=next_at, detail=detail)


def postpone(session: Session, delivery: OutgoingDelivery, wait_s: float) -> None:
    """Postpone by ``wait_s`` seconds the due deliveries of a webhook whose receiver does not answer.

    Each message to such an address takes the whole timeout, which would delay the webhooks of others.
    """
    moment = now(session)
    own = (Delivery.webhook_id == delivery.webhook_id) & (Delivery.state == "pending") & (Delivery.next_at <= moment)
    due = select(Delivery.id).where(own).with_for_update(skip_locked=True)  # another sender has claimed the locked ones
    session.execute(update(Delivery).where(Delivery.id.in_(due)).values(next_at=moment + timedelta(seconds=wait_s)))


def disable(session: Session, delivery: OutgoingDelivery, reason: str) -> None:
    """Disable a webhook whose receiver answered 410, and end its pending deliveries as failed."""
    session.execute(update(Webhook).where(Webhook.id == delivery.webhook_id).values(disabled=reason))
    name = session.scalars(select(Webhook.name).where(Webhook.id == delivery.webhook_id)).one_or_none()
    if name is not None:
        audit_log.record(session, delivery.tenant_id, "scheduler", "webhook.disabled", name, {"reason": reason})
    waiting = update(Delivery).where(Delivery.webhook_id == delivery.webhook_id, Delivery.state == "pending")
    session.execute(waiting.values(state="failed", next_at=None, detail=reason))


def counts(session: Session) -> dict[str, int]:
    """Return the number of deliveries of all tenants in each state."""
    totals = dict.fromkeys(("pending", "taken", "failed"), 0)
    for state, count in session.execute(select(Delivery.state, func.count()).group_by(Delivery.state)):
        totals[state] = count
    return totals


def forget(session: Session, older_than_s: float) -> int:
    """Delete finished deliveries older than ``older_than_s`` seconds; return their number."""
    old = Delivery.created_at < now(session) - timedelta(seconds=older_than_s)
    gone = session.execute(delete(Delivery).where(Delivery.state != "pending", old).returning(Delivery.id))
    return len(gone.all())


def _post(session: Session, webhooks: Sequence[Webhook], event: str, payloads: Sequence[JsonObject]) -> list[Delivery]:
    moment = now(session)
    messages = [(f"msg_{uuid4().hex}", payload) for payload in payloads]
    rows = [
        Delivery(
            webhook_id=webhook.id,
            message_id=message_id,
            event=event,
            payload=payload,
            state="pending",
            attempt=0,
            next_at=moment,
            created_at=moment,
        )
        for message_id, payload in messages
        for webhook in webhooks
    ]
    session.add_all(rows)
    session.flush()
    return rows


def _outgoing(webhook: Webhook, row: Delivery, moment: datetime) -> OutgoingDelivery:
    former = webhook.previous_secret if webhook.previous_until and webhook.previous_until > moment else None
    return OutgoingDelivery(
        id=row.id,
        attempt=row.attempt,
        webhook_id=webhook.id,
        tenant_id=webhook.tenant_id,
        url=webhook.url,
        secrets=(webhook.secret,) if former is None else (webhook.secret, former),
        message_id=row.message_id,
        event=row.event,
        payload=row.payload,
        created_at=row.created_at,
    )


def _settle(session: Session, delivery: OutgoingDelivery, **values: Any) -> None:
    # A sender that has claimed it since decides.
    matches = (Delivery.id == delivery.id) & (Delivery.attempt == delivery.attempt) & (Delivery.state == "pending")
    session.execute(update(Delivery).where(matches).values(**values))


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
