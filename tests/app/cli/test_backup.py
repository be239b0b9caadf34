"""``forecastle backup``, ``restore`` and ``verify``: files, streams, permissions, and words for what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.store.db import HEAD
from tests.app.cli.conftest import Forecastle, Home, refused
from tests.app.store.old_rows import RECORDED, insert_rows_of
from tests.app.work.small_jobs import eventually, put_away
from tests.models.samples import panel_of

FORECAST = ["forecast", "--model", "demand", "--horizon", "2", "--format", "json"]


@pytest.fixture(name="full")
def full_fixture(home: Home) -> Home:
    """Folder with a database that has rows in every table, and the version 1 of ``demand`` of the local tenant."""
    with home.database.write() as session:
        insert_rows_of(session.connection(), HEAD)
        session.connection().exec_driver_sql("UPDATE tenants SET name = 'default' WHERE id = 7")
    return home


def move_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECASTLE_DATA_DIR", str(folder))


def test_a_restored_service_gives_byte_equal_forecasts(
    forecastle: Forecastle, full: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, file = full.csv(panel=panel_of(*RECORDED["series"])), full.folder / "nightly.backup"
    before = forecastle(*FORECAST, data)
    made = forecastle("backup", file)
    assert (made.exit_code, made.stdout) == (0, "")
    assert f"schema {HEAD}" in made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert forecastle("verify", file).stderr.startswith("the backup is whole: ")
    move_to(full.folder / "other", monkeypatch)
    restored = forecastle("restore", file)
    assert restored.exit_code == 0, restored.stderr
    assert restored.stderr.endswith(f"into {full.folder / 'other' / 'forecastle.db'}, which has schema {HEAD}\n")
    assert forecastle(*FORECAST, data).stdout_bytes == before.stdout_bytes
    assert len(json.loads(before.stdout)) == 4
    assert forecastle("verify").exit_code == 0
    assert list(full.folder.glob("*.part")) == []


def test_a_backup_passes_through_a_pipe(forecastle: Forecastle, full: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    made = forecastle("backup", "-")
    move_to(full.folder / "piped", monkeypatch)
    restored = CliRunner().invoke(cli, ["restore", "-"], input=made.stdout_bytes)
    assert (restored.exit_code, restored.stdout) == (0, ""), restored.stderr
    assert (full.folder / "piped" / "forecastle.db").stat().st_mode & 0o777 == 0o600
    assert "k2345678" in forecastle("keys", "list").stdout


# A backup that never ends, once its file is open.
ENDLESS = "import time; from app.store.backups import dump; dump._last_id = lambda *_: time.sleep(60)"


def test_a_backup_that_is_killed_leaves_the_earlier_one_under_its_name(full: Home) -> None:
    file = full.folder / "nightly.backup"
    file.write_bytes(b"the earlier one")
    program = f"{ENDLESS}; from app.__main__ import main; main()"
    process = subprocess.Popen([sys.executable, "-c", program, "backup", str(file)])
    eventually(lambda: list(full.folder.glob("*.part")))
    put_away(process)
    assert file.read_bytes() == b"the earlier one"
    [rest] = full.folder.glob("nightly.backup.*.part")
    assert rest.stat().st_mode & 0o777 == 0o600


def test_a_failed_backup_leaves_nothing(forecastle: Forecastle, full: Home) -> None:
    with full.database.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert refused(forecastle("backup", full.folder / "b"), "schema 9999 of a newer release")
    assert list(full.folder.glob("b*")) == []
    assert refused(forecastle("backup", full.folder / "nowhere" / "b"), "No such file or directory")
    os.mkfifo(full.folder / "pipe")
    assert refused(forecastle("backup", full.folder / "pipe"), "is not a file that could be replaced")


def test_a_damaged_backup_and_a_full_database_are_refused_in_words(
    forecastle: Forecastle, full: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = full.folder / "b"
    forecastle("backup", file)
    assert refused(forecastle("restore", file), "a backup is restored into an empty database only")
    os.truncate(file, file.stat().st_size - 1)
    move_to(full.folder / "other", monkeypatch)
    assert refused(forecastle("restore", file), "the file is no backup, or was cut or changed")
    assert not (full.folder / "other").exists()
    assert refused(forecastle("verify", file), "the file is no backup, or was cut or changed")
    assert refused(forecastle("restore", full.folder / "none"), "No such file or directory")


def test_damages_of_the_database_are_a_table_and_exit_with_status_1(forecastle: Forecastle, full: Home) -> None:
    with full.database.write() as session:
        session.connection().exec_driver_sql("UPDATE artifact_parts SET number = 3 WHERE number = 1")
    found = forecastle("verify", "--format", "json")
    assert found.exit_code == 1
    [damage] = json.loads(found.stdout)
    assert damage == {
        "subject": "file forecast.csv of job j1",
        "problem": "it does not have its SHA-256; run it again",
    }


def test_a_database_file_that_was_overwritten_is_one_line_of_error(forecastle: Forecastle, home: Home) -> None:
    (home.folder / "forecastle.db").write_bytes(b"unique_id,ds,y\n" * 1000)
    for words in (["verify"], ["backup", home.folder / "b"], ["migrate"]):
        assert refused(forecastle(*words), "the database is damaged; restore a backup of it into an empty database")


def test_every_command_refuses_a_newer_schema_in_words(forecastle: Forecastle, home: Home) -> None:
    with home.database.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    remedy = f"schema 9999 of a newer release, and this one knows the schemas up to {HEAD}: use that release"
    for command in (["keys", "list"], ["worker"], ["serve", "--port", "0"], ["migrate"]):
        assert refused(forecastle(*command), remedy)
