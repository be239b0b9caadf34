"""Command: prepare, measure ours alone, then all contestants in rounds, then a thousand models."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import ROOT, publish
from benchmarks.serving import alone
from benchmarks.serving.contestants import Contestant, ours, peers
from benchmarks.serving.house import build
from benchmarks.serving.many import PER_S, SHARE, ZIPF, run_many
from benchmarks.serving.measure import CONNECTIONS, SECONDS
from benchmarks.serving.processes import NotRun
from benchmarks.serving.report import CROWD, rows
from benchmarks.serving.rounds import Record, run_rounds
from benchmarks.serving.work import prepare
from models.types import JsonObject

TURNS = int(os.environ.get("BENCH_TURNS", "5"))  # fewer where time is short, as BENCH_SECONDS of each load
ONLY = os.environ.get("BENCH_ONLY", "")  # names of contestants, separated by commas; everybody where it is empty
PINS = ROOT / "benchmarks" / "peers-serving.txt"


def main() -> int:
    """Measure everything and publish the results."""
    with tempfile.TemporaryDirectory() as name:
        house, work = build(Path(name, "house")), prepare(Path(name))
        measured_alone = alone.rows(house)
        server, generator = two_cores()
        os.sched_setaffinity(0, {generator})
        record = Record()
        run_rounds(record, chosen([ours(house), *peers(work.file, work.mlflow)]), work, TURNS, server)
        try:
            for figures in run_many(house, work, TURNS, server):
                record.add(CROWD, figures)
        except (NotRun, OSError) as error:
            record.leave_out(CROWD, error)
    return publish("serving", [*rows(record.medians()), *measured_alone], notes(record))


def two_cores() -> tuple[int, int]:
    """Return the core of the servers and that of the load.

    Raises:
        RuntimeError: there is but one.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise RuntimeError(f"this process may use core {cores[0]} only; a server and its load need one each")
    return cores[0], cores[1]


def chosen(everybody: Sequence[Contestant]) -> list[Contestant]:
    """Return the contestants named in ``BENCH_ONLY``, all if it is empty."""
    names = [name.strip() for name in ONLY.split(",") if name.strip()]
    return [contestant for contestant in everybody if not names or contestant.name in names]


def notes(record: Record) -> JsonObject:
    """Return the notes to the rows: conditions, missing contestants with reasons, and the figures of every round."""
    pins = [line for line in PINS.read_text().splitlines() if line and not line.startswith("#")]
    return {
        "turns": TURNS,
        "seconds": SECONDS,
        "connections": CONNECTIONS,
        "zipf": ZIPF,
        "crowd_requests_per_s": PER_S,
        "crowd_share_of_capacity": SHARE,
        "peers": pins,
        "not_run": record.not_run,
        "rounds": record.rounds,
    }


if __name__ == "__main__":
    sys.exit(main())
