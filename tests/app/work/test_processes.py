"""The environment of a child process, and its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.settings import Settings
from app.work.processes import end, environment, hold_stderr


def test_settings_reach_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORECASTLE_THREADS", "7")
    mine = Settings(data_dir=Path("here"), port=0, lease_s=1.5, max_attempts=4, threads=2)
    say = "from app.settings import Settings; print(Settings().model_dump_json())"
    told = subprocess.run(
        [sys.executable, "-c", say], env=environment(mine), cwd="/", capture_output=True, text=True, check=True
    )
    theirs = Settings.model_validate_json(told.stdout)
    assert theirs == mine.model_copy(update={"data_dir": tmp_path / "here"})
    assert theirs.url == mine.url


def test_a_secret_reaches_the_child_by_its_file_or_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, password = "postgresql://user@host/name", SecretStr("of: the/user")
    given = Settings(database_url=address, database_password=password)
    assert environment(given)["FORECASTLE_DATABASE_PASSWORD"] == "of: the/user"
    for name, text in (("database_password", "of: the/user"), ("threads", "7")):
        (tmp_path / name).write_text(text)
        monkeypatch.setenv(f"FORECASTLE_{name.upper()}_FILE", str(tmp_path / name))
    mine = Settings(database_url=address, threads=2)
    theirs = environment(mine)
    assert theirs["FORECASTLE_DATABASE_PASSWORD_FILE"] == str(tmp_path / "database_password")
    assert "FORECASTLE_DATABASE_PASSWORD" not in theirs
    # What was changed since the file was read is not read from it again.
    assert theirs["FORECASTLE_THREADS"] == "2"
    assert "FORECASTLE_THREADS_FILE" not in theirs
    for name in set(os.environ) - set(theirs):
        monkeypatch.delenv(name)
    for name, text in theirs.items():
        monkeypatch.setenv(name, text)
    assert Settings() == mine


def test_a_process_that_ends_when_asked_is_not_killed() -> None:
    with subprocess.Popen(["sh", "-c", "trap 'exit 5' TERM; echo; while :; do sleep 0.05; done"], stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        end(child)
    assert child.returncode == 5


def test_lines_of_c_libraries_are_kept_back_unless_the_block_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with hold_stderr():
        os.write(2, b"WARNING: a library is verbose\n")
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "after\n"

    def load() -> None:
        os.write(2, b"a library cannot be loaded\n")
        raise ImportError

    with pytest.raises(ImportError), hold_stderr():
        load()
    assert capfd.readouterr().err == "a library cannot be loaded\n"
