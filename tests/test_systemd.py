"""The units of deploy/systemd, as systemd-analyze reads them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.setting_names import unknown_variables

UNITS = Path(__file__).parent.parent / "deploy" / "systemd"
NAMES = sorted(file.name for file in UNITS.glob("*.service"))
EXPOSURE = 2.0  # of systemd-analyze security, from 0 (nothing) to 10
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze comes with systemd")


@pytest.fixture(name="installed", scope="module")
def installed_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a system in which the units are installed, with the drop-in for PostgreSQL."""
    root = tmp_path_factory.mktemp("root")
    folder = root / "etc" / "systemd" / "system"
    shutil.copytree(UNITS, folder)
    (folder / "postgres.conf").rename(folder / "forecastle-.service.d" / "postgres.conf")
    program = root / "opt" / "forecastle" / "bin" / "forecastle"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    for name in ("network-online", "multi-user", "sysinit", "basic", "shutdown"):
        (folder / f"{name}.target").write_text("[Unit]\nDescription=A target of systemd\n")
    return root


def analyze(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", f"--root={root}", "--no-pager", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_valid_and_so_are_its_drop_ins(installed: Path, name: str) -> None:
    done = analyze(installed, "verify", name)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_hardened(installed: Path, name: str) -> None:
    done = analyze(installed, "security", "--offline=yes", f"--threshold={int(EXPOSURE * 10)}", name)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_has_limits_and_is_restarted_unless_it_ends_by_itself(name: str) -> None:
    unit = (UNITS / name).read_text()
    assert re.search(r"^MemoryMax=\w+$", unit, re.MULTILINE)
    assert re.search(r"^TasksMax=\d+$", unit, re.MULTILINE)
    assert ("Restart=always" in unit) != ("Type=oneshot" in unit)


def test_settings_are_those_that_the_program_reads() -> None:
    text = "".join(file.read_text() for file in UNITS.rglob("*.*") if file.is_file())
    assert list(unknown_variables(set(re.findall(r"\bFORECASTLE_\w+", text)))) == []
