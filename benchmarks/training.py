"""Benchmark ``make bench-training``: training speed beside plain ``keras.fit``, Darts and neuralforecast.

All train the same network on the series of ``m4_hourly`` with the same number of updates, each in a process of its own,
in turns, one at a time. The first round of each, with imports, data preparation and compilation, is not timed. The
results are ratios of medians.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks import race
from benchmarks.data import datasets
from benchmarks.race import Race
from benchmarks.results import ROOT, Row, publish

TURNS = int(os.environ.get("BENCH_TURNS", "3"))  # of three timed rounds each; fewer where time is short
TILES = 64  # of the panel that memory is measured on
UPDATES_FOR_MEMORY = 50
ALLOWED_BYTES = 300e6
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
ONE_THREAD = dict.fromkeys(THREADS, "1")

# Name -> command and environment; of the peers the faster of both settings counts.
OURS = [sys.executable, "-m", "benchmarks.contestants"]
THEIRS = [str(PEERS_PYTHON), "-m", "benchmarks.peers"]
SEGMENT = 24
FIELD: dict[str, tuple[list[str], Mapping[str, str]]] = {
    "ours": ([*OURS, "ours"], {"KERAS_BACKEND": "tensorflow"}),
    "ours on JAX": ([*OURS, "ours"], {"KERAS_BACKEND": "jax"}),
    "keras.fit": ([*OURS, "keras"], {"KERAS_BACKEND": "tensorflow"}),
    "Darts": ([*THEIRS, "darts"], {}),
    "Darts, one thread": ([*THEIRS, "darts"], ONE_THREAD),
    "neuralforecast": ([*THEIRS, "neuralforecast"], {}),
    "neuralforecast, one thread": ([*THEIRS, "neuralforecast"], ONE_THREAD),
    "matrix products alone": ([*OURS, "products"], ONE_THREAD),
}
MEMORY = ([*OURS, "memory"], {"KERAS_BACKEND": "tensorflow"})
SEGMENTS = f"ours, segments of {SEGMENT}"  # what the library does by itself: not the same network, hence no ratio


def main() -> int:
    """Run all contestants in turns, then two of ours at once, then measure our memory."""
    values, lengths = race.scaled([y for _, y in datasets()["m4_hourly"].panel()])
    sizes = Race(values=values, lengths=lengths)
    with tempfile.TemporaryDirectory() as folder:
        file, large, segments = (Path(folder, f"{name}.npz") for name in ("race", "large", "segments"))
        race.write(sizes, file)
        race.write(replace(sizes, segment=SEGMENT), segments)
        race.write(replace(sizes, tiles=TILES, updates=UPDATES_FOR_MEMORY, rounds=1), large)
        rounds = turns(file)
        rounds[SEGMENTS] = run(FIELD["ours"], segments)
        rows = [*times(rounds, sizes), *ratios(rounds), together(file), *weights(run(MEMORY, large))]
    notes = {"turns": TURNS, "rounds": sizes.rounds, "updates": sizes.updates, "batch": sizes.batch, "seconds": rounds}
    return publish("training", rows, notes)


def turns(file: Path) -> dict[str, list[float]]:
    """Return the seconds of all timed rounds; contestants alternate, so that a slow minute affects all."""
    rounds: dict[str, list[float]] = {name: [] for name in FIELD}
    for _ in range(TURNS):
        for name, contestant in FIELD.items():
            rounds[name] += run(contestant, file)
            print(f"{name}: {rounds[name][-1]:.2f} s a round", file=sys.stderr, flush=True)
    return rounds


def run(contestant: tuple[list[str], Mapping[str, str]], file: Path) -> list[float]:
    """Return the output of one process of ``contestant``."""
    return finish(start(contestant, file))


def start(contestant: tuple[list[str], Mapping[str, str]], file: Path) -> subprocess.Popen[str]:
    """Start a process of ``contestant``."""
    line, env = contestant
    return subprocess.Popen([*line, str(file)], env={**os.environ, **env}, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[float]:
    """Return the numbers on the last line that ``process`` prints.

    Raises:
        RuntimeError: the process failed.
    """
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed with {process.returncode}")
    found: list[float] = json.loads(out.splitlines()[-1])
    return found


def times(rounds: Mapping[str, list[float]], sizes: Race) -> list[Row]:
    """Return the milliseconds per update of each contestant."""
    return [
        Row(name=f"{name}: an update", value=1e3 * median / sizes.updates, unit="ms", better="lower")
        for name, median in medians(rounds).items()
    ]


def medians(rounds: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median seconds per round of each contestant."""
    return {name: statistics.median(each) for name, each in rounds.items()}


def ratios(rounds: Mapping[str, list[float]]) -> list[Row]:
    """Return the speed of ours relative to each contestant."""
    by_name = medians(rounds)
    plain = by_name["keras.fit"]
    darts, neuralforecast = (min(by_name[n], by_name[f"{n}, one thread"]) for n in ("Darts", "neuralforecast"))
    found = [
        ("ours beside keras.fit", plain / by_name["ours"], 5.0),
        ("ours on JAX beside keras.fit", plain / by_name["ours on JAX"], 9.0),
        ("ours beside Darts", darts / by_name["ours"], 2.5),
        ("ours beside neuralforecast", neuralforecast / by_name["ours"], 2.5),
    ]
    limit = Row(
        name="the most that is possible beside keras.fit",
        value=plain / by_name["matrix products alone"],
        unit="times",
        better="higher",
    )
    return [
        *(Row(name=name, value=value, unit="times", better="higher", bar=bar) for name, value, bar in found),
        limit,
    ]


def together(file: Path) -> Row:
    """Measure two processes of ours at once, one per core, relative to one alone."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    alone, both = [], []
    for _ in range(TURNS):
        alone += finish(pinned(file, first))
        for process in [pinned(file, first), pinned(file, second)]:
            both += finish(process)
    value = 2 * statistics.median(alone) / statistics.median(both)
    return Row(name="two processes beside one", value=value, unit="times", better="higher", bar=1.8)


def pinned(file: Path, core: int) -> subprocess.Popen[str]:
    """Start a process of ours on one core with one thread."""
    line, env = FIELD["ours"]
    process = start((line, {**env, **ONE_THREAD}), file)
    os.sched_setaffinity(process.pid, {core})
    return process


def weights(measured: list[float]) -> list[Row]:
    """Measure the memory growth of a process that trains on a large panel."""
    panel_bytes, growth_bytes = measured
    return [
        Row(name="panel", value=panel_bytes / 1e6, unit="MB", better="lower"),
        Row(
            name="growth over the empty process",
            value=growth_bytes / 1e6,
            unit="MB",
            better="lower",
            bar=(1.3 * panel_bytes + ALLOWED_BYTES) / 1e6,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
