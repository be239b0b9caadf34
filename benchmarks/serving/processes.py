"""Servers as trees of processes on one core: start, memory, CPU time, and end of all of them."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.results import ROOT
from benchmarks.server import installed
from benchmarks.serving.load import HOST, once

START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 10.0
POLL_S = 0.01
OK = 200


class NotRun(Exception):
    """A contestant cannot be measured, for the reason in the message."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running server; ``start_s`` is the time from its command to its first answer, which is ``first``."""

    root: psutil.Process
    port: int
    start_s: float
    first: Any

    def cpu_s(self) -> float:
        """Return the CPU seconds of all its processes so far."""
        return sum(map(_cpu_s, tree(self.root)))

    def memory_mb(self) -> float:
        """Return the resident memory of all its processes; shared memory counts for each."""
        return sum(map(_memory_bytes, tree(self.root))) / 1e6


@contextmanager
def running(
    command: Sequence[str], env: Mapping[str, str], request: bytes, core: int | None, log: Path
) -> Iterator[Running]:
    """Run ``command`` on one core (any if None) and wait until it answers ``request``; ``{port}`` is a free port.

    Raises:
        NotRun: it ended, or did not forecast in ``START_TIMEOUT_S``.
    """
    port = _free_port()
    words = [word.replace("{port}", str(port)) for word in command]
    line = words if core is None else pinned(words, core)
    began_s = time.perf_counter()
    with log.open("wb") as output:
        environment = {**installed(os.environ), "PYTHONPATH": str(ROOT), **env}
        root = psutil.Popen(line, env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        first = _first_answer(root, port, request, began_s + START_TIMEOUT_S, log)
        yield Running(root, port, time.perf_counter() - began_s, first)
    finally:
        end(root)


def pinned(command: Sequence[str], core: int) -> list[str]:
    """Return ``command`` on one core."""
    return ["taskset", "--cpu-list", str(core), *command]


def tree(root: psutil.Process) -> list[psutil.Process]:
    """Return a process and its living descendants."""
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(root: psutil.Process) -> None:
    """Terminate the first process, then kill all of its descendants that are left."""
    started = tree(root)
    with suppress(psutil.NoSuchProcess):
        root.terminate()
    psutil.wait_procs([root], END_TIMEOUT_S)
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(started, END_TIMEOUT_S)


def _first_answer(root: psutil.Process, port: int, request: bytes, deadline_s: float, log: Path) -> Any:
    """Return the content of the first answer, read as JSON."""
    said = "nothing"
    while time.perf_counter() < deadline_s:
        if root.poll() is not None:
            raise NotRun(f"it ended with status {root.returncode}: {_tail(log)}")
        try:
            status, content = once(port, request)
        except OSError as error:
            said = str(error)
        else:
            if status == OK:
                return json.loads(content)
            said = f"{status} {content[:200]!r}"
        time.sleep(POLL_S)
    raise NotRun(f"no forecast in {START_TIMEOUT_S:.0f} s, at last {said}: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_bytes()[-500:].decode(errors="replace").strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0  # it has just ended, and did nothing for a forecast
    return float(times.user + times.system)


def _memory_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
