"""Content of one tenant, read in small transactions, so that an export holds neither memory nor a connection."""

from collections.abc import Iterator

import orjson
from sqlalchemy import Column, LargeBinary, Table, literal, select, tuple_

from app.store import artifacts, datasets, panels, registry
from app.store.db import Database
from app.store.tables import Artifact, Dataset, Model, Version
from app.store.tenant_deletion import owned_rows
from models.data.panel import Panel

ROWS_AT_ONCE = 100
SECRET_COLUMNS = {"secret", "previous_secret", "secret_sha256", "runner_sha256"}


def tables_of(database: Database, tenant_id: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the name of each table and its rows of a tenant as lines of JSON, without secrets and large bytes."""
    for table, _ in reversed(list(owned_rows(tenant_id))):
        yield table.name, _lines(database, table, tenant_id)


def panels_of(database: Database, tenant_id: int) -> Iterator[tuple[str, Panel]]:
    """Yield the name and the newest content of each data set of a tenant."""
    with database.read() as session:
        names = list(session.scalars(select(Dataset.name).where(Dataset.tenant_id == tenant_id).order_by(Dataset.id)))
    for name in names:
        with database.read() as session:
            panel = panels.load(session, tenant_id, datasets.revision(session, tenant_id, name))
        yield name, panel


def bundles_of(database: Database, tenant_id: int) -> Iterator[tuple[str, int, bytes]]:
    """Yield model, number and bundle of each version of a tenant whose bytes are not deleted."""
    query = select(Version.id, Version.number, Model.name).join(Model, Model.id == Version.model_id)
    kept = query.where(Version.tenant_id == tenant_id, Version.deleted_at.is_(None)).order_by(Version.id)
    with database.read() as session:
        versions = session.execute(kept).all()
    for version_id, number, model in versions:
        with database.read() as session:
            yield model, number, registry.bundle(session, tenant_id, version_id)


def artifacts_of(database: Database, tenant_id: int) -> Iterator[tuple[str, str, Iterator[bytes]]]:
    """Yield job, name and content of each complete file of a tenant's jobs."""
    query = select(Artifact.id, Artifact.job_id, Artifact.name).where(Artifact.tenant_id == tenant_id)
    with database.read() as session:
        files = session.execute(query.where(Artifact.sha256.is_not(None)).order_by(Artifact.id)).all()
    for artifact_id, job_id, name in files:
        yield job_id, name, _parts(database, artifact_id)


def exported_columns(table: Table) -> list[Column[object]]:
    """Return the columns of a table that an export has: without secrets and large bytes."""
    return [
        column for column in table.c if column.name not in SECRET_COLUMNS and not isinstance(column.type, LargeBinary)
    ]


def _lines(database: Database, table: Table, tenant_id: int) -> Iterator[bytes]:
    is_own = dict(owned_rows(tenant_id))[table]
    key = list(table.primary_key)
    query = select(*exported_columns(table)).where(is_own).order_by(*key).limit(ROWS_AT_ONCE)
    page = query
    while True:
        with database.read() as session:
            rows = session.execute(page).mappings().all()
        for row in rows:
            yield orjson.dumps({column.name: row[column] for column in exported_columns(table)}, default=str) + b"\n"
        if len(rows) < ROWS_AT_ONCE:
            return
        last = [literal(rows[-1][column], column.type) for column in key]
        page = query.where(tuple_(*key) > tuple_(*last))


def _parts(database: Database, artifact_id: int) -> Iterator[bytes]:
    """Yield the parts of a file, each read in a transaction of its own."""
    number = 1
    while True:
        with database.read() as session:
            part = artifacts.read_part(session, artifact_id, number)
        if part is None:
            return
        yield part
        number += 1
