"""Fixtures: a fresh database of each kind for each test, and the data set ``sales`` in it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.db import Database
from app.store.tables import Revision
from tests.app.work.small_jobs import keep, weeks
from tests.postgres import database_fixture, database_url_fixture, postgres_server  # noqa: F401


@pytest.fixture
def sales(database: Database) -> Revision:
    """A data set of three series of 90 days."""
    return keep(database, weeks())


@pytest.fixture(name="sqlite")
def sqlite_fixture(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """An SQLite database, for tests that do not depend on the kind."""
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'one.db')}")
    yield database
    database.dispose()


@pytest.fixture(name="postgres")
def postgres_fixture() -> Iterator[Database]:
    """A PostgreSQL database, for tests that need two concurrent writers."""
    database = Database(postgres_server().new_database())
    yield database
    database.dispose()
