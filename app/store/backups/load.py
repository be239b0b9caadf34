"""Restoring a backup into an empty database: of the schema of the backup first, which is then migrated."""

from base64 import b64decode
from collections.abc import Callable
from datetime import date, datetime
from typing import IO, Any

from alembic import command
from sqlalchemy import Connection, Date, LargeBinary, Table, select, text
from sqlalchemy.types import TypeEngine

from app.problems import Conflict
from app.store.backups.dump import reflect
from app.store.backups.file import BackupReader, DamagedBackup, Summary, check_backup
from app.store.db import UtcDateTime
from app.store.migrate import config, migration
from app.store.schema import NewerSchema, is_newer
from app.store.tables import Base


def restore(url: str, file: IO[bytes]) -> Summary:
    """Restore a backup, which is read twice, into the database at ``url``, in one transaction.

    Raises:
        DamagedBackup: the file is no backup, or not as it was written; nothing is changed then.
        Conflict: the database has rows.
        NewerSchema: the backup is of a newer release.
        DatabaseUnreachable
    """
    summary = check_backup(file)
    if is_newer(summary.header.schema):
        raise NewerSchema(summary.header.schema)
    file.seek(0)
    with migration(url) as connection:
        _make_room(connection)
        command.upgrade(config(connection), summary.header.schema)
        last_ids = _insert(connection, BackupReader(file))
        command.upgrade(config(connection), "head")
        for name, last_id in last_ids.items():
            _continue_ids(connection, Base.metadata.tables[name], last_id)
    return summary


def _make_room(connection: Connection) -> None:
    """Remove the tables of an empty database. Raise Conflict if one of them has a row."""
    tables = reflect(connection)
    if full := [table.name for table in tables.sorted_tables if connection.execute(select(table).limit(1)).first()]:
        raise Conflict(f"the database has rows in {', '.join(full)}; a backup is restored into an empty database only")
    tables.drop_all(connection)
    connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _insert(connection: Connection, reader: BackupReader) -> dict[str, int]:
    """Insert the rows of a backup, and return the last id of each table whose ids are numbers."""
    tables, last_ids = reflect(connection).tables, dict[str, int]()
    for described, batches in reader.tables():
        table = tables.get(described.name)
        if table is None or set(described.columns) != set(table.columns.keys()):
            raise DamagedBackup(f"the table {described.name} of the backup is not as in schema {reader.header.schema}")
        decoders = [_decoder(table.columns[name].type) for name in described.columns]
        for rows in batches:
            values = [
                {
                    name: None if value is None else decode(value)
                    for name, decode, value in zip(described.columns, decoders, row, strict=True)
                }
                for row in rows
            ]
            connection.execute(table.insert(), values)
        if described.last_id:
            last_ids[table.name] = described.last_id
    return last_ids


def _decoder(column_type: TypeEngine[Any]) -> Callable[[Any], Any]:
    """Return the function from a value of a backup to one of a column."""
    if isinstance(column_type, LargeBinary):
        return b64decode
    if isinstance(column_type, UtcDateTime):
        return datetime.fromisoformat
    return date.fromisoformat if isinstance(column_type, Date) else lambda value: value


def _continue_ids(connection: Connection, table: Table, last_id: int) -> None:
    """Let the next row of ``table`` have an id after ``last_id``."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT setval('{table.name}_id_seq', {last_id:d})"))
    elif table.dialect_options["sqlite"]["autoincrement"]:
        name = {"name": table.name, "last_id": last_id}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), name)
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last_id)"), name)
