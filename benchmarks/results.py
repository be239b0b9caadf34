"""Common parts of all benchmarks: rows, a printed table, and a JSON file."""

import json
import math
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from models.types import JsonObject

FOLDER = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure, NaN if not measured; ``bar`` is the required value, ``stretch`` an excellent one."""

    name: str
    value: float
    unit: str
    better: Literal["lower", "higher"]
    bar: float | None = None
    stretch: float | None = None

    @property
    def verdict(self) -> str:
        """Return whether the bar is met."""
        if math.isnan(self.value):
            return "not run"
        if self.bar is None:
            return ""
        met = self.value <= self.bar if self.better == "lower" else self.value >= self.bar
        return "met" if met else "MISSED"


def table(rows: list[Row]) -> None:
    """Print ``rows``."""
    width = max((len(row.name) for row in rows), default=0)
    print(f"\n{'':{width}}  {'value':>10}  {'unit':12} {'bar':>8} {'stretch':>8}")
    for row in rows:
        bar, stretch = ("" if goal is None else f"{goal:g}" for goal in (row.bar, row.stretch))
        print(f"{row.name:{width}}  {row.value:10.4g}  {row.unit:12} {bar:>8} {stretch:>8}  {row.verdict}")


def publish(name: str, rows: list[Row], notes: JsonObject) -> int:
    """Print ``rows`` as a table, write ``results/NAME.json``, and return 1 if a bar is missed, else 0."""
    table(rows)
    FOLDER.mkdir(exist_ok=True)
    report = {
        "commit": _output("git", "rev-parse", "HEAD"),
        "machine": f"{platform.machine()}, {_cores()} cores, {_processor()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        **notes,
        "rows": [{**asdict(row), "value": None if math.isnan(row.value) else row.value} for row in rows],
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    return int(any(row.verdict == "MISSED" for row in rows))


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout.strip() or "unknown"


def _cores() -> int:
    return sum(line.startswith("processor") for line in _cpuinfo()) or 1


def _processor() -> str:
    return next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown")


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.is_file() else []
