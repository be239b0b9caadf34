"""Rows of the results: goals, and the medians behind them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.results import Row
from benchmarks.serving.contestants import BARE, BENTOML, KSERVE, MLFLOW, OURS, RAY
from benchmarks.serving.measure import Figures

Medians = Mapping[str, Figures]
Figure = tuple[str, str]  # who, and what of theirs

LIMIT, CROWD = "ONNX Runtime alone", "1,000 models"
BESIDE = ", beside two busy processes", "beside_"  # what a name ends with, and what its figures begin with
# Figure -> title and unit.
TITLES = {
    "per_s": ("1 series, requests/s", "1/s"),
    "cpu_us": ("1 series, CPU of a request", "µs"),
    "many_cpu_ms": ("1,000 series, CPU of a request", "ms"),
    "start_s": ("start to first forecast", "s"),
    "first_memory_mb": ("memory of its processes after a forecast", "MB"),
    "memory_mb": ("memory of its processes after the load", "MB"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A goal: ``figure``, or its ratio to ``over``, should reach ``bar``."""

    name: str
    figure: Figure
    over: Figure | None = None
    unit: str = "times"
    better: Literal["lower", "higher"] = "higher"
    bar: float | None = None
    stretch: float | None = None

    def row(self, found: Medians) -> Row:
        """Return the row; with a missing figure it is "not run", which meets no bar."""
        value = _figure(found, self.figure) / (1.0 if self.over is None else _figure(found, self.over))
        name = f"{self.name}: not run" if math.isnan(value) else self.name
        return Row(name=name, value=value, unit=self.unit, better=self.better, bar=self.bar, stretch=self.stretch)


def _faster(peer: str, bar: float | None, stretch: float | None, load: str = "", prefix: str = "") -> Goal:
    name = f"1 series, 64 connections: requests/s over {peer}{load}"
    return Goal(name=name, figure=(OURS, f"{prefix}per_s"), over=(peer, f"{prefix}per_s"), bar=bar, stretch=stretch)


def _cheaper(peer: str, bar: float | None, load: str = "", prefix: str = "") -> Goal:
    name, figure = f"1,000 series in a request: CPU of {peer} over ours{load}", f"{prefix}many_cpu_ms"
    return Goal(name=name, figure=(peer, figure), over=(OURS, figure), bar=bar)


def _warm(load: str = "", prefix: str = "") -> Goal:
    return Goal(
        name=f"{CROWD}: p99 of a warm one over that of a single one{load}",
        figure=(CROWD, f"{prefix}warm_p99_ms"),
        over=(CROWD, f"{prefix}single_p99_ms"),
        better="lower",
        bar=3.0,
    )


GOALS = (
    _faster(BARE, 0.5, 0.7),
    _faster(KSERVE, 1.5, 2.3),
    _faster(BENTOML, 7.0, 15.0),
    _faster(RAY, 15.0, 30.0),
    _faster(MLFLOW, 200.0, 400.0),
    _faster(BARE, 0.5, None, *BESIDE),
    _faster(KSERVE, 1.5, None, *BESIDE),
    _cheaper(KSERVE, 1.0),
    _cheaper(BENTOML, 5.0),
    _cheaper(RAY, None),
    _cheaper(MLFLOW, 25.0),
    _cheaper(KSERVE, 1.0, *BESIDE),
    # Three times the CPU of a kernel in C is excellent. Of its 9.3 ms, ONNX Runtime takes 20, so this is 3 * 9.3 / 20.
    Goal(
        name=f"1,000 series in a request: CPU of ours over {LIMIT}",
        figure=(OURS, "many_cpu_ms"),
        over=(LIMIT, "many_cpu_ms"),
        better="lower",
        stretch=1.4,
    ),
    Goal(
        name="p99 at 70 % of capacity over idle p99",
        figure=(OURS, "busy_p99_ms"),
        over=(OURS, "idle_p99_ms"),
        better="lower",
        bar=5.0,
    ),
    Goal(
        name="p99 at 70 % of capacity",
        figure=(OURS, "busy_p99_ms"),
        unit="ms",
        better="lower",
        bar=50.0,
        stretch=15.0,
    ),
    Goal(name="process start to first forecast", figure=(OURS, "start_s"), unit="s", better="lower", bar=1.0),
    Goal(name="resident memory, one model", figure=(OURS, "first_memory_mb"), unit="MB", better="lower", bar=120.0),
    Goal(name=f"{CROWD}: errors", figure=(CROWD, "errors"), unit="requests", better="lower", bar=0.0),
    Goal(name=f"{CROWD}, memory for 50: hits", figure=(CROWD, "hit_share"), unit="of 1", bar=0.9),
    _warm(),
    _warm(*BESIDE),
    Goal(
        name="512 points in one request: CPU over a point appended to a session",
        figure=(OURS, "reread_cpu_us"),
        over=(OURS, "appended_cpu_us"),
        bar=5.0,
        stretch=20.0,
    ),
    Goal(
        name="the same with GRU(64) x 2, the default width",
        figure=(OURS, "usual_reread_cpu_us"),
        over=(OURS, "usual_appended_cpu_us"),
    ),
    Goal(
        name="intervals 80 and 95: CPU over the mean alone",
        figure=(OURS, "intervals_cpu_us"),
        over=(OURS, "mean_cpu_us"),
        better="lower",
        bar=1.15,
    ),
    Goal(
        name="1,000 series, intervals 80 and 95: CPU over the mean alone",
        figure=(OURS, "intervals_many_cpu_ms"),
        over=(OURS, "mean_many_cpu_ms"),
        better="lower",
    ),
)


def rows(found: Medians) -> list[Row]:
    """Return a row for each goal, then the figures of all contestants."""
    return [*(goal.row(found) for goal in GOALS), *_everybody(found)]


def _everybody(found: Medians) -> Iterator[Row]:
    for figure, (title, unit) in TITLES.items():
        for name, figures in found.items():
            if figure in figures:
                better: Literal["lower", "higher"] = "higher" if figure == "per_s" else "lower"
                yield Row(name=f"{name}: {title}", value=figures[figure], unit=unit, better=better)


def _figure(found: Medians, figure: Figure) -> float:
    who, what = figure
    return found.get(who, {}).get(what, math.nan)
