"""Rows as each earlier schema held them, kept as SQL of its time: ``schemas/0003.sql`` is for tables of schema 0003.

They do not change when the program does. A migration that adds a table or a column gets a file of its own. The
champion of ``demand`` is the bundle ``gru_direct`` of format 1, with recorded forecasts of the data set ``sales``.
"""

import hashlib
import json
from pathlib import Path

from sqlalchemy import Connection, inspect, text

SCHEMAS = Path(__file__).parent / "schemas"
BUNDLES = Path(__file__).parents[2] / "models" / "forecasting" / "bundles"
BYTES = {"checkpoints": "data", "artifact_parts": "data", "served_forecasts": "said"}
RECORDED = json.loads((BUNDLES / "format_1.json").read_text())


def insert_rows_of(connection: Connection, schema: str) -> None:
    """Insert the rows that a database of ``schema`` may hold: those of the schemas before it, and its own."""
    for file in sorted(SCHEMAS.glob("*.sql")):
        if file.stem <= schema:
            insert_own_rows(connection, file.stem)


def insert_own_rows(connection: Connection, schema: str) -> None:
    """Insert the rows that ``schema`` made possible, beside those of the schemas before it."""
    file = SCHEMAS / f"{schema}.sql"
    for statement in file.read_text().split(";\n") if file.exists() else []:
        if statement.strip():  # a colon in a literal would read as a parameter
            connection.exec_driver_sql(statement)
    _set_bytes(connection, "versions", "bundle", (BUNDLES / "gru_direct.bundle").read_bytes())
    _set_bytes(connection, "revisions", "chunk", (SCHEMAS / "sales.chunk").read_bytes())
    connection.execute(text("UPDATE versions SET size_bytes = length(bundle) WHERE size_bytes = 0"))
    if connection.dialect.name == "sqlite":  # where a literal in a column of bytes stays text
        for table, column in BYTES.items():
            if inspect(connection).has_table(table):
                connection.execute(text(f"UPDATE {table} SET {column} = CAST({column} AS BLOB)"))  # noqa: S608
    else:  # where a row with an id of its own does not count as the last
        for name in connection.scalars(text("SELECT sequencename FROM pg_sequences")).all():
            table = name.removesuffix("_id_seq")
            connection.execute(text(f"SELECT setval('{name}', max(id)) FROM {table}"))  # noqa: S608


def _set_bytes(connection: Connection, table: str, column: str, data: bytes) -> None:
    """Put ``data`` with its SHA-256 into the rows that have none yet."""
    values = {"data": data, "sha256": hashlib.sha256(data).hexdigest()}
    connection.execute(text(f"UPDATE {table} SET {column} = :data, sha256 = :sha256 WHERE sha256 = ''"), values)  # noqa: S608
