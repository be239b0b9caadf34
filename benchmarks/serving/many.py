"""A thousand models in the database, memory for fifty, and traffic that wants a few of them often and many seldom."""

import re
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from http.client import HTTPConnection

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.contestants import Contestant, House, our_body, ours
from benchmarks.serving.house import register
from benchmarks.serving.load import HOST, Arrivals, arrive, percentile_ms, poisson, request_bytes
from benchmarks.serving.measure import CONNECTIONS, SECONDS, Figures
from benchmarks.serving.processes import OK, NotRun, Running, running
from benchmarks.serving.served import SPEC, forecaster
from benchmarks.serving.work import Work

MODELS, ROOM = 1_000, 50
ZIPF = 1.5  # the k-th most wanted model is asked for in proportion to k ** -ZIPF
PER_S = 200.0  # one core serves that many with most of its time to spare, loading included

Ints = NDArray[np.int64]


class Recent:
    """The ``room`` things that were wanted most recently: what a cache of that kind would hold."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: OrderedDict[int, None] = OrderedDict()

    def want(self, things: Ints) -> NDArray[np.bool_]:
        """Which of ``things`` (N,), wanted one after the other, were there when they were wanted."""
        return np.array([self._want(thing) for thing in things.tolist()], dtype=bool)

    def _want(self, thing: int) -> bool:
        there = thing in self._kept
        self._kept[thing] = None
        self._kept.move_to_end(thing)
        if len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return there


def zipf(rng: np.random.Generator, count: int) -> Ints:
    """``count`` of the models, the k-th in proportion to k ** -ZIPF."""
    weight = np.arange(1, MODELS + 1) ** -ZIPF
    return rng.choice(MODELS, size=count, p=weight / weight.sum())


def run_many(house: House, work: Work, turns: int, core: int) -> list[Figures]:
    """In turns one model only and all of them, at the same rate, in one process."""
    crowded = replace(house, folder=work.folder / "many")
    shutil.copytree(house.folder, crowded.folder)
    names = [f"gru-{i:04}" for i in range(MODELS)]
    register(crowded.folder, names, forecaster(SPEC))
    contestant = ours(crowded, {"FORECASTLE_CACHE_BYTES": str(room_bytes(house, work, core))})
    requests = [_request(contestant, work, i, name) for i, name in enumerate(names)]
    recent, rng = Recent(ROOM), np.random.default_rng(0)
    with _started(contestant, work, core) as server:
        _traffic(server, requests, rng, recent)  # what is wanted most comes into memory
        return [one_turn(server, contestant, requests, rng, recent) for _ in range(turns)]


def one_turn(
    server: Running, contestant: Contestant, requests: Sequence[bytes], rng: np.random.Generator, recent: Recent
) -> Figures:
    """Errors, hits, and p99 of the models that were in memory beside that of a single one."""
    single, _ = _traffic(server, requests[:1], rng, recent)
    before = _cache_counts(server, contestant)
    made, warm = _traffic(server, requests, rng, recent)
    hits, misses = (after - now for after, now in zip(_cache_counts(server, contestant), before, strict=True))
    counts = hits + misses > 0
    return {
        "errors": float((made.status != OK).sum() + (single.status != OK).sum()),
        "single_p99_ms": percentile_ms(single.latency_s, 99),
        "warm_p99_ms": percentile_ms(made.latency_s[warm], 99),
        "cold_p99_ms": percentile_ms(made.latency_s[~warm], 99),
        "recent_hit_share": float(warm.mean()),
        "hit_share": hits / (hits + misses) if counts else float(warm.mean()),
        "server_counts_hits": float(counts),
    }


def room_bytes(house: House, work: Work, core: int) -> int:
    """What ``ROOM`` models take in memory, as the server itself counts one.

    Raises:
        NotRun: it does not say.
    """
    contestant = ours(house)
    with _started(contestant, work, core) as server:
        text = _metrics(server, contestant)
    count, size_bytes = metric(text, "models_loaded"), metric(text, "models_loaded_bytes")
    if count * size_bytes == 0:
        raise NotRun("/metrics does not say in forecastle_models_loaded and …_bytes what one model takes")
    return int(ROOM * size_bytes / count)


def _traffic(
    server: Running, requests: Sequence[bytes], rng: np.random.Generator, recent: Recent
) -> tuple[Arrivals, NDArray[np.bool_]]:
    """The first of ``requests`` only where there is one, else all by zipf; and which were wanted recently."""
    at_s = poisson(rng, PER_S, 2 * SECONDS)
    which = zipf(rng, len(at_s)) if len(requests) > 1 else np.zeros(len(at_s), dtype=np.int64)
    made = arrive(server.port, at_s, [requests[i] for i in which], CONNECTIONS)
    return made, recent.want(which)


def _started(contestant: Contestant, work: Work, core: int) -> AbstractContextManager[Running]:
    first = contestant.request(work.few[:1])
    return running(contestant.command, contestant.env, first, core, work.folder / "many.log")


def _request(contestant: Contestant, work: Work, i: int, model: str) -> bytes:
    window = work.many[i % len(work.many)][None]
    return request_bytes(contestant.path, our_body(window, model=model), contestant.headers)


def _cache_counts(server: Running, contestant: Contestant) -> tuple[float, float]:
    """Hits and misses so far; 0 and 0 where the server does not count them."""
    text = _metrics(server, contestant)
    return metric(text, r"\w*hits_total"), metric(text, r"\w*misses_total")


def metric(text: str, name: str) -> float:
    """The sum over its labels of a metric of ours, whose name may be a pattern; 0 where there is none."""
    found = re.findall(rf"^forecastle_{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


def _metrics(server: Running, contestant: Contestant) -> str:
    connection = HTTPConnection(HOST, server.port, timeout=60)
    connection.request("GET", "/metrics", headers=dict(contestant.headers))
    text = connection.getresponse().read().decode()
    connection.close()
    return text
