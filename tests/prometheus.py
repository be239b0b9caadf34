"""Prometheus and promtool for tests: those of the machine, or else those of Debian's package, unpacked in the cache."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "forecastle-tests" / "prometheus"
PACKAGE = "prometheus"
DOWNLOAD = ["apt-get", "download", PACKAGE]


@cache
def program(name: str) -> str:
    """Return the path of ``promtool`` or ``prometheus``; the test fails in words where there is none."""
    found = shutil.which(name)
    unpacked = CACHE / "usr" / "bin" / name
    if found is None and not unpacked.exists():
        _unpack()
    return found or str(unpacked)


def _unpack() -> None:
    """Download Debian's package and unpack it, which needs no rights and starts no service."""
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        if subprocess.run(DOWNLOAD, cwd=CACHE, capture_output=True, check=False).returncode != 0:
            subprocess.run(["apt-get", "update"], capture_output=True, check=True)
            subprocess.run(DOWNLOAD, cwd=CACHE, capture_output=True, check=True)
        (archive,) = CACHE.glob(f"{PACKAGE}_*.deb")
        subprocess.run(["dpkg-deb", "--extract", archive, CACHE], capture_output=True, check=True)
        archive.unlink()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.fail(
            f"these tests need promtool and prometheus; install them, such as 'apt install prometheus': {error}"
        )
