"""``make`` before anything is installed: the version of Python, an old virtual environment, two commands at once."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A Python of the version {version}: tells it, makes environments whose Python is a copy of itself, and notes what pip
# is asked for. Its last version digit differs from that of no environment, as only the first two numbers count.
FAKE_PYTHON = """#!/bin/sh
case "$1 $2" in
"-c import sys"*) echo {version} ;;
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip") echo "$@" >> installed ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh copy of the files that ``make`` reads before it has installed the package."""
    for name in ("Makefile", "pyproject.toml", "deploy/virtual-environment.sh", "deploy/locks/cpu.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def python(clone: Path, version: str, name: str = "a-python") -> Path:
    """Write a Python of this version into the folder ``bin``, and return its file."""
    file = clone / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(FAKE_PYTHON.format(version=version))
    file.chmod(0o755)
    return file


def make(clone: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "PORT"}  # of a make that runs this test
    env = {name: value for name, value in os.environ.items() if name not in outer}
    env["PATH"] = f"{clone / 'bin'}{os.pathsep}{env['PATH']}"
    command = ["make", "--no-print-directory", *words]
    return subprocess.run(command, cwd=clone, env=env | more, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0", "2.7.18"])
def test_a_python_of_another_version_is_refused_by_name_before_anything_is_made(clone: Path, version: str) -> None:
    python(clone, version, "python3")
    python(clone, "3.12.1", "python3.13")  # the first name that is looked for
    result = make(clone, "serve")
    assert result.returncode != 0
    wanted = f"error: Python 3.11 to 3.13 is needed, and python3 is {version}; run: make serve PYTHON=python3.13"
    assert wanted in result.stderr.splitlines()
    assert not (clone / ".venv").exists()


def test_a_python_that_is_not_there_is_named(clone: Path) -> None:
    result = make(clone, "serve", "PYTHON=python4.2")
    assert "error: there is no python4.2 here; Python 3.11 to 3.13 is needed; " in result.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_explained_and_leaves_nothing_behind(clone: Path) -> None:
    file = python(clone, "3.12.1")
    file.write_text(file.read_text().replace('"-m venv") ', '"-m venv") mkdir .venv; exit 1; '))
    result = make(clone, "packages", f"PYTHON={file}")
    assert "apt install python3.12-venv" in result.stderr
    assert not (clone / ".venv").exists()


def test_an_environment_of_another_python_is_made_anew(clone: Path) -> None:
    python(clone, "3.10.13", "python3")
    assert make(clone, "packages", f"PYTHON={python(clone, '3.11.7')}").returncode == 0
    (clone / ".venv" / "of-3.11").touch()
    result = make(clone, "packages", f"PYTHON={python(clone, '3.12.1')}")
    assert "the virtual environment .venv has Python 3.11.7; making it anew with 3.12.1" in result.stderr
    assert not (clone / ".venv" / "of-3.11").exists()
    lock, package, *again = (clone / "installed").read_text().splitlines()
    assert again == [lock, package]
    assert lock.endswith("--require-hashes --requirement deploy/locks/cpu.txt")
    assert package.endswith("--no-deps --no-build-isolation --editable .")
    # From now on no Python need be named: the environment keeps its own, although python3 is too old.
    done = make(clone, "packages")
    assert (done.returncode, done.stderr) == (0, "")
    assert len((clone / "installed").read_text().splitlines()) == 4
    # A lock that has changed is installed.
    (clone / "deploy" / "locks" / "cpu.txt").touch()
    assert make(clone, "packages").returncode == 0
    assert len((clone / "installed").read_text().splitlines()) == 6


def test_an_environment_that_does_not_start_is_made_anew(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(clone / "removed")
    result = make(clone, "packages", f"PYTHON={python(clone, '3.12.1')}")
    assert result.returncode == 0, result.stderr
    assert "has Python that does not start; making it anew" in result.stderr


def test_packages_that_cannot_be_installed_are_tried_again_by_the_next_command(clone: Path) -> None:
    file = python(clone, "3.12.1")
    file.write_text(file.read_text().replace('"-m pip") ', '"-m pip") [ -e network ] || exit 1; '))
    result = make(clone, "packages", f"PYTHON={file}")
    assert "error: the packages were not installed; pip says why above" in result.stderr
    (clone / "network").touch()
    assert make(clone, "packages").returncode == 0


@pytest.mark.skipif(shutil.which("flock") is None, reason="two commands wait for each other by flock of util-linux")
def test_of_two_commands_at_once_one_installs_and_the_other_waits(clone: Path) -> None:
    file = python(clone, "3.12.1")
    file.write_text(file.read_text().replace('"-m pip") ', '"-m pip") sleep 0.3; '))
    command = ["make", "packages", f"PYTHON={file}"]
    both = [subprocess.Popen(command, cwd=clone, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len((clone / "installed").read_text().splitlines()) == 2


def test_make_from_another_folder_says_how(clone: Path) -> None:
    elsewhere = clone / "elsewhere"
    elsewhere.mkdir()
    result = make(elsewhere, "-f", "../Makefile", "serve")
    assert result.returncode != 0
    assert "run make in the folder of Forecastle, or from elsewhere: make -C FOLDER serve" in result.stderr


def test_help_lists_every_command() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    commands = {line.partition(":")[0] for line in lines if "  ## " in line}
    assert {"serve", "help", "test", "clean"} <= commands
    listed = make(ROOT, "help").stdout
    assert [command for command in commands if f"make {command} " not in listed] == []


def test_the_port_reaches_the_check_and_the_server() -> None:
    serve = [line for line in make(ROOT, "--dry-run", "serve", "PORT=8123").stdout.splitlines() if "forecastle" in line]
    assert serve[0] == ".venv/bin/forecastle serve --port 8123 --check-port"  # before a model is trained
    assert serve[-1] == ".venv/bin/forecastle serve --port 8123"
