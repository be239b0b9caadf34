"""A real Forecastle server in a folder of its own, and a client for it."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Server:
    """Running server; ``client`` sends its key, ``ready_s`` is the time from the command to /readyz."""

    client: httpx.Client
    process: subprocess.Popen[str]
    ready_s: float


def command(folder: Path, *arguments: str) -> str:
    """Return the standard output of ``forecastle ARGUMENTS`` on the database in ``folder``; progress goes to the
    terminal.
    """
    return subprocess.run(_line(arguments), env=_env(folder), check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def serving(folder: Path, *arguments: str, **settings: str) -> Iterator[Server]:
    """Run ``forecastle serve`` on a free port over the database in ``folder``; keyword arguments are settings."""
    began_s = time.perf_counter()
    line = _line(("serve", "--port", "0", *arguments))
    env = _env(folder) | {f"FORECASTLE_{name.upper()}": value for name, value in settings.items()}
    process = subprocess.Popen(line, env=env, stderr=subprocess.PIPE, text=True)
    try:
        url, key = _read_banner(process)
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
            while client.get("/readyz").status_code != 200:
                time.sleep(0.01)
            yield Server(client, process, time.perf_counter() - began_s)
    finally:
        process.terminate()
        process.wait(30)


def _line(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "app", *arguments]


def _env(folder: Path) -> dict[str, str]:
    return {**installed(os.environ), "FORECASTLE_DATA_DIR": str(folder)}


def installed(env: Mapping[str, str]) -> dict[str, str]:
    """Return ``env`` with bytecode caching on, as after an installation; compiling at each start takes over a
    second.
    """
    return {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _read_banner(process: subprocess.Popen[str]) -> tuple[str, str]:
    assert process.stderr is not None
    text, deadline_s = "", time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and "API key" not in text:
        text += process.stderr.readline()
    url, key = re.search(r"URL +(\S+)", text), re.search(r"API key +in (.+)", text)
    if url is None or key is None:
        raise RuntimeError(f"the server did not start:\n{text}")
    # Read on, or the server blocks on a full pipe.
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return url[1], Path(key[1]).read_text().strip()
