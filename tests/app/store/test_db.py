from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError, StatementError

from app.store import datasets, jobs, keys
from app.store.db import Database, insert_if_absent, now
from app.store.tables import Dataset, Revision, Tenant
from tests.app.store.conftest import new_job


def test_a_block_that_fails_leaves_nothing_behind(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            keys.tenant_id(session, "acme")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as session:
        assert session.scalars(select(Tenant)).all() == []


def test_a_moment_of_any_time_zone_comes_back_in_utc(database: Database) -> None:
    noon_in_paris = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with database.write() as session:
        session.add(Tenant(name="acme", created_at=noon_in_paris))
    with database.read() as session:
        found = session.scalars(select(Tenant.created_at)).one()
    assert found.isoformat() == "2026-07-01T10:00:00.123456+00:00"
    assert found.tzinfo is UTC or found.utcoffset() == timedelta(0)


def test_a_moment_without_a_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="give an aware datetime"), database.write() as session:
        session.add(Tenant(name="acme", created_at=datetime(2026, 7, 1)))  # noqa: DTZ001


def test_now_is_the_databases_clock_and_moves_inside_a_transaction(database: Database) -> None:
    with database.read() as session:
        first, stamp = now(session), datetime.now(UTC)
        session.execute(text("SELECT 1"))
        assert abs(first - stamp) < timedelta(seconds=5)
        assert first.utcoffset() == timedelta(0)
        assert now(session) >= first


def test_a_row_that_points_nowhere_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(Dataset(tenant_id=99, name="sales", freq="D", created_at=now(session)))


def test_insert_if_absent_says_whether_it_inserted(database: Database) -> None:
    with database.write() as session:
        assert insert_if_absent(session, Tenant, name="acme", created_at=now(session)) == 1
        assert insert_if_absent(session, Tenant, name="acme", created_at=now(session)) is None


def test_nan_is_refused_in_json(database: Database, sales: Revision) -> None:
    with pytest.raises((StatementError, ValueError), match="not JSON compliant"), database.write() as session:
        jobs.enqueue(session, new_job(sales, request={"alpha": float("nan")}))


def test_large_bytes_are_not_loaded_with_their_row(database: Database, sales: Revision) -> None:
    with database.read() as session:
        found = datasets.revision(session, sales.tenant_id, "sales")
        with pytest.raises(InvalidRequestError, match="chunk"):
            _ = found.chunk


def test_a_connection_that_the_server_closed_is_replaced(database: Database) -> None:
    if database.url.get_backend_name() == "postgresql":
        with database.read() as session:
            mine = session.scalars(text("SELECT pg_backend_pid()")).one()
        other = Database(database.url.render_as_string(hide_password=False))
        with other.read() as session:
            session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
        other.dispose()
    with database.read() as session:
        assert session.scalars(text("SELECT 1")).one() == 1


def test_sqlite_waits_for_another_writer_instead_of_failing_and_is_durable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 20_000}
    with database.read() as session:
        assert {name: session.scalars(text(f"PRAGMA {name}")).one() for name in pragmas} == pragmas
    database.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql+pymysql://u:secret@host/name"])
def test_an_address_of_another_kind_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"give sqlite:////folder/file\.db or postgresql") as caught:
        Database(url)
    assert "secret" not in str(caught.value)
