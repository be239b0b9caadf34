"""Quotas of what a tenant has stored: each is checked in the transaction that adds a row, after the row.

The tenant is locked while its rows are counted, so that of two transactions which would exceed a quota only together
the second sees the rows of the first. On SQLite every transaction that writes has a lock already.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.problems import QuotaExceeded
from app.store.job_limits import stored_bytes
from app.store.tables import Dataset, Model, Quota, Revision, Schedule, Tenant, Version, Webhook


class StoredQuota(NamedTuple):
    """Greatest number of ``things`` of one tenant: ``default`` unless the settings or an operator say otherwise.

    ``used`` counts those that there are; ``remedy`` says how to have fewer.
    """

    things: str
    default: int
    used: Callable[[Session, int], int]
    remedy: str


def check_quota(session: Session, tenant_id: int, name: str) -> None:
    """Refuse what this transaction has added if the tenant has more than the quota ``name`` now.

    Raises:
        QuotaExceeded: with quota, limit, number and remedy.
    """
    lock_tenant(session, tenant_id)
    quota, limit = STORED_QUOTAS[name], limit_of(session, tenant_id, name)
    used = quota.used(session, tenant_id)
    if used > limit:
        message = f"your tenant would have {used} {quota.things}, and {limit} are allowed"
        raise QuotaExceeded.of(name, message, f"{quota.remedy}, or ask the operator for a higher quota {name}")


def limit_of(session: Session, tenant_id: int, name: str) -> int:
    """Return the limit that an operator has set for the tenant, else that of the settings."""
    own = own_limit(session, tenant_id, name)
    return settings_of(session).get(name, STORED_QUOTAS[name].default) if own is None else own


def own_limit(session: Session, tenant_id: int, name: str) -> int | None:
    """Return the limit that an operator has set for the tenant, or None."""
    own = select(Quota.value).where(Quota.tenant_id == tenant_id, Quota.name == name)
    value = session.scalars(own).one_or_none()
    return None if value is None else int(value)


def settings_of(session: Session) -> Mapping[str, int]:
    """Return the quotas of the settings, as far as they were given to the database."""
    quotas: Mapping[str, int] = session.info["database"].quotas
    return quotas


def lock_tenant(session: Session, tenant_id: int) -> None:
    """Wait for other transactions that count the rows of the tenant; let others wait until this one ends."""
    # Rows that refer to the tenant may still be added by everybody.
    session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))


def all_bytes(session: Session, tenant_id: int) -> int:
    """Return the bytes of the tenant's data sets, of its versions that are not deleted, and of its jobs' files."""
    rows = select(func.coalesce(func.sum(Revision.size_bytes), 0)).where(Revision.tenant_id == tenant_id)
    bundles = select(func.coalesce(func.sum(Version.size_bytes), 0)).where(
        Version.tenant_id == tenant_id, Version.deleted_at.is_(None)
    )
    return int(session.scalars(rows).one()) + int(session.scalars(bundles).one()) + stored_bytes(session, tenant_id)


def _count(table: Any, *conditions: ColumnElement[bool]) -> Callable[[Session, int], int]:
    """Return the function that counts the rows of a tenant that fit the conditions."""

    def used(session: Session, tenant_id: int) -> int:
        return session.scalars(select(func.count()).where(table.tenant_id == tenant_id, *conditions)).one()

    return used


JOB_QUOTAS = ("max_queued_jobs", "max_running_jobs")  # checked where jobs are queued and claimed
STORED_QUOTAS = {
    "max_stored_bytes": StoredQuota(
        "bytes in data sets, versions and files of jobs",
        100 * 1024**3,
        all_bytes,
        "delete files of jobs, or versions with purge=true",
    ),
    "max_datasets": StoredQuota("data sets", 10_000, _count(Dataset), "append to one that exists"),
    "max_models": StoredQuota(
        "models in use",
        10_000,
        _count(Model, Model.archived_at.is_(None)),
        "archive one: DELETE /v1/models/{name}",
    ),
    "max_versions": StoredQuota(
        "versions that are not deleted",
        100_000,
        _count(Version, Version.deleted_at.is_(None)),
        "archive old ones, then DELETE them with purge=true",
    ),
    "max_schedules": StoredQuota("schedules", 1_000, _count(Schedule), "delete one"),
    "max_webhooks": StoredQuota("webhooks", 20, _count(Webhook), "delete one"),
}
