"""Migration of a database to the newest schema. Apart from ``db``, so that a serving process does not load Alembic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

import migrations
from app.store.db import Database
from app.store.permissions import create_private
from app.store.schema import NewerSchema, is_newer, schema_number

# Any number, as long as nothing else in the same database uses it as an advisory lock.
ADVISORY_LOCK = 4_051_947_220
WAIT_FOR_OTHER_S = 600


def migrate(url: str) -> None:
    """Upgrade the database at ``url`` to the newest schema; create an SQLite file and its folder if absent.

    It is safe to repeat it and to run it in several processes: the upgrade is one transaction under one lock. One that
    was interrupted has changed nothing.

    Raises:
        NewerSchema, DatabaseUnreachable
    """
    with migration(url) as connection:
        found = schema_number(connection)
        if found is not None and is_newer(found):
            raise NewerSchema(found)
        command.upgrade(config(connection), "head")


@contextmanager
def migration(url: str) -> Iterator[Connection]:
    """Open a transaction that may change the schema, and that no other such transaction runs beside.

    On SQLite foreign keys are checked at its end only.
    """
    # SQLite can change a column only by rebuilding its table, which no row may point at while foreign keys are on.
    database = Database(url, foreign_keys=False)
    if database.url.get_backend_name() == "sqlite":
        create_private(Path(str(database.url.database)))
    try:
        with database.write() as session:
            connection = session.connection()
            _lock(connection)
            yield connection
            _check_foreign_keys(connection)
    finally:
        database.dispose()


def config(connection: Connection) -> Config:
    """Return Alembic's configuration for one connection; it also serves ``alembic.command.revision``."""
    config = Config(attributes={"connection": connection})
    folder = str(Path(migrations.__file__).parent)
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and (broken := connection.execute(text("PRAGMA foreign_key_check")).all()):
        raise RuntimeError(f"the migration broke {len(broken)} foreign keys, first {broken[0]}; report it")


def _lock(connection: Connection) -> None:
    # On SQLite, BEGIN IMMEDIATE holds the lock already.
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_FOR_OTHER_S}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
