"""A full disk: 507 with the reason, forecasts as before, and no restart once there is room again."""

import os
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from app.store.db import Database, DatabaseFull
from tests.app.api.conftest import Caller, House, open_house
from tests.app.api.slow import wait_until
from tests.app.api.tables import series, table
from tests.fakes import says
from tests.postgres import postgres_server

ROOT = Path(__file__).parents[3]
INSIDE = "FORECASTLE_TEST_SMALL_DISK"
RANDOM = random.Random(1)
LARGE = series("shop", [RANDOM.random() for _ in range(400)])


def assert_nothing_can_be_stored(house: House, caplog: pytest.LogCaptureFixture) -> None:
    refused = house.acme.ask("POST", "/v1/datasets?name=more", **table(LARGE, "json"))
    assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
    assert refused.json()["detail"] == (
        "the disk of the database is full, so nothing was stored; free space on it and try again"
    )
    assert refused.headers["retry-after"] == "5"
    said = [vars(record)["reason"] for record in caplog.records if "DatabaseFull" in record.getMessage()]
    assert "full" in said[-1] or "No space left" in said[-1]  # the driver's words
    assert house.acme.forecast()["horizon"] == 3
    nobody = Caller(house.client, "")
    wait_until(lambda: nobody.get("/readyz")["status"] == "degraded")
    assert nobody.get("/readyz")["checks"]["database"].startswith("its disk is full")


def assert_all_is_well_again(house: House) -> None:
    house.acme.keep("more", LARGE)
    wait_until(lambda: Caller(house.client, "").get("/readyz")["status"] == "ok")


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(bytes(4096))


@pytest.mark.skipif(INSIDE not in os.environ, reason="runs within the test below")
def test_on_a_disk_of_four_megabytes(sqlite_template: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    with open_house(sqlite_template, folder) as house:
        house.register(says(1, 2, -1))
        house.acme.forecast()
        fill(folder / "others")
        assert_nothing_can_be_stored(house, caplog)
        (folder / "others").unlink()
        assert_all_is_well_again(house)


def test_on_a_full_disk_nothing_is_stored_and_all_else_works_until_there_is_room() -> None:
    command = [shutil.which("unshare"), "-m", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0"]
    if command[0] is None or subprocess.run([command[0], "-m", "true"], check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    inner = f"{Path(__file__).relative_to(ROOT)}::test_on_a_disk_of_four_megabytes"
    done = subprocess.run(
        [*map(str, command), inner],
        cwd=ROOT,
        env={**os.environ, INSIDE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout


def test_postgresql_without_room_says_so_until_it_stores_again(
    sqlite_template: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_house(sqlite_template, tmp_path, postgres_server().new_database()) as house:
        house.register(says(1, 2, -1))
        run(house.database, f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $${NO_ROOM}$$")
        for kept in ("datasets", "alembic_version"):
            run(
                house.database,
                f"CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {kept} EXECUTE FUNCTION full_disk()",
            )
        assert_nothing_can_be_stored(house, caplog)
        run(house.database, "DROP FUNCTION full_disk CASCADE")
        assert_all_is_well_again(house)


NO_ROOM = "BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END"


def run(database: Database, *statements: str) -> None:
    with database.write() as session:
        for statement in statements:
            session.connection().exec_driver_sql(statement)


def test_a_file_that_may_not_grow_is_a_full_disk_to_every_writer(sqlite_template: Path, tmp_path: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "forecastle.db")
    database = Database(f"sqlite:///{tmp_path / 'forecastle.db'}")
    with pytest.raises(DatabaseFull) as caught:
        run(database, "PRAGMA max_page_count = 1", "CREATE TABLE more AS SELECT zeroblob(100000) AS x")
    assert caught.value.reason == "database or disk is full"
    assert database.has_room()  # a small write succeeds
    database.dispose()
