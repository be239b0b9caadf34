"""What the smoke tests share: requests to the stack, ``docker``, and the report of each check. Standard library."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import Any, NoReturn

PORTS = list(map(int, (os.environ.get("FORECASTLE_PORT") or "8000").split("-")))  # ports of the first and the last api
URLS = [f"http://127.0.0.1:{port}" for port in range(PORTS[0], PORTS[-1] + 1)]
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
STARTED_S = time.monotonic()


def call(
    method: str,
    path: str,
    key: str | None,
    body: str | None = None,
    media_type: str = "application/json",
    url: str = URLS[0],
) -> tuple[int, Message, Any]:
    """Return status, headers and decoded body of one request."""
    headers = {} if body is None else {"Content-Type": media_type}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else body.encode()
    request = urllib.request.Request(url + path, data, headers, method=method)  # noqa: S310 - our own address
    try:
        with NO_PROXY.open(request, timeout=30) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.load(error)


def compose(*arguments: str) -> str:
    """Return the standard output of ``docker compose``."""
    return docker("compose", *arguments)


def docker(*arguments: str) -> str:
    """Return the standard output of ``docker``."""
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    if done.returncode != 0:
        fail(f"{' '.join(command[:5])} works", (done.returncode, done.stderr))
    return done.stdout.strip()


def wait_until(holds: Callable[[], bool], limit_s: float, what: str) -> None:
    """Poll until the condition holds."""
    deadline_s = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline_s:
            fail(what, f"not within {limit_s} s")
        time.sleep(0.2)
    expect(True, what)


def expect(fact: object, what: str, got: object = None) -> None:
    """Report that a condition holds, or end the run."""
    if not fact:
        fail(what, got)
    say(f"ok  {what}")


def fail(what: str, got: object) -> NoReturn:
    """Report a failed condition and end the run."""
    say(f"NOT {what}; got {got}")
    sys.exit(1)


def say(line: str) -> None:
    """Print a line with the time since the start."""
    print(f"[{time.monotonic() - STARTED_S:5.1f}] {line}", flush=True)
