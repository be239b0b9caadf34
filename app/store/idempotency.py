"""Answers to POST requests with an ``Idempotency-Key``, stored in the transaction that creates the resource.

Follows draft-ietf-httpapi-idempotency-key-header-07: the same key and request get the same answer for a day.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.store.db import insert_if_absent, now
from app.store.tables import IdempotencyKey
from models.errors import Fault, InputError
from models.json_types import JsonObject

KEPT_FOR = timedelta(days=1)
MAX_DELETED = 100  # old keys that a new key deletes


class AlreadyAnswered(Exception):
    """Another request with the same key committed first: roll back, and send its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """Request by its idempotency key, its route, and the SHA-256 of query, media type and body."""

    tenant_id: int
    key: str
    route: str
    sha256: str


def find_answer(session: Session, request: KeyedRequest) -> JsonObject | None:
    """Return the body of the answer to the same request; None if the key is new.

    Raises:
        InputError: the key was used for another request.
    """
    own = (IdempotencyKey.tenant_id == request.tenant_id) & (IdempotencyKey.key == request.key)
    is_kept = IdempotencyKey.created_at > now(session) - KEPT_FOR
    found = session.scalars(select(IdempotencyKey).where(own, is_kept)).one_or_none()
    if found is None:
        return None
    if (found.route, found.request_sha256) != (request.route, request.sha256):
        message, hint = f"this key was used for another request, {found.route}", "give each request a key of its own"
        raise InputError([Fault(code="key_reused", field="Idempotency-Key", message=message, hint=hint)])
    return found.body


def save_answer(session: Session, request: KeyedRequest, body: JsonObject) -> None:
    """Store the answer to ``request``. Raise AlreadyAnswered if there is one."""
    moment = now(session)
    old = IdempotencyKey.created_at <= moment - KEPT_FOR
    first_old = IdempotencyKey.id.in_(select(IdempotencyKey.id).where(old).limit(MAX_DELETED))
    same = (IdempotencyKey.tenant_id == request.tenant_id) & (IdempotencyKey.key == request.key)
    session.execute(delete(IdempotencyKey).where(old, first_old | same))
    values = {
        "tenant_id": request.tenant_id,
        "key": request.key,
        "route": request.route,
        "request_sha256": request.sha256,
    }
    if insert_if_absent(session, IdempotencyKey, **values, body=body, created_at=moment) is None:
        raise AlreadyAnswered
