"""Fault tests are done to real processes, on a fresh database of both kinds."""

from tests.app.work.conftest import postgres_fixture, sales, sqlite_fixture  # noqa: F401
from tests.postgres import database_fixture, database_url_fixture  # noqa: F401
