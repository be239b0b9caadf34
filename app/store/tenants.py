"""Tenants, managed by the operator: created, suspended and resumed; ``app.store.tenant_deletion`` deletes them."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.principal import Principal
from app.problems import Conflict, NotFound
from app.store import audit_log
from app.store.db import insert_if_absent, now
from app.store.tables import Tenant
from models.errors import excerpt


def list_page(session: Session, after_id: int, size: int) -> list[Tenant]:
    """Return up to ``size`` tenants with an id above ``after_id``, oldest first."""
    return list(session.scalars(select(Tenant).where(Tenant.id > after_id).order_by(Tenant.id).limit(size)))


def get(session: Session, name: str) -> Tenant:
    """Return the tenant ``name``. Raise NotFound."""
    found = session.scalars(select(Tenant).where(Tenant.name == name)).one_or_none()
    if found is None:
        raise NotFound(f"no tenant {excerpt(name)}; list the tenants")
    return found


def create(session: Session, name: str, by: Principal) -> Tenant:
    """Create a tenant without keys. Raise Conflict if there is one of that name."""
    inserted = insert_if_absent(session, Tenant, name=name, created_at=now(session))
    if inserted is None:
        raise Conflict(f"tenant {excerpt(name)} exists already; choose another name")
    audit_log.record(session, inserted, by.key_id, "tenant.created", name, {})
    return session.get_one(Tenant, inserted)


def suspend(session: Session, name: str, by: Principal) -> Tenant:
    """Suspend a tenant: its keys are refused, its queued jobs and its schedules wait; running jobs finish.

    Raises:
        NotFound: no such tenant.
        Conflict: it is the caller's own.
    """
    tenant = lock_other(session, name, by)
    if tenant.suspended_at is None:
        tenant.suspended_at = now(session)
        audit_log.record(session, tenant.id, by.key_id, "tenant.suspended", name, {})
    session.flush()
    return tenant


def resume(session: Session, name: str, by: Principal) -> Tenant:
    """End the suspension of a tenant. Raise NotFound, Conflict if its deletion has begun."""
    tenant = lock_other(session, name, by)
    if tenant.deletion_began_at is not None:
        raise Conflict(f"tenant {excerpt(name)} is partly deleted; delete it again to finish that")
    if tenant.suspended_at is not None:
        tenant.suspended_at = None
        audit_log.record(session, tenant.id, by.key_id, "tenant.resumed", name, {})
    session.flush()
    return tenant


def lock_other(session: Session, name: str, by: Principal) -> Tenant:
    """Return a tenant, locked until the transaction ends.

    Raises:
        NotFound: no such tenant.
        Conflict: it is the caller's own, who would lock himself out.
    """
    found = get(session, name)
    if found.id == by.tenant_id:
        raise Conflict(f"tenant {excerpt(name)} is your own; another operator can suspend, resume or delete it")
    query = select(Tenant).where(Tenant.id == found.id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()
