"""Measurements of our server only: latency at a given rate, cost of intervals, cost of sessions."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.serving.contestants import Contestant, our_body, windows_of
from benchmarks.serving.load import Arrivals, Floats, Source, arrive, once, percentile_ms, poisson, request_bytes
from benchmarks.serving.measure import CONNECTIONS, SECONDS, Figures, in_turn, loaded
from benchmarks.serving.processes import OK, NotRun, Running
from benchmarks.serving.served import CARRIED
from benchmarks.serving.work import Work

IDLE, BUSY = 0.05, 0.7  # of what it can do
LEVELS = (80, 95)
SESSIONS = CONNECTIONS  # one over each connection: the points of a session come one after the other


def latency(running: Running, contestant: Contestant, work: Work, known: Figures) -> Figures:
    """Measure p50 and p99 at 5 % and 70 % of capacity, counted from the intended start of each request."""
    found: Figures = {}
    requests = [contestant.request(window[None]) for window in work.few]
    for name, share in (("idle", IDLE), ("busy", BUSY)):
        made = open_load(running, requests, share * known["per_s"])
        if (made.status != OK).any():
            raise NotRun(f"{(made.status != OK).sum()} of {len(made.status)} answers were no forecasts")
        found |= {f"{name}_p{p}_ms": percentile_ms(made.latency_s, p) for p in (50, 99)}
        found[f"{name}_generator_late_p99_ms"] = percentile_ms(made.late_s, 99)
    return found


def open_load(running: Running, requests: Sequence[bytes], per_s: float) -> Arrivals:
    """Send random requests at random moments for the time of two closed loads."""
    rng = np.random.default_rng(0)
    at_s = poisson(rng, per_s, 2 * SECONDS)
    return arrive(running.port, at_s, [requests[i] for i in rng.integers(len(requests), size=len(at_s))], CONNECTIONS)


def intervals(running: Running, contestant: Contestant, work: Work, known: Figures) -> Figures:
    """Measure the CPU of single series and of many at once, each without and with intervals."""
    found: Figures = {}
    for name, levels in (("mean", ()), ("intervals", LEVELS)):
        body = partial(our_body, levels=levels)
        ones = [_request(contestant, body(window[None])) for window in work.few]
        together = [_request(contestant, body(work.many))]
        found[f"{name}_cpu_us"] = 1e6 * loaded(running, in_turn(ones), CONNECTIONS)[1]
        found[f"{name}_many_cpu_ms"] = 1e3 * loaded(running, in_turn(together), 1)[1]
    return found


def sessions(running: Running, contestant: Contestant, work: Work, known: Figures) -> Figures:
    """Measure the CPU of a point appended to a session and of a request with its 512 points, for two networks.

    Raises:
        NotRun: this server has no sessions.
    """
    small, usual = (_session_cpu(running, contestant, model) for model in ("carried", "usual"))
    return small | {f"usual_{name}": value for name, value in usual.items()}


def _session_cpu(running: Running, contestant: Contestant, model: str) -> Figures:
    windows = windows_of(SESSIONS, CARRIED.context, seed=2)
    ask = partial(our_body, model=model)
    name = f"bench-{running.port}"
    for i, window in enumerate(windows):
        status, content = once(running.port, _request(contestant, ask(window[None], session=f"{name}-{i}")))
        if status != OK:
            raise NotRun(f"a session was answered with {status} {content[:300]!r}")
    again = [_request(contestant, ask(window[None])) for window in windows]
    _, reread_s = loaded(running, in_turn(again), CONNECTIONS)
    _, appended_s = loaded(running, _appended(contestant, ask, windows, name), SESSIONS)
    return {"reread_cpu_us": 1e6 * reread_s, "appended_cpu_us": 1e6 * appended_s}


def _appended(contestant: Contestant, ask: Callable[..., bytes], windows: Floats, name: str) -> Source:
    """Return a source of the next point of each connection's own session; the values repeat."""
    length = windows.shape[1]
    counts = [itertools.count(length) for _ in windows]

    def next_point(connection: int) -> bytes:
        at = next(counts[connection])
        point = windows[connection, at % length].reshape(1, 1)
        return _request(contestant, ask(point, session=f"{name}-{connection}", begin=at))

    return next_point


def _request(contestant: Contestant, body: bytes) -> bytes:
    return request_bytes(contestant.path, body, contestant.headers)
