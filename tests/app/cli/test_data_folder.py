"""The data folder of the command line: one place, whatever the working folder, and it is named."""

import shutil
import stat
from pathlib import Path

import pytest

from app.settings import Settings
from app.store.db import Database
from app.store.migrate import migrate
from tests.app.cli.conftest import Forecastle, refused


@pytest.fixture(name="user")
def user_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a user without settings, who works in the folder ``project``."""
    for name in ("FORECASTLE_DATA_DIR", "FORECASTLE_DATABASE_URL", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def test_the_working_folder_does_not_decide_which_database_is_used(
    forecastle: Forecastle, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = user / ".local" / "share" / "forecastle" / "forecastle.db"
    assert f"the database {database} has schema" in forecastle("migrate").stderr
    key = forecastle("keys", "create", "--name", "mine").stdout.strip()
    monkeypatch.chdir("/")
    assert key[3:11] in forecastle("keys", "list").stdout
    assert list((user / "project").iterdir()) == []


def test_data_follow_the_base_directory_specification(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(user / "data"))
    assert Settings().data_dir == user / "data" / "forecastle"
    monkeypatch.setenv("XDG_DATA_HOME", "data")  # the specification ignores relative paths
    assert Settings().data_dir == user / ".local" / "share" / "forecastle"
    monkeypatch.setenv("FORECASTLE_DATA_DIR", str(user / "mine"))
    assert Settings().data_dir == user / "mine"


def test_the_error_without_a_database_names_its_place_and_how_to_name_another(
    forecastle: Forecastle, user: Path
) -> None:
    place = user / ".local" / "share" / "forecastle" / "forecastle.db"
    assert refused(forecastle("jobs", "list"), f"there is no database {place}; ", "set FORECASTLE_DATA_DIR")
    assert not place.parent.exists()


def test_data_of_an_earlier_version_are_used_and_the_way_to_move_them_works(forecastle: Forecastle, user: Path) -> None:
    earlier, place = user / "project" / "var", user / ".local" / "share" / "forecastle"
    migrate(f"sqlite:///{earlier / 'forecastle.db'}")
    result = forecastle("keys", "list")
    assert result.exit_code == 0
    [note] = result.stderr.splitlines()
    assert note.startswith(f"note: using the data of an earlier version in {earlier}; ")
    assert note.endswith(f": mkdir -p {place.parent} && mv {earlier} {place}")
    assert not place.exists()

    place.parent.mkdir(parents=True)
    shutil.move(earlier, place)
    moved = forecastle("keys", "list")
    assert (moved.exit_code, moved.stderr) == (0, "")

    migrate(f"sqlite:///{earlier / 'forecastle.db'}")  # both: neither is taken without a word
    both = forecastle("keys", "list")
    assert both.stderr == f"note: using the data in {place}, not those of an earlier version in {earlier}\n"


def test_a_user_without_a_home_folder_is_told_to_name_a_folder(
    forecastle: Forecastle, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert refused(forecastle("keys", "list"), "FORECASTLE_DATA_DIR: Could not determine home directory", code=78)


def test_the_name_of_a_database_is_its_file_or_its_address_without_the_password(user: Path) -> None:
    assert Database("sqlite:///mine.db").name == str(user / "project" / "mine.db")
    assert Database("postgresql+psycopg://me:secret@host/name").name == "postgresql+psycopg://me:***@host/name"


def modes(folder: Path) -> dict[str, int]:
    """The permissions of a folder and its files."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


def test_only_the_owner_may_read_the_data(forecastle: Forecastle, user: Path) -> None:
    place = user / ".local" / "share" / "forecastle"
    forecastle("migrate")
    assert modes(place) == {"forecastle": 0o700, "forecastle.db": 0o600}


def test_data_that_others_could_read_are_mended_at_the_next_start_and_that_is_said_once(
    forecastle: Forecastle, user: Path
) -> None:
    place = user / ".local" / "share" / "forecastle"
    forecastle("migrate")
    (place / "api-key").touch()
    place.chmod(0o755)
    for file in place.iterdir():
        file.chmod(0o644)
    said = forecastle("keys", "list").stderr
    assert said == (
        f"note: others could read {place / 'forecastle.db'}, {place / 'api-key'}, {place}; now only this user can\n"
    )
    mended = modes(place)
    assert mended.pop("forecastle") == 0o700
    assert set(mended.values()) == {0o600}
    assert forecastle("keys", "list").stderr == ""


def test_a_folder_that_many_share_keeps_its_permissions(
    forecastle: Forecastle, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = user / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for folder in (shared, user / "project"):
        before = stat.S_IMODE(folder.stat().st_mode)
        monkeypatch.setenv("FORECASTLE_DATA_DIR", str(folder))
        forecastle("migrate")
        assert forecastle("keys", "list").stderr == ""
        assert stat.S_IMODE(folder.stat().st_mode) == before
        assert stat.S_IMODE((folder / "forecastle.db").stat().st_mode) == 0o600
