"""Benchmark ``make bench-start``: a fresh clone, ``make serve``, and the printed ``curl`` line, as a new user would."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import ROOT, Row, publish

TIMEOUT_S = 900


def main() -> int:
    """Clone into an empty folder, serve, forecast; then serve again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "forecastle"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        first_s = first_forecast(folder)
        again_s = first_forecast(folder)
        shutil.rmtree(folder / ".venv")
    rows = [
        Row(
            name="make serve, fresh clone: command to first forecast",
            value=first_s,
            unit="s",
            better="lower",
            bar=180.0,
        ),
        Row(name="make serve, again: command to first forecast", value=again_s, unit="s", better="lower", bar=15.0),
    ]
    return publish("start", rows, {"package cache": "warm if this machine installed the packages before"})


def first_forecast(folder: Path) -> float:
    """Return the seconds from ``make serve`` to the checked answer of the printed ``curl`` line."""
    began_s = time.monotonic()
    # A port of its own: one that a user's server may hold is left alone.
    line = ["make", "serve", "PORT=8765", f"FORECASTLE_DATA_DIR={folder / 'var'}"]
    server = subprocess.Popen(line, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        curl = read_curl(server, began_s + TIMEOUT_S)
        answer = subprocess.run(["bash", "-c", curl], check=True, capture_output=True, text=True).stdout
        if '"intervals"' not in answer or '"skill"' not in answer:
            raise RuntimeError(f"the banner's line did not forecast: {answer}")
        return time.monotonic() - began_s
    finally:
        server.terminate()
        server.wait(60)


def read_curl(server: subprocess.Popen[str], deadline_s: float) -> str:
    """Return the ``curl`` line of the banner; copy all output to the terminal."""
    assert server.stderr is not None
    for text in server.stderr:
        print(text, end="", file=sys.stderr)
        match = re.match(r"\s+(curl .*)", text)
        if match:
            return match[1]
        if time.monotonic() > deadline_s:
            break
    raise RuntimeError("no banner came")


if __name__ == "__main__":
    sys.exit(main())
