"""The locks of deploy/locks, and the look for known vulnerabilities."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = {file.stem: file.read_text() for file in sorted((ROOT / "deploy" / "locks").iterdir())}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = {
    "cpu": PROJECT["dependencies"] + EXTRAS["cpu"] + EXTRAS["worker"],
    "gpu": PROJECT["dependencies"] + EXTRAS["gpu"] + EXTRAS["worker"],
    "ray": PROJECT["dependencies"] + EXTRAS["ray"],
    "dev": [each for name in ("cpu", "worker", "ray", "jax", "dev") for each in EXTRAS[name]] + PROJECT["dependencies"],
    "build": ["uv", "cyclonedx-bom"],
}
ENTRY = re.compile(
    r"^([\w.-]+)(?:\[[\w,-]+\])?==([\w.+!-]+)(?: ; .+?)? \\$(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+$", re.M
)


def pins(text: str) -> set[str]:
    """The packages and versions of a lock."""
    return {f"{name}=={version}" for name, version in ENTRY.findall(text)}


def normal(requirement: str) -> str:
    """The name of a package as indexes write it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~! ]", requirement)[0]).lower()


def test_there_is_a_lock_for_every_installation() -> None:
    assert set(LOCKS) == set(WANTED)


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_a_package_with_the_hashes_of_its_files(name: str) -> None:
    assert ENTRY.sub("", LOCKS[name]).strip() == ""


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_the_versions_of_the_constraints(name: str) -> None:
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    assert pins(LOCKS[name]) <= {line.partition(" ;")[0] for line in constraints}, "run: make locks"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_every_package_that_the_project_asks_for(name: str) -> None:
    locked = {normal(pin) for pin in pins(LOCKS[name])}
    assert {normal(requirement) for requirement in WANTED[name]} <= locked, "run: make locks"


def test_setuptools_builds_the_package_and_comes_with_the_dependencies() -> None:
    assert all("setuptools" in map(normal, pins(LOCKS[name])) for name in ("cpu", "gpu", "dev"))


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ('{"name": "a", "version": "1", "vulns": []}', 0, "0 known vulnerabilities in 1 packages"),
        ('{"name": "a", "skip_reason": "not found"}', 0, "the advisory service cannot be reached"),
        ("", 0, "the advisory service cannot be reached"),
        (
            '{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}',
            1,
            "audit: a 1 has CVE-1; mended in 1.1",
        ),
    ],
    ids=["clean", "unknown", "silent", "vulnerable"],
)
def test_the_audit_tells_a_clean_answer_from_none(tmp_path: Path, answer: str, status: int, said: str) -> None:
    # An environment whose pip-audit gives this answer: the script runs the one beside its Python.
    fake = tmp_path / "pip-audit"
    document = f'{{"dependencies": [{answer}]}}' if answer else ""
    fake.write_text(f"#!/bin/sh\nprintf %s '{document}'\n")
    fake.chmod(0o755)
    (tmp_path / "python").symlink_to(sys.executable)
    (tmp_path / "lock.txt").write_text(f"a==1 \\\n    --hash=sha256:{64 * '0'}\n")
    command = [tmp_path / "python", ROOT / "deploy" / "audit.py", tmp_path / "lock.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    assert said in done.stdout
