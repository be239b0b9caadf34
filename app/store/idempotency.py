"""What was answered to a POST with an ``Idempotency-Key``: written in the transaction of what it created.

After draft-ietf-httpapi-idempotency-key-header-07: the same key and request get the same answer for a day.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.store.db import insert_if_absent, now
from app.store.tables import IdempotencyKey
from models.errors import Fault, InputError

KEPT = timedelta(days=1)
MAX_FORGOTTEN = 100  # old keys that one new one removes


class Repeated(Exception):
    """Another request with the same key was faster: roll back, and answer what it was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request by its key, its route, and the SHA-256 of all that it asked."""

    tenant_id: int
    key: str
    route: str
    sha256: str


def answered(session: Session, asked: Asked) -> dict[str, Any] | None:
    """The body that the same request was answered with; None where it was not asked before.

    Raises:
        InputError: the key was used for another request.
    """
    own = (IdempotencyKey.tenant_id == asked.tenant_id) & (IdempotencyKey.key == asked.key)
    is_kept = IdempotencyKey.created_at > now(session) - KEPT
    found = session.scalars(select(IdempotencyKey).where(own, is_kept)).one_or_none()
    if found is None:
        return None
    if (found.route, found.request_sha256) != (asked.route, asked.sha256):
        message, hint = f"this key was used for another request, {found.route}", "give each request a key of its own"
        raise InputError([Fault(code="key_reused", field="Idempotency-Key", message=message, hint=hint)])
    return found.body


def remember(session: Session, asked: Asked, body: dict[str, Any]) -> None:
    """Keep the answer to ``asked``. Raise Repeated where there is one already."""
    moment = now(session)
    old = IdempotencyKey.created_at <= moment - KEPT
    some = IdempotencyKey.id.in_(select(IdempotencyKey.id).where(old).limit(MAX_FORGOTTEN))
    same = (IdempotencyKey.tenant_id == asked.tenant_id) & (IdempotencyKey.key == asked.key)
    session.execute(delete(IdempotencyKey).where(old, some | same))
    values = {"tenant_id": asked.tenant_id, "key": asked.key, "route": asked.route, "request_sha256": asked.sha256}
    if insert_if_absent(session, IdempotencyKey, **values, body=body, created_at=moment) is None:
        raise Repeated
