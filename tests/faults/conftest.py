"""Fault tests are done to real processes, on fresh databases."""

from tests.app.work.conftest import postgres_fixture, sqlite_fixture  # noqa: F401
