"""Fault tests are done to real processes, on fresh databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.db import Database
from app.store.migrate import migrate
from tests.app.work.conftest import postgres_fixture, sqlite_fixture  # noqa: F401
from tests.faults.crew import Crew, crew_on
from tests.postgres import database_fixture, database_url_fixture, postgres_server  # noqa: F401


@pytest.fixture(name="crew")
def crew_fixture(database: Database) -> Iterator[Crew]:
    """Nobody yet, on a fresh database of each kind."""
    with crew_on(database) as crew:
        yield crew


@pytest.fixture(name="staff", scope="module", params=["sqlite", "postgresql"])
def staff_fixture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """A worker for the tests of a module that leave it alive: it takes six jobs at once."""
    url = f"sqlite:///{tmp_path_factory.mktemp('staff') / 'forecastle.db'}"
    if request.param == "postgresql":
        url = postgres_server().new_database()
    else:
        migrate(url)
    with crew_on(Database(url)) as crew:
        crew.hire(slots=6)
        yield crew


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A file for what the works say."""
    file = tmp_path / "log"
    file.touch()
    return file
