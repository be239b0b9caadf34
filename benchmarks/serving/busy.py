"""Processes that compute beside a server and its load, on the same cores.

``python -m benchmarks.serving.busy`` computes until it is ended: sums over an array that fills a processor's cache.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks.results import ROOT

COUNT = 2
ARRAY_FLOATS = 500_000  # 4 MB of float64, more than a core's own cache


@contextmanager
def busy_processes(cores: set[int]) -> Iterator[None]:
    """Run ``COUNT`` such processes on ``cores`` for the duration of the block."""
    names = ",".join(map(str, sorted(cores)))
    line = ["taskset", "--cpu-list", names, sys.executable, "-m", "benchmarks.serving.busy"]
    processes = [subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(COUNT)]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # it has begun
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def compute() -> None:
    """Sum up an array again and again."""
    values = np.arange(ARRAY_FLOATS, dtype=np.float64)
    print("computing", flush=True)
    while True:
        values.cumsum().sum()


if __name__ == "__main__":
    compute()
