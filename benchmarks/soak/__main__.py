"""Command of the soak test: create the models, start two servers, run all clients for ``SOAK_S`` seconds, publish."""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np

from benchmarks.results import publish
from benchmarks.serving.contestants import House, our_body, ours
from benchmarks.serving.load import request_bytes
from benchmarks.serving.processes import Running, running
from benchmarks.soak.asks import ForecastInput, good, hostile, of_one
from benchmarks.soak.clients import Clients
from benchmarks.soak.house import BROKEN, Models, build
from benchmarks.soak.operator import Operator
from benchmarks.soak.panels import waves
from benchmarks.soak.record import Record
from benchmarks.soak.report import metrics_of, notes, rows

SOAK_S = float(os.environ.get("SOAK_S", "1200"))
PAUSE_S = 0.35  # of a client between two requests, on average: some 60 requests a second in all
OPERATOR_PAUSE_S = 1.0
SAMPLE_S = 2.0
SERVERS = 2
# Room for about half of the versions, few sessions that are soon forgotten, few streams at a time.
ENV = {
    "FORECASTLE_CACHE_BYTES": str(3 * 1024**2),
    "FORECASTLE_SESSION_BYTES": str(1024**2),
    "FORECASTLE_SESSION_TTL_S": "60",
    "FORECASTLE_LOAD_TIMEOUT_S": "10",
}


def main() -> int:
    """Run the soak test and publish its results."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        sales = waves(np.random.default_rng(2), *[60] * 20)
        house, models = build(Path(name, "house"), sales)
        record, asks = Record(), (of_one(models), good(models, sales, turns=2), hostile(models))
        tell(f"{len(models)} models, {sum(map(len, asks))} requests with their right answers; now {SOAK_S:.0f} s")
        servers = [stack.enter_context(server(house, Path(name, f"{i}.log"))) for i in range(SERVERS)]
        ports = [each.port for each in servers]
        clients, operator = (
            Clients(ports, house.key, record, PAUSE_S),
            Operator(ports, house.key, record, OPERATOR_PAUSE_S),
        )
        operator.start()
        start(clients, asks, models)
        memory_mb = watch(servers, record)
        clients.end()
        operator.end()
        metrics = [metrics_of(each.port, house.key) for each in servers]
    return publish("soak", rows(record, memory_mb, metrics), notes(record, SOAK_S, ENV))


def server(house: House, log: Path) -> AbstractContextManager[Running]:
    """Start one of the servers."""
    contestant = ours(house, ENV)
    first = request_bytes(contestant.path, our_body(np.ones((1, 16)), BROKEN), contestant.headers)
    return running(contestant.command, contestant.env, first, None, log)


def start(clients: Clients, asks: Sequence[Sequence[ForecastInput]], models: Models) -> None:
    """Start the clients of each kind."""
    singles, mixed, bad = asks
    clients.start(singles, 10, gone=0.03)
    clients.start(mixed, 8, gone=0.1)
    clients.start(bad, 3)
    clients.start_sessions(models, 3)


def watch(servers: Sequence[Running], record: Record) -> list[list[float]]:
    """Return memory samples of each server in MB until the end; print a line a minute."""
    samples: list[list[float]] = [[] for _ in servers]
    began_s = told_s = time.monotonic()
    while (now_s := time.monotonic()) < began_s + SOAK_S:
        for own, each in zip(samples, servers, strict=True):
            own.append(each.memory_mb())
        if now_s > told_s + 60:
            told_s, mb = now_s, ", ".join(f"{own[-1]:.0f}" for own in samples)
            asked = sum(record.counts.values())
            tell(f"{now_s - began_s:5.0f} s: {asked} asked, {record.failures} errors, {record.wrongs} wrong; {mb} MB")
        time.sleep(SAMPLE_S)
    return samples


def tell(line: str) -> None:
    """Print a line to the terminal."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
