"""Tenants and API keys, ``fc_<id>_<secret>``. The database stores only the SHA-256 of a secret."""

import hmac
import re
import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.problems import NotFound
from app.store import audit_log
from app.store.db import insert_if_absent, now
from app.store.tables import ApiKey, Scope, Tenant
from models.errors import excerpt
from models.json_types import JsonObject

OPERATOR = "cli"  # who creates and revokes keys: the operator, by the command line
KEY = re.compile(r"fc_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """Sender of a request: the tenant, and the id and scope of its key."""

    tenant_id: int
    key_id: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """Public fields of a key; ``tenant`` is the tenant's name."""

    id: str
    tenant: str
    name: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def tenant_id(session: Session, name: str) -> int:
    """Return the id of the tenant ``name``, created if absent."""
    found = session.scalars(select(Tenant.id).where(Tenant.name == name)).one_or_none()
    if found is None:
        found = insert_if_absent(session, Tenant, name=name, created_at=now(session))
    # Still None: another transaction has just inserted the tenant.
    return found or session.scalars(select(Tenant.id).where(Tenant.name == name)).one()


def create_key(
    session: Session,
    tenant: str,
    name: str,
    scope: Scope,
    expires_at: datetime | None = None,
    created_by: str = OPERATOR,
) -> str:
    """Create a key of ``tenant`` (created if absent) and return it in full; it cannot be shown again."""
    owner = tenant_id(session, tenant)
    key_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    session.add(
        ApiKey(
            id=key_id,
            tenant_id=owner,
            name=name,
            secret_sha256=_digest(secret),
            scope=scope,
            created_at=now(session),
            expires_at=expires_at,
        )
    )
    until = None if expires_at is None else expires_at.isoformat()
    detail: JsonObject = {"name": name, "scope": scope, "expires_at": until}
    audit_log.record(session, owner, created_by, "key.created", key_id, detail)
    return f"fc_{key_id}_{secret}"


def authenticate(session: Session, raw: str, now: datetime) -> KeyPrincipal | None:
    """Return the principal of the key ``raw``; None if it is malformed, unknown, expired at ``now``, or revoked."""
    match = KEY.fullmatch(raw)
    if match is None:
        return None
    key = session.get(ApiKey, match[1])
    if key is None or not hmac.compare_digest(key.secret_sha256, _digest(match[2])):
        return None
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        return None
    return KeyPrincipal(key.tenant_id, key.id, key.scope)


def valid_ids(session: Session, key_ids: Collection[str]) -> set[str]:
    """Return the ids among ``key_ids`` of keys that are neither revoked nor expired."""
    valid = ApiKey.revoked_at.is_(None) & (ApiKey.expires_at.is_(None) | (ApiKey.expires_at > now(session)))
    return set(session.scalars(select(ApiKey.id).where(ApiKey.id.in_(key_ids), valid)))


def list_keys(session: Session, tenant: str | None = None) -> list[KeyInfo]:
    """Return the keys of one tenant, or of all, oldest first, revoked and expired ones included."""
    query = select(ApiKey, Tenant.name).join(Tenant, Tenant.id == ApiKey.tenant_id)
    if tenant is not None:
        query = query.where(Tenant.name == tenant)
    rows = session.execute(query.order_by(ApiKey.created_at, ApiKey.id))
    return [
        KeyInfo(key.id, owner, key.name, key.scope, key.created_at, key.expires_at, key.revoked_at)
        for key, owner in rows
    ]


def revoke_key(session: Session, key_id: str, revoked_by: str = OPERATOR) -> None:
    """Revoke a key for ever; do nothing if it is revoked already. Raise NotFound."""
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"no key {excerpt(key_id)}; give the 8 characters after 'fc_', or list the keys")
    if key.revoked_at is None:
        key.revoked_at = now(session)
        audit_log.record(session, key.tenant_id, revoked_by, "key.revoked", key.id, {"name": key.name})


def _digest(secret: str) -> str:
    # A plain hash is enough: a secret of 256 random bits cannot be guessed.
    return sha256(secret.encode()).hexdigest()
