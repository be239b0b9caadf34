"""Quotas of tenants that an operator has set in place of the settings."""

import re
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.problems import NotFound
from app.rates import RATES, parse_rate
from app.store import audit_log
from app.store.db import now
from app.store.stored_quotas import JOB_QUOTAS, STORED_QUOTAS
from app.store.tables import Quota, Tenant
from models.errors import InputError, excerpt

COUNT = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class QuotaInfo:
    """Quota of one tenant; ``tenant`` is the tenant's name."""

    tenant: str
    name: str
    value: str
    changed_at: datetime


def overrides(session: Session) -> dict[int, dict[str, str]]:
    """Return the quotas that differ from the settings, by tenant and name."""
    found: dict[int, dict[str, str]] = {}
    for row in session.scalars(select(Quota)):
        found.setdefault(row.tenant_id, {})[row.name] = row.value
    return found


def list_quotas(session: Session, tenant: str | None = None) -> list[QuotaInfo]:
    """Return the quotas that were set for one tenant, or for all, by tenant and name."""
    query = select(Quota, Tenant.name).join(Tenant, Tenant.id == Quota.tenant_id)
    if tenant is not None:
        query = query.where(Tenant.name == tenant)
    rows = session.execute(query.order_by(Tenant.name, Quota.name))
    return [QuotaInfo(owner, quota.name, quota.value, quota.changed_at) for quota, owner in rows]


def set_quota(session: Session, tenant: str, name: str, value: str, actor: str) -> None:
    """Set a quota of a tenant in place of the setting of the same name.

    Raises:
        NotFound: no such tenant.
        InputError: no such quota, or a value that it cannot have.
    """
    check_quota(name, value)
    owner = _tenant_id(session, tenant)
    session.merge(Quota(tenant_id=owner, name=name, value=value, changed_at=now(session)))
    audit_log.record(session, owner, actor, "quota.set", name, {"value": value})


def reset_quota(session: Session, tenant: str, name: str, actor: str) -> None:
    """Let the setting count for a tenant again; do nothing if it does. Raise NotFound, InputError as ``set_quota``."""
    check_quota(name, None)
    owner = _tenant_id(session, tenant)
    own = (Quota.tenant_id == owner) & (Quota.name == name)
    if session.scalars(delete(Quota).where(own).returning(Quota.name)).one_or_none() is not None:
        audit_log.record(session, owner, actor, "quota.reset", name, {})


def check_quota(name: str, value: str | None) -> None:
    """Refuse an unknown name, and a value that the quota cannot have (None: not given).

    Raises:
        InputError: with the nearest name, or the form of the value.
    """
    names = (*RATES, *STORED_QUOTAS, *JOB_QUOTAS)
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the quotas are {', '.join(names)}"
        raise InputError.of("unknown_quota", f"there is no quota {excerpt(name)}", hint, field="name")
    if name not in RATES:
        if value is not None and COUNT.fullmatch(value) is None:
            raise InputError.of("bad_quota", f"got {excerpt(value)}", "give a number such as 1000", field="value")
        return
    try:
        parse_rate(value or "")
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise InputError.of("bad_quota", message, hint, field="value") from error


def _tenant_id(session: Session, name: str) -> int:
    found = session.scalars(select(Tenant.id).where(Tenant.name == name)).one_or_none()
    if found is None:
        raise NotFound(f"no tenant {excerpt(name)}; 'forecastle keys list' names the tenants")
    return found
