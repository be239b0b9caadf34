"""A thousand models in the database, memory for fifty, and traffic that asks for few often and for many seldom."""

import os
import re
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from http.client import HTTPConnection

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.busy import busy_processes
from benchmarks.serving.contestants import Contestant, House, our_body, ours
from benchmarks.serving.house import register
from benchmarks.serving.load import HOST, Arrivals, arrive, closed, percentile_ms, poisson, request_bytes
from benchmarks.serving.measure import CONNECTIONS, SECONDS, WARM_UP_SECONDS, Figures, in_turn
from benchmarks.serving.processes import OK, NotRun, Running, running
from benchmarks.serving.served import SPEC, forecaster
from benchmarks.serving.work import Work

MODELS, ROOM = 1_000, 50
ZIPF = 1.5  # the k-th most frequent model is asked for in proportion to k ** -ZIPF
PER_S, SHARE = 200.0, 0.05  # requests per second: at most so many, and this share of what the server can do right now
MIN_REQUESTS = 300  # of a load, for a p99; but never longer than
MAX_SECONDS = 15.0
MANY_CONNECTIONS = 16  # few, so that each is used often: a server closes a connection that was idle for some seconds

Ints = NDArray[np.int64]


class Recent:
    """The ``room`` things that were asked for most recently, as an LRU cache would hold them."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: OrderedDict[int, None] = OrderedDict()

    def want(self, things: Ints) -> NDArray[np.bool_]:
        """Return for each of ``things`` (N,), asked for one after the other, whether it was there already."""
        return np.array([self._want(thing) for thing in things.tolist()], dtype=bool)

    def _want(self, thing: int) -> bool:
        there = thing in self._kept
        self._kept[thing] = None
        self._kept.move_to_end(thing)
        if len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return there


def zipf(rng: np.random.Generator, count: int) -> Ints:
    """Return ``count`` numbers of models, the k-th in proportion to k ** -ZIPF."""
    weight = np.arange(1, MODELS + 1) ** -ZIPF
    return rng.choice(MODELS, size=count, p=weight / weight.sum())


def run_many(house: House, work: Work, turns: int, core: int) -> list[Figures]:
    """Measure in turns one model only and all of them, at the same rate, in one process."""
    crowded = replace(house, folder=work.folder / "many")
    shutil.copytree(house.folder, crowded.folder)
    names = [f"gru-{i:04}" for i in range(MODELS)]
    register(crowded.folder, names, forecaster(SPEC))
    contestant = ours(crowded, {"FORECASTLE_CACHE_BYTES": str(room_bytes(house, work, core))})
    requests = [_request(contestant, work, i, name) for i, name in enumerate(names)]
    recent, rng = Recent(ROOM), np.random.default_rng(0)
    with _started(contestant, work, core) as server:
        _traffic(server, requests, rng, recent, PER_S)  # loads the most frequent models
        return [_both_turns(server, contestant, requests, rng, recent, core) for _ in range(turns)]


def _both_turns(
    server: Running,
    contestant: Contestant,
    requests: Sequence[bytes],
    rng: np.random.Generator,
    recent: Recent,
    core: int,
) -> Figures:
    """Measure one turn alone, and one beside two busy processes on the same cores."""
    found = one_turn(server, contestant, requests, rng, recent)
    with busy_processes({core, *os.sched_getaffinity(0)}):
        beside = one_turn(server, contestant, requests, rng, recent)
    return found | {f"beside_{name}": value for name, value in beside.items()}


def one_turn(
    server: Running, contestant: Contestant, requests: Sequence[bytes], rng: np.random.Generator, recent: Recent
) -> Figures:
    """Measure errors, hits, and the p99 of models in memory beside that of a single model.

    Both get the same rate: a server that is overloaded by either says nothing about the other.
    """
    able = closed(server.port, in_turn(requests[:1]), CONNECTIONS, WARM_UP_SECONDS)
    per_s = min(PER_S, SHARE * able.per_s)
    single, _ = _traffic(server, requests[:1], rng, recent, per_s)
    before = _cache_counts(server, contestant)
    made, warm = _traffic(server, requests, rng, recent, per_s)
    hits, misses = (after - now for after, now in zip(_cache_counts(server, contestant), before, strict=True))
    counts = hits + misses > 0
    return {
        "per_s": per_s,
        "errors": float((made.status != OK).sum() + (single.status != OK).sum()),
        "single_p99_ms": percentile_ms(single.latency_s, 99),
        "warm_p99_ms": percentile_ms(made.latency_s[warm], 99),
        "cold_p99_ms": percentile_ms(made.latency_s[~warm], 99),
        "recent_hit_share": float(warm.mean()),
        "hit_share": hits / (hits + misses) if counts else float(warm.mean()),
        "server_counts_hits": float(counts),
    }


def room_bytes(house: House, work: Work, core: int) -> int:
    """Return the memory of ``ROOM`` models in bytes, as the server itself counts one.

    Raises:
        NotRun: the server does not count it.
    """
    contestant = ours(house)
    with _started(contestant, work, core) as server:
        text = _metrics(server, contestant)
    count, size_bytes = metric(text, "models_loaded"), metric(text, "models_loaded_bytes")
    if count * size_bytes == 0:
        raise NotRun("/metrics does not say in forecastle_models_loaded and …_bytes what one model takes")
    return int(ROOM * size_bytes / count)


def _traffic(
    server: Running, requests: Sequence[bytes], rng: np.random.Generator, recent: Recent, per_s: float
) -> tuple[Arrivals, NDArray[np.bool_]]:
    """Send the only request, or all by Zipf's law; return the arrivals, and which models were asked for recently."""
    at_s = poisson(rng, per_s, min(MAX_SECONDS, max(4 * SECONDS, MIN_REQUESTS / per_s)))
    which = zipf(rng, len(at_s)) if len(requests) > 1 else np.zeros(len(at_s), dtype=np.int64)
    made = arrive(server.port, at_s, [requests[i] for i in which], MANY_CONNECTIONS)
    return made, recent.want(which)


def _started(contestant: Contestant, work: Work, core: int) -> AbstractContextManager[Running]:
    first = contestant.request(work.few[:1])
    return running(contestant.command, contestant.env, first, core, work.folder / "many.log")


def _request(contestant: Contestant, work: Work, i: int, model: str) -> bytes:
    window = work.many[i % len(work.many)][None]
    return request_bytes(contestant.path, our_body(window, model=model), contestant.headers)


def _cache_counts(server: Running, contestant: Contestant) -> tuple[float, float]:
    """Return hits and misses so far; 0 and 0 if the server does not count them."""
    text = _metrics(server, contestant)
    return metric(text, r"\w*hits_total"), metric(text, r"\w*misses_total")


def metric(text: str, name: str) -> float:
    """Return the sum over its labels of a metric of ours, the name of which may be a pattern; 0 if there is none."""
    found = re.findall(rf"^forecastle_{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


def _metrics(server: Running, contestant: Contestant) -> str:
    connection = HTTPConnection(HOST, server.port, timeout=60)
    connection.request("GET", "/metrics", headers=dict(contestant.headers))
    text = connection.getresponse().read().decode()
    connection.close()
    return text
