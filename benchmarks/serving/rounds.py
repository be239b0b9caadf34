"""Rounds: each contestant in turn is started on the first core, loaded from the second, and ended."""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.results import ROOT
from benchmarks.serving.contestants import OURS, Contestant
from benchmarks.serving.measure import SECONDS, Figures, alike, check
from benchmarks.serving.ours import intervals, latency, sessions
from benchmarks.serving.processes import NotRun, Running, pinned, running
from benchmarks.serving.report import LIMIT
from benchmarks.serving.work import Work

ONLY_OURS = {"latency": latency, "intervals": intervals, "sessions": sessions}


@dataclass(frozen=True, slots=True)
class Record:
    """Figures of every round by contestant, and the reason for each missing one."""

    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, figures: Figures) -> None:
        """Add the figures of one more round."""
        self.rounds.setdefault(name, []).append(figures)
        tell(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))

    def leave_out(self, name: str, error: Exception) -> None:
        """Note a contestant that cannot be measured, and the reason."""
        self.not_run[name] = str(error)
        tell(f"{name}: not run: {error}")

    def medians(self) -> dict[str, Figures]:
        """Return the median of each figure over the rounds that have it."""
        return {name: medians(rounds) for name, rounds in self.rounds.items()}


def run_rounds(record: Record, contestants: Sequence[Contestant], work: Work, turns: int, core: int) -> None:
    """Measure all ``contestants`` in turn, ``turns`` times; one that fails is left out from then on.

    Raises:
        NotRun: ours cannot be measured.
    """
    for _ in range(turns):
        record.add(LIMIT, {"many_cpu_ms": 1e3 * limit_cpu_s(work, core)})
        for contestant in contestants:
            if contestant.name in record.not_run:
                continue
            try:
                one_round(record, contestant, work, core)
            except (NotRun, OSError) as error:
                if contestant.name == OURS:
                    raise
                record.leave_out(contestant.name, error)


def one_round(record: Record, contestant: Contestant, work: Work, core: int) -> None:
    """Start a contestant, check its forecasts, and measure it."""
    first = contestant.request(work.few[:1])
    log = work.folder / f"{contestant.name}.log"
    with running(contestant.command, contestant.env, first, core, log) as server:
        figures = {"first_memory_mb": server.memory_mb()}
        check(server, contestant, work)
        figures |= alike(server, contestant, work, {core, *os.sched_getaffinity(0)})
        if contestant.name == OURS:
            figures |= only_ours(record, server, contestant, work, figures)
    record.add(contestant.name, figures)


def only_ours(record: Record, server: Running, contestant: Contestant, work: Work, known: Figures) -> Figures:
    """Measure our server further; a part that fails is left out from then on."""
    found: Figures = {}
    for name, measure in ONLY_OURS.items():
        if name in record.not_run:
            continue
        try:
            found |= measure(server, contestant, work, known)
        except (NotRun, OSError) as error:
            record.leave_out(name, error)
    return found


def limit_cpu_s(work: Work, core: int) -> float:
    """Return the CPU seconds of ONNX Runtime for all of the many windows."""
    arguments = (str(work.file), str(work.windows), str(SECONDS))
    line = pinned([sys.executable, "-m", "benchmarks.serving.limit", *arguments], core)
    return float(subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure over the rounds that have it."""
    names = {name: None for figures in rounds for name in figures}
    return {name: statistics.median(figures[name] for figures in rounds if name in figures) for name in names}


def tell(line: str) -> None:
    """Print a line for the person at the terminal."""
    print(line, file=sys.stderr, flush=True)
