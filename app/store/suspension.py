"""The condition of suspension, for the queries that begin work."""

from sqlalchemy import Select, select

from app.store.tables import Tenant


def suspended_tenants() -> Select[int]:
    """Return the query for the ids of all suspended tenants."""
    return select(Tenant.id).where(Tenant.suspended_at.is_not(None))
