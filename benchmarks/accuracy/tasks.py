"""Tasks of the benchmark, and the processes that run them, each on cores of its own."""

import hashlib
import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.data import datasets
from benchmarks.results import ROOT
from models.types import JsonObject

TWO_SINE, ETT, M4, SETS = SUITES = ("two-sine", "ett", "m4", "sets")
LONG = ("ett/etth1-720", "ett/etth1-336", "ett/ettm1-96", "ett/etth1-192", "ett/etth1-96", "two-sine/two-sine")
OFFICIAL = ("m4/m4_hourly", "m4/m4_weekly")
ERROR_LINES = 5
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class Task(NamedTuple):
    """One figure, or one set, of a suite."""

    suite: str
    name: str

    def __str__(self) -> str:
        return f"{self.suite}/{self.name}"


def tasks() -> list[Task]:
    """Return all tasks, longest first, so that no core idles at the end."""
    every = [*LONG, *OFFICIAL, *(f"{SETS}/{name}" for name in datasets())]
    return [Task(*each.split("/")) for each in every]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Settings of the processes: ``processes`` at a time, the Keras ``backend`` and the ``seed``."""

    processes: int
    backend: str
    seed: int
    command: tuple[str, ...] = (sys.executable, "-m", "benchmarks.accuracy.work")

    def run(self, some: Sequence[Task]) -> Iterator[tuple[Task, JsonObject]]:
        """Yield each task with its result as it ends; a failed task has ``error`` instead."""
        cores = sorted(os.sched_getaffinity(0))
        free: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        for i in range(self.processes):
            free.put(cores[i :: self.processes] or cores)
        with ThreadPoolExecutor(self.processes) as pool:
            running = {pool.submit(self._one, task, free): task for task in some}
            for done in as_completed(running):
                yield running[done], done.result()

    def _one(self, task: Task, free: "queue.SimpleQueue[list[int]]") -> JsonObject:
        cores = free.get()
        try:
            line = [*self.command, str(task), str(self.seed)]
            env = {**os.environ, "KERAS_BACKEND": self.backend, **dict.fromkeys(THREADS, str(len(cores)))}
            child = subprocess.Popen(line, env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            os.sched_setaffinity(child.pid, cores)
            out, err = child.communicate()
        finally:
            free.put(cores)
        if child.returncode:
            return {"error": err.strip().splitlines()[-ERROR_LINES:]}
        found: JsonObject = json.loads(out.splitlines()[-1])
        return found


def notebook(crew: Crew) -> Path:
    """Return the file of results, one line per task; each code revision, backend and seed has a file of its own."""
    own = [ROOT / "benchmarks" / name for name in ("data.py", "learn.py")]
    code = [*ROOT.glob("models/**/*.py"), *ROOT.glob("benchmarks/accuracy/*.py"), *own]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(code))).hexdigest()[:12]
    return ROOT / "build" / "accuracy" / f"{digest}-{crew.backend}-{crew.seed}.jsonl"


def noted(file: Path) -> dict[str, JsonObject]:
    """Return the stored results by task; failures are not stored."""
    lines = file.read_text().splitlines() if file.exists() else []
    found = {each.pop("task"): each for each in map(json.loads, lines)}
    return {task: each for task, each in found.items() if "error" not in each}
