"""The measurements that are taken of every contestant alike."""

import itertools
import os
from collections.abc import Sequence

import numpy as np

from benchmarks.serving.busy import busy_processes
from benchmarks.serving.contestants import Contestant
from benchmarks.serving.load import Floats, Load, Source, closed, once
from benchmarks.serving.processes import OK, NotRun, Running
from benchmarks.serving.work import Work

CONNECTIONS = 64
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))  # of each load
WARM_UP_SECONDS = 0.5
TOLERANCE = 1e-4

Figures = dict[str, float]


def alike(running: Running, contestant: Contestant, work: Work, cores: set[int]) -> Figures:
    """Measure requests per second, CPU of one series and of many in one request, start and memory.

    Requests and CPU are measured once alone and once beside two busy processes on the same ``cores``.
    """
    closed(running.port, _single_series(contestant, work), CONNECTIONS, WARM_UP_SECONDS)
    found = _speed(running, contestant, work)
    found |= {"start_s": running.start_s, "memory_mb": running.memory_mb()}
    with busy_processes(cores):
        return found | {f"beside_{name}": value for name, value in _speed(running, contestant, work).items()}


def _speed(running: Running, contestant: Contestant, work: Work) -> Figures:
    load, one_cpu_s = loaded(running, _single_series(contestant, work), CONNECTIONS)
    _, many_cpu_s = loaded(running, in_turn([contestant.request(work.many)]), 1)
    return {
        "per_s": load.per_s,
        "cpu_us": 1e6 * one_cpu_s,
        "many_cpu_ms": 1e3 * many_cpu_s,
        "generator_share": load.generator_s / load.seconds,
    }


def _single_series(contestant: Contestant, work: Work) -> Source:
    return in_turn([contestant.request(window[None]) for window in work.few])


def loaded(running: Running, source: Source, connections: int) -> tuple[Load, float]:
    """Return the result of a closed load, and the server's CPU seconds for each answer.

    Raises:
        NotRun: an answer was not 200.
    """
    before_s = running.cpu_s()
    load = closed(running.port, source, connections, SECONDS)
    if load.errors:
        raise NotRun(f"{load.errors} of {load.answers} answers were no forecasts")
    return load, (running.cpu_s() - before_s) / load.answers


def in_turn(requests: Sequence[bytes]) -> Source:
    """Return a source that sends one request after the other, over any connection."""
    endless = itertools.cycle(requests)
    return lambda connection: next(endless)


def check(running: Running, contestant: Contestant, work: Work) -> None:
    """Check that the forecasts of a contestant are right.

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
    """Return the largest relative difference of two forecasts (N, H); infinite for another shape."""
    found = np.asarray(said, dtype=np.float64)
    if found.shape != right.shape or not np.isfinite(found).all():
        return float("inf")
    larger = np.maximum(np.maximum(np.abs(found), np.abs(right)), np.finfo(float).tiny)
    return float(np.max(np.abs(found - right) / larger))
