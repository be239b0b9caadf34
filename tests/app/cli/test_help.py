"""Help texts of the commands, wrong options and wrong settings."""

import json
import subprocess
import sys

import pytest

from app.setting_names import unknown_variables
from app.store.db import HEAD
from tests.app.cli.conftest import Forecastle, Home, refused
from tests.app.work.small_jobs import crown, keep, weeks

COMMANDS = [
    ["serve"],
    ["worker"],
    ["scheduler"],
    ["migrate"],
    ["backup"],
    ["restore"],
    ["verify"],
    ["train"],
    ["forecast"],
    ["backtest"],
    ["keys", "create"],
    ["keys", "list"],
    ["keys", "rotate"],
    ["keys", "revoke"],
    ["usage"],
    ["quotas", "set"],
    ["quotas", "reset"],
    ["quotas", "list"],
    ["tenants", "list"],
    ["tenants", "create"],
    ["tenants", "suspend"],
    ["tenants", "resume"],
    ["tenants", "export"],
    ["tenants", "delete"],
    ["audit-log", "list"],
    ["audit-log", "verify"],
    ["audit-log", "export"],
    ["jobs", "list"],
    ["jobs", "show"],
    ["jobs", "cancel"],
    ["jobs", "watch"],
    ["schedules", "add"],
    ["schedules", "list"],
    ["schedules", "show"],
    ["schedules", "pause"],
    ["schedules", "resume"],
    ["schedules", "delete"],
]
TRAINING = {"fastapi", "pandas", "tensorflow", "keras"}  # and the API
HEAVY = {"numpy", "sqlalchemy", "fastapi", "pandas", "tensorflow", "onnxruntime"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example(forecastle: Forecastle, command: list[str]) -> None:
    result = forecastle(*command, "--help")
    assert result.exit_code == 0
    assert f"Example: forecastle {' '.join(command)}" in result.stdout


def test_help_imports_no_heavy_library() -> None:
    say = "import json, sys; from app.__main__ import main\ntry: main()\nfinally: print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", say, "--help"], capture_output=True, text=True, check=True)
    help_text, modules = result.stdout.rsplit("\n", 2)[:2]
    assert "serve" in help_text
    assert HEAVY & set(json.loads(modules)) == set()


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (["keys", "list"], {"numpy", "rich", "fastapi", "alembic"}),
        (["jobs", "list"], {"numpy", "rich", "fastapi", "alembic"}),
        (["jobs", "cancel", "f" * 32], {"numpy", "rich", "fastapi", "alembic"}),
        (["schedules", "list"], {"numpy", "rich", "fastapi", "alembic"}),
        (["migrate"], {"numpy", "fastapi"}),
        (["backup", "nowhere/x"], {"numpy", "rich", "fastapi", "alembic"}),
        (["forecast", "sample:retail-monthly", "-m", "shops"], TRAINING | {"rich", "app.planning"}),
        (["backtest", "sample:retail-monthly", "-m", "shops"], TRAINING | {"rich", "prometheus_client", "anyio"}),
        (["train", "nowhere.csv", "-m", "shops"], TRAINING | {"onnxruntime"}),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_a_command_imports_only_the_libraries_that_it_needs(home: Home, words: list[str], unused: set[str]) -> None:
    assert unused & imported_by(*words) == set()


def test_train_if_missing_imports_nothing_of_a_training_if_there_is_a_champion(home: Home) -> None:
    database = home.database
    crown(database, keep(database, weeks()))
    database.dispose()
    imported = imported_by("train", "nowhere.csv", "-m", "demand", "--if-missing")
    assert (TRAINING | {"onnxruntime", "pyarrow", "app.work", "app.planning", "app.formats"}) & imported == set()


def imported_by(*words: str) -> set[str]:
    """Return the modules that a command imports; that is most of its time."""
    say = "import json, sys; from app.__main__ import main\ntry: main()\nfinally: print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", say, *words], capture_output=True, text=True, check=False)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_the_package_can_be_run_as_a_module() -> None:
    result = subprocess.run([sys.executable, "-m", "app", "keys", "--help"], capture_output=True, text=True, check=True)
    assert "forecastle keys" in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["paint"],
        ["forecast"],
        ["forecast", "sales.csv"],
        ["train", "sales.csv", "--model", "demand", "--promote", "perhaps"],
        ["forecast", "sales.csv", "--model", "demand", "--format", "xml"],
        ["keys", "create", "--name", "n", "--scope", "all"],
        ["keys", "create", "--name", "n", "--days", "0"],
        ["keys", "create", "--name", "n", "--days", "99999999999"],
        ["serve", "--port", "65536"],
    ],
    ids=" ".join,
)
def test_wrong_options_exit_with_status_2(forecastle: Forecastle, home: Home, words: list[str]) -> None:
    result = forecastle(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: forecastle" in result.stderr


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("FORECASTLE_PORT", "abc", "valid integer"),
        ("FORECASTLE_LEASE_S", "0", "greater than 0"),
        ("FORECASTLE_ENGINE", "abacus", "'onnx' or 'keras'"),
        ("FORECASTLE_DATABASE_URL", "mysql://host/name", "give sqlite:"),
        ("FORECASTLE_DATABASE_URL", "postgres://host/name", "postgresql+psycopg://"),
        ("FORECASTLE_DATABASE_URL", "not an address", "give sqlite:"),
        ("FORECASTLE_DATABASE_PASSWORD_FILE", "/absent", "name a text file that this user can read"),
    ],
)
def test_a_wrong_setting_is_named_and_exits_with_status_78(
    forecastle: Forecastle, home: Home, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(setting, value)
    assert refused(forecastle("keys", "list"), f"error: {setting}: ", reason, code=78)


def test_an_unknown_setting_is_named_with_the_nearest_one(
    forecastle: Forecastle, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECASTLE_DATABSE_URL", "sqlite:////tmp/x.db")
    result = forecastle("keys", "list")
    assert refused(result, "FORECASTLE_DATABSE_URL: no such setting; did you mean FORECASTLE_DATABASE_URL?", code=78)


def test_variables_of_compose_files_clusters_and_kubernetes_are_no_unknown_settings() -> None:
    of_others = ["FORECASTLE_WORKERS", "FORECASTLE_ATTEMPT_URL", "FORECASTLE_SERVICE_PORT_HTTP"]
    of_others += ["FORECASTLE_SERVICE_HOST", "FORECASTLE_PORT_8000_TCP_ADDR", "PATH", "forecastle_port"]
    assert list(unknown_variables(of_others)) == []


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "list"],
        ["train", "sample:electricity-hourly", "-m", "demand"],
        ["forecast", "sample:electricity-hourly", "-m", "demand"],
    ],
    ids=lambda words: words[0],
)
def test_a_database_that_is_not_migrated_is_refused_and_not_created(
    forecastle: Forecastle, empty: Home, words: list[str]
) -> None:
    assert refused(forecastle(*words), "run 'forecastle migrate'")
    assert list(empty.folder.iterdir()) == []


def test_a_database_that_does_not_answer_is_one_line_of_error(
    forecastle: Forecastle, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECASTLE_DATABASE_URL", "postgresql+psycopg://127.0.0.1:1/nothing")
    assert refused(forecastle("keys", "list"), "the database does not answer")


def test_a_data_folder_that_cannot_be_created_is_one_line_of_error(
    forecastle: Forecastle, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.folder / "file").touch()
    monkeypatch.setenv("FORECASTLE_DATA_DIR", str(home.folder / "file" / "data"))
    assert refused(forecastle("migrate"), str(home.folder / "file"))


def test_migrating_twice_is_harmless(forecastle: Forecastle, empty: Home) -> None:
    for _ in range(2):
        result = forecastle("migrate")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.endswith(f"the database {empty.folder / 'forecastle.db'} has schema {HEAD}\n")
