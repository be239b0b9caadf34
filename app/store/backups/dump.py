"""Writing of a backup from a database in use, and the tables as they are in a database of any earlier schema."""

from collections.abc import Iterator
from datetime import UTC
from importlib.metadata import version
from typing import IO, Any

from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    cast,
    event,
    func,
    inspect,
    select,
    text,
)

from app.problems import Conflict
from app.store.backups.file import BackupWriter, Header, Summary, TableHeader
from app.store.db import Database, UtcDateTime, now
from app.store.schema import NewerSchema, is_newer, schema_number
from app.store.tables import Base, Json

MAX_FETCHED_ROWS, MAX_FETCHED_BYTES = 1_000, 16 * 1024**2


def write_backup(database: Database, out: IO[bytes]) -> Summary:
    """Write all rows of ``database`` to ``out``, as they are at one moment; others read and write meanwhile.

    Raises:
        Conflict: it has no tables.
        NewerSchema, DatabaseUnreachable
    """
    with database.read() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":  # on SQLite every transaction sees one moment
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        schema = schema_number(connection)
        if schema is None:
            raise Conflict(f"the database {database.name} has no tables, so there is nothing to back up")
        if is_newer(schema):
            raise NewerSchema(schema)
        header = Header(schema, version("forecastle"), now(session).astimezone(UTC).isoformat())
        writer = BackupWriter(out, header)
        for table in reflect(connection).sorted_tables:
            described = TableHeader(table.name, table.columns.keys(), _last_id(connection, table))
            writer.add_table(described, _rows(connection, table))
        return writer.close()


def reflect(connection: Connection) -> MetaData:
    """Return the tables that there are, of those of this release; times and JSON have the types of this release."""
    metadata = MetaData()
    event.listen(metadata, "column_reflect", _use_own_type)
    metadata.reflect(connection, only=lambda name, _: name in Base.metadata.tables)
    return metadata


def _use_own_type(_inspector: object, _table: Table, column: Any) -> None:
    if isinstance(column["type"], DateTime):
        column["type"] = UtcDateTime()
    elif isinstance(column["type"], JSON):
        column["type"] = Json()


def _rows(connection: Connection, table: Table) -> Iterator[Any]:
    """Yield the rows of a table, few at a time where rows are large."""
    large = [column for column in table.columns if isinstance(column.type, LargeBinary | Json)]
    sizes = (func.length(column if isinstance(column.type, LargeBinary) else cast(column, Text)) for column in large)
    largest = connection.scalar(select(func.max(sum(func.coalesce(size, 0) for size in sizes)))) if large else 0
    count = min(MAX_FETCHED_ROWS, max(1, MAX_FETCHED_BYTES // max(1, largest or 0)))
    query = select(table).order_by(*table.primary_key.columns)
    yield from connection.execute(query, execution_options={"yield_per": count})


def _last_id(connection: Connection, table: Table) -> int | None:
    """Return the greatest id that a row of ``table`` ever had, where the database remembers it."""
    if "id" not in table.columns or not isinstance(table.columns["id"].type, Integer):
        return None
    query = f"SELECT last_value FROM pg_sequences WHERE sequencename = '{table.name}_id_seq'"  # noqa: S608 - our own
    if connection.dialect.name == "sqlite":
        query = f"SELECT seq FROM sqlite_sequence WHERE name = '{table.name}'"  # noqa: S608
        if not inspect(connection).has_table("sqlite_sequence"):
            query = "SELECT 0"
    greatest = connection.scalar(select(func.max(table.columns["id"])))
    return max(greatest or 0, connection.scalar(text(query)) or 0)
