"""What is measured of every contestant alike, and how."""

import itertools
import os
from collections.abc import Sequence

import numpy as np

from benchmarks.serving.contestants import Contestant
from benchmarks.serving.load import Floats, Load, Source, closed, once
from benchmarks.serving.processes import OK, NotRun, Running
from benchmarks.serving.work import Work

CONNECTIONS = 64
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))  # of each load
WARM_UP_SECONDS = 0.5
TOLERANCE = 1e-4

Figures = dict[str, float]


def alike(running: Running, contestant: Contestant, work: Work) -> Figures:
    """Requests a second and CPU of single series, CPU of many in one request, start and memory."""
    ones = [contestant.request(window[None]) for window in work.few]
    together = contestant.request(work.many)
    closed(running.port, in_turn(ones), CONNECTIONS, WARM_UP_SECONDS)
    load, one_cpu_s = loaded(running, in_turn(ones), CONNECTIONS)
    _, many_cpu_s = loaded(running, in_turn([together]), 1)
    return {
        "per_s": load.per_s,
        "cpu_us": 1e6 * one_cpu_s,
        "many_cpu_ms": 1e3 * many_cpu_s,
        "start_s": running.start_s,
        "memory_mb": running.memory_mb(),
        "generator_share": load.generator_s / load.seconds,
    }


def loaded(running: Running, source: Source, connections: int) -> tuple[Load, float]:
    """A closed load, and the server's CPU seconds for each answer.

    Raises:
        NotRun: an answer was not 200.
    """
    before_s = running.cpu_s()
    load = closed(running.port, source, connections, SECONDS)
    if load.errors:
        raise NotRun(f"{load.errors} of {load.answers} answers were no forecasts")
    return load, (running.cpu_s() - before_s) / load.answers


def in_turn(requests: Sequence[bytes]) -> Source:
    """One request after the other, over whichever connection."""
    endless = itertools.cycle(requests)
    return lambda connection: next(endless)


def check(running: Running, contestant: Contestant, work: Work) -> None:
    """See that its forecasts are right.

    Raises:
        NotRun: they are not.
    """
    for windows, right in ((work.few, work.few_right), (work.many, work.many_right)):
        status, content = once(running.port, contestant.request(windows))
        if status != OK:
            raise NotRun(f"it answered {len(windows)} series with {status} {content[:200]!r}")
        off = disagreement(contestant.answer(content), right)
        if off > TOLERANCE:
            raise NotRun(f"its forecasts of {len(windows)} series are off by {off:.2g}")


def disagreement(said: object, right: Floats) -> float:
    """The largest difference of two forecasts (N, H), relative to the larger number; infinite for another shape."""
    found = np.asarray(said, dtype=np.float64)
    if found.shape != right.shape or not np.isfinite(found).all():
        return float("inf")
    larger = np.maximum(np.maximum(np.abs(found), np.abs(right)), np.finfo(float).tiny)
    return float(np.max(np.abs(found - right) / larger))
