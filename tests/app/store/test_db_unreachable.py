"""Which errors mean that the database is unreachable, provoked on real databases of both kinds."""

import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DataError, IntegrityError, InternalError, OperationalError, ProgrammingError

from app.store.db import Database, DatabaseDamaged, DatabaseUnreachable, now
from app.store.tables import Tenant
from tests.postgres import Postgres, postgres_server, read_only


def add_tenant(database: Database, name: str) -> None:
    with database.write() as session:
        session.add(Tenant(name=name, created_at=now(session)))


def run(database: Database, *statements: str) -> None:
    with database.write() as session:
        for statement in statements:
            session.connection().exec_driver_sql(statement)


@pytest.fixture(name="postgres")
def postgres_fixture() -> Iterator[Database]:
    database = Database(postgres_server().new_database())
    yield database
    database.dispose()


@pytest.fixture(name="sqlite")
def sqlite_fixture(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'forecastle.db')}")
    yield database
    database.dispose()


def test_an_address_where_nothing_listens_is_unreachable(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder/x.db", "postgresql+psycopg://nobody@127.0.0.1:1/none"):
        with pytest.raises(DatabaseUnreachable) as caught:
            add_tenant(Database(url), "acme")
        assert str(caught.value) == "the database does not answer; try again in a few seconds"
        assert "\n" not in caught.value.reason
        assert isinstance(caught.value.__cause__, OperationalError)


def test_a_read_only_standby_is_unreachable_for_writes_only(postgres: Database) -> None:
    add_tenant(postgres, "acme")
    with read_only(postgres):
        with postgres.read() as session:
            assert session.scalars(select(Tenant.name)).all() == ["acme"]
        with pytest.raises(DatabaseUnreachable, match="does not answer") as caught:
            add_tenant(postgres, "other")
        assert caught.value.reason == "cannot execute INSERT in a read-only transaction"
        assert isinstance(caught.value.__cause__, InternalError)
    add_tenant(postgres, "other")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["ordered stop", "crash"])
def test_a_server_that_stops_within_a_transaction_is_unreachable_until_it_is_back(how: signal.Signals) -> None:
    server: Postgres = postgres_server()
    database = Database(server.new_database())

    def stop_halfway() -> None:
        with database.write() as session:
            session.add(Tenant(name="acme", created_at=now(session)))
            session.flush()
            server.stop(how)

    try:
        with pytest.raises(DatabaseUnreachable):
            stop_halfway()
        with pytest.raises(DatabaseUnreachable):
            add_tenant(database, "acme")
    finally:
        server.start()
    add_tenant(database, "acme")  # the transaction that was cut has left nothing behind
    database.dispose()


def test_a_connection_that_is_cut_within_a_transaction_is_unreachable_once(postgres: Database) -> None:
    other = Database(postgres.url.render_as_string(hide_password=False))

    def cut_halfway() -> None:
        with postgres.write() as session:
            mine = session.scalars(text("SELECT pg_backend_pid()")).one()
            with other.read() as killer:
                killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
            session.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnreachable):
        cut_halfway()
    other.dispose()
    add_tenant(postgres, "acme")


def test_a_pool_without_a_free_connection_is_unreachable(database: Database) -> None:
    pool = database._writer.pool
    pool._timeout = 0.05  # type: ignore[attr-defined]  # thirty seconds are too long for a test
    held = [database._writer.connect() for _ in range(pool.size() + pool._max_overflow)]  # type: ignore[attr-defined]
    try:
        with pytest.raises(DatabaseUnreachable, match="does not answer") as caught:
            add_tenant(database, "acme")
        assert "QueuePool limit" in caught.value.reason
    finally:
        for connection in held:
            connection.close()
    add_tenant(database, "acme")


@pytest.mark.parametrize("state", ["53100", "57P01", "57P03", "40001", "55P03"])
def test_a_server_that_cannot_serve_at_the_moment_is_unreachable(postgres: Database, state: str) -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        run(postgres, f"DO $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END $$")
    assert caught.value.reason.startswith("not now")


def test_a_locked_and_a_write_protected_file_are_unreachable(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.store.db.LOCK_TIMEOUT_S", 0.1)
    hasty = Database(str(sqlite.url))
    with closing(sqlite3.connect(str(sqlite.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnreachable) as caught:
            add_tenant(hasty, "acme")
        assert caught.value.reason == "database is locked"
    with pytest.raises(DatabaseUnreachable) as caught:
        run(hasty, "PRAGMA query_only = ON", "DELETE FROM tenants")
    assert caught.value.reason == "attempt to write a readonly database"
    hasty.dispose()


def test_a_damaged_database_says_so_in_its_own_words(postgres: Database) -> None:
    for state in ("XX001", "XX002"):
        with pytest.raises(DatabaseDamaged, match="restore a backup of it into an empty database"):
            run(postgres, f"DO $$ BEGIN RAISE EXCEPTION 'invalid page' USING ERRCODE = '{state}'; END $$")


def test_a_removed_file_is_unreachable(sqlite: Database) -> None:
    Path(str(sqlite.url.database)).unlink()
    with pytest.raises(DatabaseUnreachable) as caught:
        add_tenant(sqlite, "acme")
    assert caught.value.reason == "no such table: tenants"


def test_errors_of_the_program_keep_their_own_type(database: Database) -> None:
    add_tenant(database, "acme")
    with pytest.raises(IntegrityError):
        add_tenant(database, "acme")
    with pytest.raises((ProgrammingError, OperationalError), match="syntax"):
        run(database, "SELEKT 1")
    with pytest.raises(ZeroDivisionError), database.write():
        raise ZeroDivisionError


def test_a_statement_after_a_failed_one_is_an_error_of_the_program(postgres: Database) -> None:
    def go_on_after_an_error() -> None:
        with postgres.write() as session:
            cursor = session.connection().connection.cursor()
            with pytest.raises(Exception, match="division by zero"):
                cursor.execute("SELECT 1 / 0")
            session.execute(text("SELECT 1"))

    with pytest.raises(InternalError, match="current transaction is aborted"):
        go_on_after_an_error()
    with pytest.raises(DataError):
        run(postgres, "SELECT 1 / 0")
