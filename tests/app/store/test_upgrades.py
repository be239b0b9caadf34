"""Upgrades of databases with data, from every schema that there was, and processes of two releases side by side."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from app.store import datasets, panels, registry
from app.store.db import HEAD, Database
from app.store.migrate import config, migrate, migration
from app.store.schema import find_mismatch, schema_number
from app.store.verification import find_damage
from models.engines.onnx import OnnxEngine
from models.forecasting import bundle
from models.forecasting.forecaster import forecast, make_runnable
from tests.app.store.old_rows import RECORDED, insert_own_rows, insert_rows_of

Rows = dict[str, list[dict[str, Any]]]  # by table
# Columns that a migration removed, and that the release before it neither read nor wrote any more.
REMOVED: set[tuple[str, str]] = set()


def rows(connection: Connection) -> Rows:
    """Every row, with the values as they are stored."""
    return {
        table: [dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()]  # noqa: S608
        for table in inspect(connection).get_table_names()
        if table != "alembic_version"
    }


def columns(connection: Connection) -> dict[tuple[str, str], Any]:
    found = inspect(connection).get_multi_columns()
    return {(str(table), column["name"]): column for (_, table), own in found.items() for column in own}


def schemas(connection: Connection) -> list[str]:
    scripts = ScriptDirectory.from_config(config(connection)).walk_revisions()
    return sorted(script.revision for script in scripts)


def test_rows_of_every_schema_outlive_every_later_migration(empty_url: str) -> None:
    """Migrate step by step; the rows that each schema made possible are inserted when it is the newest."""
    before: Rows = {}
    with migration(empty_url) as connection:
        for schema in schemas(connection):
            command.upgrade(config(connection), schema)
            insert_own_rows(connection, schema)
            after = rows(connection)
            for table, kept in before.items():
                for row in kept:
                    assert any(row.items() <= one.items() for one in after[table]), (schema, table, row)
            before = after
    assert all(before.values()), "a table without a row: insert one in tests/app/store/schemas"
    assert never_set(before) == set(), "columns without a value: insert one in tests/app/store/schemas"
    database = Database(empty_url)
    assert find_mismatch(database) is None
    assert list(find_damage(database)) == []
    forecasts_are_those_of_its_time(database)
    database.dispose()


def never_set(found: Rows) -> set[tuple[str, str]]:
    """The columns that are NULL in every row."""
    values = [((table, name), one) for table, kept in found.items() for row in kept for name, one in row.items()]
    return {name for name, _ in values} - {name for name, one in values if one is not None}


def forecasts_are_those_of_its_time(database: Database) -> None:
    """The champion of the first schema, on the data set of the first schema, against its recorded forecasts."""
    with database.read() as session:
        revision = datasets.revision(session, 7, "sales")
        panel = panels.load(session, 7, revision)
        champion = registry.champion(session, 7, "demand")
        assert champion is not None
        back = bundle.from_bytes(registry.bundle(session, 7, champion.id))
    found = forecast(make_runnable(back.members, OnnxEngine), back.calibration, panel, 2, [80])
    recorded = RECORDED["forecasts"]["gru_direct"]
    assert found.median.tolist() == [pytest.approx(row, rel=1e-6) for row in recorded["mean"]]


def test_a_migration_only_adds_and_loosens(tmp_path: Path) -> None:
    """Processes of the earlier release go on with the newer schema: all that they read and write is still there."""
    with migration(f"sqlite:///{tmp_path / 'forecastle.db'}") as connection:
        before: dict[tuple[str, str], Any] = {}
        for schema in schemas(connection):
            command.upgrade(config(connection), schema)
            after = columns(connection)
            for name, column in after.items():
                old = before.get(name)
                if old is not None:
                    assert str(column["type"]) == str(old["type"]), (schema, name)
                    assert column["nullable"] or not old["nullable"], f"{schema}: rows without {name} are refused"
                elif name[0] in {table for table, _ in before}:
                    has_value = column["nullable"] or column["default"] is not None
                    assert has_value, f"{schema}: rows of the earlier release have no {name}"
            assert before.keys() - REMOVED <= after.keys(), f"{schema}: earlier releases read what it removes"
            before = after


def test_what_every_earlier_release_writes_is_taken_by_the_newest_schema(database: Database) -> None:
    with database.write() as session:
        insert_rows_of(session.connection(), HEAD)
    assert list(find_damage(database)) == []


# A migration that is killed when it creates the table of the audit log, in its last third.
KILLED = """
import os, signal, sys
from sqlalchemy import Engine, event
from app.store.migrate import migrate

@event.listens_for(Engine, "before_cursor_execute")
def kill(connection, cursor, statement, *_):
    if "CREATE TABLE audit_events" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

migrate(sys.argv[1])
"""


def test_a_migration_that_is_killed_has_changed_nothing_and_is_repeated(empty_url: str) -> None:
    with migration(empty_url) as connection:
        command.upgrade(config(connection), "0002")
        insert_own_rows(connection, "0001")
        insert_own_rows(connection, "0002")
        before = rows(connection)
    assert subprocess.run([sys.executable, "-c", KILLED, empty_url], check=False).returncode == -9
    with migration(empty_url) as connection:
        assert (schema_number(connection), rows(connection)) == ("0002", before)
    migrate(empty_url)
    database = Database(empty_url)
    assert find_mismatch(database) is None
    forecasts_are_those_of_its_time(database)
    database.dispose()
