"""Fixtures of the fault tests, which kill and freeze real processes on fresh databases."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.db import Database
from tests.app.work.conftest import postgres_fixture, sqlite_fixture  # noqa: F401
from tests.faults.worker_pool import WorkerPool, worker_pool
from tests.postgres import database_fixture, database_url_fixture, postgres_server  # noqa: F401


@pytest.fixture(name="pool")
def pool_fixture(database: Database) -> Iterator[WorkerPool]:
    """A pool without workers, on a fresh database of each kind."""
    with worker_pool(database) as pool:
        yield pool


@pytest.fixture(name="shared_pool", scope="module", params=["sqlite", "postgresql"])
def shared_pool_fixture(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerPool]:
    """A pool with one worker of six slots, shared by the tests of a module that leave it alive."""
    if request.param == "postgresql":
        url = postgres_server().new_database()
    else:
        url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path_factory.mktemp('shared_pool') / 'forecastle.db')}"
    with worker_pool(Database(url)) as pool:
        pool.start_worker(slots=6)
        yield pool


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log file of the job functions."""
    file = tmp_path / "log"
    file.touch()
    return file
