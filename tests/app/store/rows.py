"""Rows in every table, whichever tables there are: what belongs to a tenant, filled in by the types of its columns."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Column, Table, func, insert, select
from sqlalchemy.orm import Session

from app.store.tables import Base, Json
from app.store.tenant_deletion import owned_rows

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
# What the check constraints of a table allow.
ALLOWED = {
    "api_keys.scope": "read",
    "jobs.state": "succeeded",
    "versions.origin": "import",
    "schedules.misfire": "once",
    "schedules.overlap": "skip",
    "firings.outcome": "fired",
    "deliveries.state": "taken",
}
BY_TYPE: dict[type, Any] = {int: 1, float: 1.0, bool: False, bytes: b"x", datetime: NOON, date: NOON.date()}


def fill_tables(session: Session, tenant_id: int) -> None:
    """Give a tenant a row in every table that has rows of tenants, unless it has one."""
    owned = dict(owned_rows(tenant_id))
    keys: dict[Column[Any], Any] = {Base.metadata.tables["tenants"].c.id: tenant_id}
    for table in Base.metadata.sorted_tables:
        if table in owned:
            values = {column.name: _value(column, keys, tenant_id) for column in table.c if not _is_serial(column)}
            made = session.execute(select(*table.primary_key).where(owned[table]).limit(1)).one_or_none()
            made = made or session.execute(insert(table).values(values).returning(*table.primary_key)).one()
            keys |= dict(zip(table.primary_key, made, strict=True))


def count_rows(session: Session, tenant_id: int) -> dict[str, int]:
    """Return the number of a tenant's rows in every table that has rows of tenants."""
    return {
        table.name: session.scalars(select(func.count()).select_from(table).where(is_own)).one()
        for table, is_own in owned_rows(tenant_id)
    }


def tables_without_owner() -> set[str]:
    """Return the names of the tables whose rows belong to no tenant."""
    owned: set[Table] = {table for table, _ in owned_rows(1)}
    return {table.name for table in Base.metadata.sorted_tables if table not in owned}


def _is_serial(column: Column[Any]) -> bool:
    return column is column.table.autoincrement_column and not column.foreign_keys


def _value(column: Column[Any], keys: dict[Column[Any], Any], tenant_id: int) -> Any:
    for key in column.foreign_keys:
        return keys[key.column]
    allowed = ALLOWED.get(f"{column.table.name}.{column.name}")
    if allowed is not None or column.nullable:
        return allowed
    if isinstance(column.type, Json):
        return {}
    kind = getattr(column.type, "impl", column.type).python_type
    return f"t{tenant_id}" if kind is str else BY_TYPE[kind]
