"""Bring a database to the newest schema. Apart from ``db`` so that a serving process does not load Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

import migrations
from app.store.db import Database

# Any number, as long as nothing else in the same database uses it as an advisory lock.
ADVISORY_LOCK = 4_051_947_220
WAIT_FOR_OTHER_S = 600


def migrate(url: str) -> None:
    """Upgrade the database at ``url`` to the newest schema, making an SQLite file and its folder if need be.

    Harmless when repeated, and when several processes do it at once: all of it is one transaction under one lock.
    """
    # SQLite can change a column only by rebuilding its table, which no row may point at while foreign keys are on.
    database = Database(url, foreign_keys=False)
    if database.url.get_backend_name() == "sqlite":
        Path(str(database.url.database)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with database.write() as session:
            connection = session.connection()
            _take_turn(connection)
            command.upgrade(config(connection), "head")
            _check_foreign_keys(connection)
    finally:
        database.dispose()


def config(connection: Connection) -> Config:
    """Alembic's configuration for one connection, also for ``alembic.command.revision(…, autogenerate=True)``."""
    config = Config(attributes={"connection": connection})
    folder = str(Path(migrations.__file__).parent)
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and (broken := connection.execute(text("PRAGMA foreign_key_check")).all()):
        raise RuntimeError(f"the migration left {len(broken)} rows that point at nothing, first {broken[0]}; report it")


def _take_turn(connection: Connection) -> None:
    # On SQLite, BEGIN IMMEDIATE has taken the turn already.
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_FOR_OTHER_S}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
