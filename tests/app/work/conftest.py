"""Each test gets a fresh database of both kinds; ``sales`` is a data set in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.db import Database
from app.store.migrate import migrate
from app.store.tables import Revision
from tests.app.work.small_jobs import keep, weeks
from tests.postgres import database_fixture, database_url_fixture, postgres_server  # noqa: F401


@pytest.fixture
def sales(database: Database) -> Revision:
    """90 days of three series."""
    return keep(database, weeks())


@pytest.fixture(name="sqlite")
def sqlite_fixture(tmp_path: Path) -> Iterator[Database]:
    """A database in a file, for what does not depend on its kind."""
    url = f"sqlite:///{tmp_path / 'one.db'}"
    migrate(url)
    database = Database(url)
    yield database
    database.dispose()


@pytest.fixture(name="postgres")
def postgres_fixture() -> Iterator[Database]:
    """A database on a server, for what needs two writers at once."""
    database = Database(postgres_server().new_database())
    yield database
    database.dispose()
