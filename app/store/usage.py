"""Use of the service by tenant and day: requests, forecast series and values, seconds of jobs, stored bytes."""

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.store.db import insert_if_absent, now
from app.store.stored_quotas import all_bytes
from app.store.tables import Tenant, UsageDay

MAX_DAYS = 400  # of one report


def record(session: Session, used: Mapping[int, Mapping[str, float]]) -> None:
    """Add to today's use of tenants, and count their stored bytes anew; ``used`` has amounts by tenant and column.

    Tenants that do not exist any more are left out.
    """
    today = now(session).date()
    # In one order for all processes, as each row is locked until the end.
    for tenant_id in session.scalars(select(Tenant.id).where(Tenant.id.in_(used)).order_by(Tenant.id)).all():
        add(session, tenant_id, today, used[tenant_id])
        own = (UsageDay.tenant_id == tenant_id) & (UsageDay.day == today.isoformat())
        session.execute(update(UsageDay).where(own).values(stored_bytes=all_bytes(session, tenant_id)))


def add(session: Session, tenant_id: int, day: date, amounts: Mapping[str, float]) -> None:
    """Add ``amounts``, by column, to the use of a tenant on one day."""
    insert_if_absent(session, UsageDay, tenant_id=tenant_id, day=day.isoformat())
    own = (UsageDay.tenant_id == tenant_id) & (UsageDay.day == day.isoformat())
    more = {name: getattr(UsageDay, name) + amount for name, amount in amounts.items()}
    session.execute(update(UsageDay).where(own).values(more))


def list_days(session: Session, tenant_id: int, first: date, last: date) -> Sequence[UsageDay]:
    """Return the days from ``first`` to ``last`` on which a tenant was active, at most the ``MAX_DAYS`` newest."""
    between = UsageDay.day.between(first.isoformat(), last.isoformat())
    query = select(UsageDay).where(UsageDay.tenant_id == tenant_id, between).order_by(UsageDay.day.desc())
    return session.scalars(query.limit(MAX_DAYS)).all()[::-1]
