"""Deletion of a suspended tenant with every row that belongs to it, a bounded number of rows in one transaction."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Table, delete, select, tuple_
from sqlalchemy.orm import Session

from app.principal import Principal
from app.problems import Conflict
from app.store import audit_log, jobs, tenants
from app.store.db import now
from app.store.tables import Base, Job, Tenant
from models.errors import excerpt

ROWS_AT_ONCE = 1_000


def stop_jobs(session: Session, name: str, by: Principal) -> int:
    """Cancel the running jobs of a suspended tenant and return how many run on until their workers notice.

    Raises:
        NotFound: no such tenant.
        Conflict: it is not suspended, or it is the caller's own.
    """
    tenant = _lock_suspended(session, name, by)
    for job_id in _running(session, tenant.id):
        with suppress(Conflict):  # a parent that has just ended with its last child
            jobs.request_cancel(session, tenant.id, job_id, by.key_id)
    session.flush()
    return len(_running(session, tenant.id))


def delete_some(session: Session, name: str, by: Principal, size: int = ROWS_AT_ONCE) -> bool:
    """Delete up to ``size`` rows of a suspended tenant; return True once the tenant itself is deleted.

    After the first call it cannot be resumed. A deletion that was interrupted goes on with the next call. The last
    step is an event in the audit log of the caller's tenant.

    Raises:
        NotFound: no such tenant.
        Conflict: it is not suspended, it is the caller's own, or jobs of it are running.
    """
    tenant = _lock_suspended(session, name, by)
    if running := len(_running(session, tenant.id)):
        raise Conflict(f"{running} jobs of tenant {excerpt(name)} are being cancelled; delete it again in a moment")
    tenant.deletion_began_at = tenant.deletion_began_at or now(session)
    session.flush()
    left = size
    for table, is_own in owned_rows(tenant.id):
        left -= _delete_rows(session, table, is_own, left)
        if left == 0:
            return False
    session.delete(tenant)
    audit_log.record(session, by.tenant_id, by.key_id, "tenant.deleted", name, {"tenant_id": tenant.id})
    session.flush()
    return True


def owned_rows(tenant_id: int) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield each table with rows of tenants, and the condition for those of one; a table before those it refers to."""
    for table in reversed(Base.metadata.sorted_tables):
        is_own = _belongs_to(table, tenant_id)
        if is_own is not None:
            yield table, is_own


def _belongs_to(table: Table, tenant_id: int) -> ColumnElement[bool] | None:
    """Return the condition for rows of a tenant: by their own column, or by the row that they belong to."""
    if "tenant_id" in table.c:
        return table.c.tenant_id == tenant_id
    for key in table.foreign_keys:
        is_own = _belongs_to(key.column.table, tenant_id)
        if is_own is not None:
            return key.parent.in_(select(key.column).where(is_own))
    return None


def _delete_rows(session: Session, table: Table, is_own: ColumnElement[bool], size: int) -> int:
    key = tuple_(*table.primary_key)
    some = select(*table.primary_key).where(is_own).limit(size)
    result = session.execute(delete(table).where(key.in_(some)))
    return cast(CursorResult[Any], result).rowcount


def _lock_suspended(session: Session, name: str, by: Principal) -> Tenant:
    tenant = tenants.lock_other(session, name, by)
    if tenant.suspended_at is None:
        raise Conflict(f"tenant {excerpt(name)} is in use; suspend it first")
    return tenant


def _running(session: Session, tenant_id: int) -> list[str]:
    query = select(Job.id).where(Job.tenant_id == tenant_id, Job.state == "running")
    return list(session.scalars(query.order_by(Job.id)))
