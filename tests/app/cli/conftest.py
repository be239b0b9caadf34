"""The command line, run in this process where a test needs no other; ``home`` is a folder with a migrated database."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli import cli
from app.store.db import Database
from models.data.panel import Panel
from tests.app.work.small_jobs import weeks
from tests.models.samples import rows_of

Forecastle = Callable[..., Result]


@dataclass
class Home:
    """Data folder and its database."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        return Database(f"sqlite:///{self.folder / 'forecastle.db'}")

    def csv(self, name: str = "sales.csv", panel: Panel | None = None) -> str:
        """Write a panel as a CSV file, and return its path."""
        lines = [f"{unique_id},{ds},{y}" for unique_id, ds, y in rows_of(panel or weeks())]
        path = self.folder / name
        path.write_text("\n".join(["unique_id,ds,y", *lines]) + "\n")
        return str(path)


@pytest.fixture(name="empty")
def empty_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Folder without a database; the environment has no other settings."""
    monkeypatch.setenv("FORECASTLE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("FORECASTLE_DATABASE_URL", raising=False)
    return Home(tmp_path)


@pytest.fixture(name="home")
def home_fixture(sqlite_template: Path, empty: Home) -> Home:
    """Folder with a migrated database."""
    shutil.copy(sqlite_template, empty.folder / "forecastle.db")
    return empty


@pytest.fixture(name="forecastle")
def forecastle_fixture(monkeypatch: pytest.MonkeyPatch) -> Forecastle:
    """``forecastle("keys", "list")`` returns the output of the command by stream, and its exit code."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="forecastle")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def refused(result: Result, *words: str, code: int = 1) -> bool:
    """Return True if a command printed one line of error with these words, and nothing on stdout."""
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line
    return True
