"""Each kind of damage is found, in words, and a whole database has none."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from app.store.db import HEAD, Database, DatabaseDamaged
from app.store.verification import find_damage
from tests.app.store.old_rows import insert_rows_of

FLIPPED = {"sqlite": "CAST(replace({0}, 'e', 'f') AS BLOB)", "postgresql": "set_byte({0}, 0, 1)"}


@pytest.fixture(name="full")
def full_fixture(database: Database) -> Database:
    """A database with rows in every table."""
    with database.write() as session:
        insert_rows_of(session.connection(), HEAD)
    return database


def run(database: Database, statement: str) -> None:
    with database.write() as session:
        session.execute(text(statement))


def found(database: Database) -> dict[str, str]:
    return {damage.subject: damage.problem for damage in find_damage(database)}


def test_a_whole_database_has_no_damage(full: Database) -> None:
    assert found(full) == {}


def test_stored_bytes_that_do_not_have_their_checksum_are_named(full: Database) -> None:
    kind = full.url.get_backend_name()
    # A flipped byte, bytes of another version, and a part of a file that is missing.
    for table, column in {"checkpoints": "data", "revisions": "chunk"}.items():
        run(full, f"UPDATE {table} SET {column} = {FLIPPED[kind].format(column)}")  # noqa: S608
    run(full, "UPDATE versions SET bundle = (SELECT chunk FROM revisions WHERE id = 5) WHERE id = 4")
    run(full, "DELETE FROM artifact_parts WHERE number = 2")
    damages = found(full)
    version = damages.pop("version 1 of demand of tenant acme")
    assert "was registered; move its aliases to another version, or restore the database from a backup" in version
    assert damages == {
        "data set sales": "its rows up to revision 1 do not have their SHA-256; restore a backup",
        "data set copy": "its rows up to revision 1 do not have their SHA-256; restore a backup",
        "data set umsatz": "its rows up to revision 1 do not have their SHA-256; restore a backup",
        "checkpoint of job j4": "it does not have its SHA-256; queue the job again",
        "file forecast.csv of job j1": "it does not have its SHA-256; run it again",
    }


def test_a_bundle_with_its_checksum_that_cannot_be_read_is_named(full: Database) -> None:
    run(full, "UPDATE versions SET bundle = (SELECT data FROM checkpoints), sha256 = (SELECT sha256 FROM checkpoints)")
    assert "not a Forecastle container" in found(full)["version 2 of demand of tenant acme"]


def test_an_alias_of_a_deleted_version_and_a_job_that_nobody_would_take_over_are_named(full: Database) -> None:
    run(full, "UPDATE aliases SET version_id = 7")
    run(full, "UPDATE jobs SET lease_until = NULL, children_total = 0 WHERE id = 'j4'")
    run(full, "UPDATE job_attempts SET ended_at = NULL, job_id = 'j4', token = id")
    assert found(full) == {
        "alias champion of demand": "its version 1 is deleted or of another model; move it",
        "job j4": "2 of its attempts have not ended",
    }
    run(full, "UPDATE job_attempts SET ended_at = started_at WHERE id = 1")
    assert found(full)["job j4"] == "it runs without a lease, so that nobody takes it over; cancel it"


def test_a_schema_of_another_release_is_all_that_is_said(full: Database) -> None:
    run(full, "UPDATE alembic_version SET version_num = '0001'")
    assert found(full) == {"schema": f"it has schema 0001, and this release needs {HEAD}; run 'forecastle migrate'"}


@pytest.fixture(name="file")
def file_fixture(sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sqlite_template, tmp_path / "forecastle.db"))


def test_a_row_that_names_none_is_found_in_sqlite(file: Path) -> None:
    database = Database(f"sqlite:///{file}", foreign_keys=False)
    with database.write() as session:
        insert_rows_of(session.connection(), HEAD)
        session.execute(text("DELETE FROM models WHERE id = 2"))
    assert "it names a row of models that does not exist" in found(database).values()
    database.dispose()


def test_pages_that_were_overwritten_are_found_in_sqlite(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    with database.write() as session:
        insert_rows_of(session.connection(), HEAD)
        page = session.scalars(text("SELECT rootpage FROM sqlite_master WHERE name = 'versions'")).one()
        size_bytes = session.scalars(text("PRAGMA page_size")).one()
    database.dispose()
    with file.open("r+b") as raw:
        raw.seek((page - 1) * size_bytes)
        raw.write(b"\xff" * size_bytes)
    assert "restore a backup" in found(Database(f"sqlite:///{file}"))["database"]


def test_a_file_of_another_kind_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "forecastle.db").write_bytes(b"unique_id,ds,y\n" * 1000)
    with pytest.raises(DatabaseDamaged, match="the database is damaged; restore a backup of it") as caught:
        found(Database(f"sqlite:///{tmp_path / 'forecastle.db'}"))
    assert caught.value.reason == "file is not a database"
