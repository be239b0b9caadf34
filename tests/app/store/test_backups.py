"""Backups of databases of both kinds: every value comes back, in either kind; a damaged file changes nothing."""

import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from app.problems import Conflict, ServiceError
from app.store import keys
from app.store.backups import dump
from app.store.backups.dump import write_backup
from app.store.backups.file import BackupWriter, DamagedBackup, Header, check_backup
from app.store.backups.load import restore
from app.store.db import HEAD, Database, now
from app.store.migrate import migrate
from app.store.schema import NewerSchema, find_mismatch
from app.store.tables import Base, Delivery, Webhook
from tests.app.store.old_rows import insert_rows_of
from tests.postgres import postgres_server

NewDatabase = Callable[[str], Database]
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(name="new_database")
def new_database_fixture(tmp_path: Path) -> NewDatabase:
    """``new_database("sqlite")`` returns a database without tables."""

    def make(kind: str) -> Database:
        if kind == "postgresql":
            return Database(postgres_server().new_database(migrated=False))
        (tmp_path / "empty").mkdir(exist_ok=True)
        return Database(f"sqlite:///{tmp_path / 'empty' / 'forecastle.db'}")

    return make


@pytest.fixture(name="full")
def full_fixture(database: Database) -> Database:
    """A database with rows in every table."""
    with database.write() as session:
        insert_rows_of(session.connection(), HEAD)
    return database


def backup_of(database: Database) -> bytes:
    out = io.BytesIO()
    write_backup(database, out)
    return out.getvalue()


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def lines(data: bytes) -> list[Any]:
    """The lines of a backup but the first, which has the time, and the last, which has the SHA-256."""
    return [json.loads(line) for line in zstd.decompress(data).splitlines()[1:-1]]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_value_of_every_table_comes_back_in_a_database_of_either_kind(
    full: Database, new_database: NewDatabase, kind: str
) -> None:
    with full.write() as session:
        session.delete(add_delivery(session, "m2"))
    made, other = backup_of(full), new_database(kind)
    summary = restore(url_of(other), io.BytesIO(made))
    assert min(summary.rows.values()) > 0
    assert summary.rows.keys() == Base.metadata.tables.keys()
    assert summary.header.schema == HEAD
    assert lines(backup_of(other)) == lines(made)
    assert find_mismatch(other) is None
    with other.write() as session:  # ids go on after the greatest that there ever was
        assert (keys.tenant_id(session, "next"), add_delivery(session, "m3").id) == (9, 10)
    other.dispose()


def add_delivery(session: Session, message_id: str) -> Delivery:
    common = {"event": "e", "payload": {}, "state": "pending", "attempt": 0, "created_at": now(session)}
    added = Delivery(webhook_id=1, message_id=message_id, next_at=None, detail=None, **common)
    session.add(added)
    session.flush()
    return added


@on_sqlite
def test_the_values_of_a_row_are_readable_without_this_program(full: Database) -> None:
    found = lines(backup_of(full))
    at = next(i for i, line in enumerate(found) if isinstance(line, dict) and line["table"] == "versions")
    row = dict(zip(found[at]["columns"], found[at + 1], strict=True))
    assert (row["id"], row["skill"], row["deleted_at"]) == (4, 0.12345678901234568, None)
    assert row["created_at"] == "2025-01-03T08:01:00+00:00"
    assert row["spec"]["units"] == 4
    assert row["bundle"].startswith("RkNBU1RMRT")  # FCASTLE in base64


def test_a_backup_holds_one_moment_while_others_write(full: Database) -> None:
    """A writer adds a tenant with its webhook in one transaction: a backup has both, or neither."""
    stop, written = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with full.write() as session:
                tenant = keys.tenant_id(session, f"t{number}")
                common = {"url": "u", "events": [], "secret": "s", "created_by": "cli", "created_at": now(session)}
                session.add(Webhook(tenant_id=tenant, name="desk", **common))
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(20)
        counts = [check_backup(io.BytesIO(backup_of(full))).rows for _ in range(2)]
    finally:
        stop.set()
        writer.join()
    assert all(rows["tenants"] == rows["webhooks"] + 1 for rows in counts)  # globex has none
    assert 1 < counts[0]["tenants"] < counts[1]["tenants"]


def test_large_rows_are_fetched_one_by_one(full: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lines(backup_of(full))
    monkeypatch.setattr(dump, "MAX_FETCHED_BYTES", 1)
    assert lines(backup_of(full)) == made


@on_sqlite
def test_a_database_with_rows_is_refused_and_stays_as_it_is(full: Database) -> None:
    made = backup_of(full)
    with pytest.raises(Conflict, match=r"has rows in .*tenants.*; a backup is restored into an empty database only"):
        restore(url_of(full), io.BytesIO(made))
    assert lines(backup_of(full)) == lines(made)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_that_was_just_migrated_is_empty(made: bytes, new_database: NewDatabase, kind: str) -> None:
    other = new_database(kind)
    migrate(url_of(other))
    restore(url_of(other), io.BytesIO(made))
    assert lines(backup_of(other)) == lines(made)
    other.dispose()


SMALL = Header(HEAD, "0.1.0", "2026-01-01T00:00:00+00:00")


def small_backup(header: Header = SMALL) -> bytes:
    out = io.BytesIO()
    BackupWriter(out, header).close()
    return out.getvalue()


@pytest.fixture(name="made")
def made_fixture(sqlite_template: Path) -> bytes:
    """A backup of an SQLite database without rows."""
    return backup_of(Database(f"sqlite:///{sqlite_template}"))


def test_a_file_that_was_cut_anywhere_is_refused_before_anything_is_written(
    made: bytes, new_database: NewDatabase
) -> None:
    empty = new_database("sqlite")
    for size in (0, 3, len(made) // 2, len(made) - 5, len(made) - 1):
        with pytest.raises(DamagedBackup):
            restore(url_of(empty), io.BytesIO(made[:size]))
    assert not Path(empty.name).exists()


def is_same_content(data: bytes, other: bytes) -> bool:
    """Whether both are unpacked to the same bytes; a few bits of a Zstandard frame mean nothing."""
    try:
        return zstd.decompress(data) == zstd.decompress(other)
    except zstd.ZstdError:
        return False


def test_a_file_with_any_other_byte_is_refused(made: bytes) -> None:
    refused = 0
    for place in range(0, len(made), len(made) // 97):
        changed = bytearray(made)
        changed[place] ^= 0x10
        if not is_same_content(bytes(changed), made):
            with pytest.raises(DamagedBackup):
                check_backup(io.BytesIO(bytes(changed)))
            refused += 1
    assert refused > 90


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":1', b'"format":2'),
        (b'"last_id":0', b'"last_id":1'),
        (b'"tenants":0', b'"tenants":1'),
        (b'{"table":"tenants"', b'[1]\n{"table":"tenants"'),
        (b'"columns"', b'"columms"'),
        (b'"sha256":"', b'"sha256":"0'),
        (b'{"rows"', b"nonsense"),
    ],
)
def test_a_change_within_the_compressed_lines_is_refused(made: bytes, old: bytes, new: bytes) -> None:
    plain = zstd.decompress(made)
    assert old in plain
    with pytest.raises(DamagedBackup):
        check_backup(io.BytesIO(zstd.compress(plain.replace(old, new))))


# A restore that is killed when the first version is inserted.
KILLED = """
import os, signal, sys
from sqlalchemy import Engine, event
from app.store.backups.load import restore

@event.listens_for(Engine, "before_cursor_execute")
def kill(connection, cursor, statement, *_):
    if "INSERT INTO versions" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

restore(sys.argv[1], open(sys.argv[2], "rb"))
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@on_sqlite
def test_a_restore_that_is_killed_has_written_nothing_and_is_repeated(
    full: Database, new_database: NewDatabase, kind: str, tmp_path: Path
) -> None:
    file, other = tmp_path / "b", new_database(kind)
    file.write_bytes(backup_of(full))
    done = subprocess.run([sys.executable, "-c", KILLED, url_of(other), file], check=False)
    assert done.returncode == -signal.SIGKILL
    with other.read() as session:
        assert inspect(session.connection()).get_table_names() == []
    restore(url_of(other), io.BytesIO(file.read_bytes()))
    assert lines(backup_of(other)) == lines(file.read_bytes())
    other.dispose()


def test_a_file_of_another_kind_is_refused() -> None:
    for data in (b"", b"PK\x03\x04", b"SQLite format 3\0" * 9, zstd.compress(b"[]\n"), small_backup() * 2):
        with pytest.raises(DamagedBackup):
            check_backup(io.BytesIO(data))


def test_a_table_with_other_columns_is_refused_and_nothing_is_left(new_database: NewDatabase) -> None:
    out = io.BytesIO()
    writer = BackupWriter(out, SMALL)
    writer.add_table(dump.TableHeader("tenants", ["id", "nickname"], 1), iter([[1, "acme"]]))
    writer.close()
    out.seek(0)
    empty = new_database("sqlite")
    with pytest.raises(DamagedBackup, match=f"table tenants of the backup is not as in schema {HEAD}"):
        restore(url_of(empty), out)
    with empty.read() as session:
        assert session.scalars(text("SELECT name FROM sqlite_master")).all() == []
    empty.dispose()


def test_a_backup_of_a_newer_release_is_refused_in_words(new_database: NewDatabase) -> None:
    newer = small_backup(Header("9999", "9.0", "2026-01-01T00:00:00+00:00"))
    with pytest.raises(NewerSchema, match="schema 9999 of a newer release, and this one knows the schemas up to"):
        restore(url_of(new_database("sqlite")), io.BytesIO(newer))


def test_a_database_without_tables_or_of_a_newer_release_is_not_backed_up(
    database: Database, new_database: NewDatabase
) -> None:
    with pytest.raises(Conflict, match="has no tables, so there is nothing to back up"):
        backup_of(new_database("sqlite"))
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ServiceError, match="of a newer release"):
        backup_of(database)


def test_a_value_that_no_table_has_is_an_error_of_the_program() -> None:
    with pytest.raises(TypeError, match="cannot hold a set"):
        BackupWriter(io.BytesIO(), SMALL).add_table(dump.TableHeader("t", ["a"], None), iter([[{1}]]))
