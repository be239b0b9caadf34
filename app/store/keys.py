"""API keys, ``fc_<id>_<secret>``, and the tenants that own them. Of a secret only the SHA-256 is stored."""

import hmac
import re
import secrets
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.principal import Scope
from app.problems import Conflict, NotFound
from app.store import audit_log
from app.store.db import insert_if_absent, now
from app.store.tables import ApiKey, Tenant
from models.errors import InputError, excerpt
from models.json_types import JsonObject

OPERATOR = "cli"  # who creates and revokes keys: the operator, by the command line
HOLDER_PREFIX = "oidc:"  # before the name of the holder of a token
MAX_SUBJECT = 128  # characters that are written down of the holder of a token
KEY = re.compile(r"fc_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """Sender of a request: the tenant, and the id and scope of its key."""

    tenant_id: int
    key_id: str
    scope: Scope
    is_suspended: bool = False  # the tenant


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
    last_used_at: datetime | None


class NewKey(NamedTuple):
    """Key to be created; ``expires_at`` None: it never expires."""

    name: str
    scope: Scope
    expires_at: datetime | None = None


class IssuedKey(NamedTuple):
    """Created key, and its full text, which is known only now."""

    row: ApiKey
    text: str


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
    return issue(session, tenant_id(session, tenant), NewKey(name, scope, expires_at), created_by).text


def issue(session: Session, tenant_id: int, new: NewKey, created_by: str) -> IssuedKey:
    """Create a key of the tenant."""
    key_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    row = ApiKey(
        id=key_id,
        tenant_id=tenant_id,
        name=new.name,
        secret_sha256=_digest(secret),
        scope=new.scope,
        created_at=now(session),
        expires_at=new.expires_at,
    )
    session.add(row)
    until = None if new.expires_at is None else new.expires_at.isoformat()
    detail: JsonObject = {"name": new.name, "scope": new.scope, "expires_at": until}
    audit_log.record(session, tenant_id, created_by, "key.created", key_id, detail)
    return IssuedKey(row, f"fc_{key_id}_{secret}")


def expiry(session: Session, at: datetime | None, in_s: float | None) -> datetime | None:
    """Return when a new key expires: ``at``, or ``in_s`` seconds from now; None if both are None.

    Raises:
        InputError: both are given, or the time has passed.
    """
    moment = now(session)
    if at is not None and in_s is not None:
        raise InputError.of("two_ends", "there are two times at which the key expires", "give one", field="expires_at")
    if at is not None and at <= moment:
        message = f"the key would have expired already: it is {moment.isoformat()} now"
        raise InputError.of("expired", message, "give a later time", field="expires_at")
    return at if in_s is None else moment + timedelta(seconds=in_s)


def rotate(session: Session, tenant_id: int, key_id: str, overlap_s: float, rotated_by: str) -> IssuedKey:
    """Create the successor of a key, and let the key expire in ``overlap_s`` seconds, if it does not before.

    The successor has the same name and scope, and as long a life from now on as the key had from its creation.

    Raises:
        NotFound: the tenant has no such key.
        Conflict: the key is revoked or has expired.
    """
    key, moment = get(session, tenant_id, key_id), now(session)
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= moment):
        raise Conflict(f"key {excerpt(key_id)} is revoked or has expired; create another one instead")
    expires_at = None if key.expires_at is None else moment + (key.expires_at - key.created_at)
    issued = issue(session, tenant_id, NewKey(key.name, key.scope, expires_at), rotated_by)
    ends_at = moment + timedelta(seconds=overlap_s)
    key.expires_at = ends_at if key.expires_at is None else min(key.expires_at, ends_at)
    detail: JsonObject = {"name": key.name, "successor": issued.row.id, "expires_at": key.expires_at.isoformat()}
    audit_log.record(session, tenant_id, rotated_by, "key.rotated", key_id, detail)
    return issued


def authenticate(session: Session, raw: str, now: datetime) -> KeyPrincipal | None:
    """Return the principal of the key ``raw``; None if it is malformed, unknown, expired at ``now``, or revoked."""
    match = KEY.fullmatch(raw)
    if match is None:
        return None
    query = select(ApiKey, Tenant.suspended_at).join(Tenant, Tenant.id == ApiKey.tenant_id)
    key, suspended_at = session.execute(query.where(ApiKey.id == match[1])).one_or_none() or (None, None)
    if key is None or not hmac.compare_digest(key.secret_sha256, _digest(match[2])):
        return None
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        return None
    return KeyPrincipal(key.tenant_id, key.id, key.scope, is_suspended=suspended_at is not None)


def identify(session: Session, tenant: str, subject: str, scope: Scope) -> KeyPrincipal | None:
    """Return the principal of a holder of a token, whose name has ``oidc:`` before it; None without such a tenant."""
    found = session.scalars(select(Tenant).where(Tenant.name == tenant)).one_or_none()
    if found is None:
        return None
    return KeyPrincipal(
        found.id, f"{HOLDER_PREFIX}{subject}"[:MAX_SUBJECT], scope, is_suspended=found.suspended_at is not None
    )


def valid_ids(session: Session, key_ids: Collection[str]) -> set[str]:
    """Return the ids among ``key_ids`` of keys that are neither revoked nor expired, and of holders of tokens.

    A token is checked with each request, and nothing of it is stored.
    """
    valid = ApiKey.revoked_at.is_(None) & (ApiKey.expires_at.is_(None) | (ApiKey.expires_at > now(session)))
    holders = {key_id for key_id in key_ids if key_id.startswith(HOLDER_PREFIX)}
    return holders | set(session.scalars(select(ApiKey.id).where(ApiKey.id.in_(key_ids), valid)))


def list_keys(session: Session, tenant: str | None = None) -> list[KeyInfo]:
    """Return the keys of one tenant, or of all, oldest first, revoked and expired ones included."""
    query = select(ApiKey, Tenant.name).join(Tenant, Tenant.id == ApiKey.tenant_id)
    if tenant is not None:
        query = query.where(Tenant.name == tenant)
    rows = session.execute(query.order_by(ApiKey.created_at, ApiKey.id))
    own = [field.name for field in fields(KeyInfo) if field.name != "tenant"]
    return [KeyInfo(tenant=owner, **{name: getattr(key, name) for name in own}) for key, owner in rows]


def list_page(session: Session, tenant_id: int, after_id: str | None, size: int) -> list[ApiKey]:
    """Return up to ``size`` keys of a tenant by id, after ``after_id``; revoked and expired ones included."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id, ApiKey.id > (after_id or ""))
    return list(session.scalars(query.order_by(ApiKey.id).limit(size)))


def get(session: Session, tenant_id: int, key_id: str) -> ApiKey:
    """Return a key of the tenant. Raise NotFound."""
    key = session.get(ApiKey, key_id)
    if key is None or key.tenant_id != tenant_id:
        raise _no_key(key_id)
    return key


def find_tenant(session: Session, key_id: str) -> int:
    """Return the id of the tenant that owns a key. Raise NotFound."""
    key = session.get(ApiKey, key_id)
    if key is None:
        raise _no_key(key_id)
    return key.tenant_id


def revoke(session: Session, tenant_id: int, key_id: str, revoked_by: str) -> None:
    """Revoke a key for ever; do nothing if it is revoked already. Raise NotFound."""
    key = get(session, tenant_id, key_id)
    if key.revoked_at is None:
        key.revoked_at = now(session)
        audit_log.record(session, key.tenant_id, revoked_by, "key.revoked", key.id, {"name": key.name})


def check_not_last_operator(session: Session, key: ApiKey) -> None:
    """Refuse to end the only valid key of the scope ``operator``: without one, tenants are managed on a shell only.

    Raises:
        Conflict: ``key`` is that one.
    """
    if key.scope != "operator":
        return
    # Locked: of two requests that end the last two keys, the second waits and finds one.
    locked = select(ApiKey).where(ApiKey.scope == "operator", ApiKey.revoked_at.is_(None)).with_for_update()
    held = {row.id for row in session.scalars(locked.order_by(ApiKey.id).execution_options(populate_existing=True))}
    if valid_ids(session, held) == {key.id}:
        raise Conflict(f"key {excerpt(key.id)} is the last operator key; create another one first: POST /v1/keys")


def record_use(session: Session, used: Mapping[str, datetime]) -> None:
    """Store when keys, given by id, were last used; a later use that another process stored stays."""
    for key_id in sorted(used):  # in one order: two processes that store the same keys do not wait for each other
        is_newer = ApiKey.last_used_at.is_(None) | (ApiKey.last_used_at < used[key_id])
        session.execute(update(ApiKey).where(ApiKey.id == key_id, is_newer).values(last_used_at=used[key_id]))


def _no_key(key_id: str) -> NotFound:
    return NotFound(f"no key {excerpt(key_id)}; give the 8 characters after 'fc_', or list the keys")


def _digest(secret: str) -> str:
    # A plain hash is enough: a secret of 256 random bits cannot be guessed.
    return sha256(secret.encode()).hexdigest()
