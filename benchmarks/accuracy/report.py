"""Conversion of results to the rows of the table."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.tasks import SETS
from benchmarks.results import Row
from models.evaluation.horizon_parts import BEYOND, PARTS
from models.types import JsonObject

Found = Mapping[str, JsonObject]
Share = tuple[str, NDArray[np.bool_], float | None, float | None]  # name of a row, which sets, bar, stretch

TRAINING_S = 180.0  # of the two-sine task
SET_S = 30.0
COVERED = (0.75, 0.85)
MAX_NOISE = 2.0  # standard errors
# Task -> measure, bar, stretch.
BARS: dict[str, tuple[str, float, float]] = {
    "two-sine/two-sine": ("mse", 0.0018, 0.0012),
    "ett/etth1-96": ("mse", 0.365, 0.351),
    "ett/etth1-192": ("mse", 0.410, 0.392),
    "ett/etth1-336": ("mse", 0.445, 0.423),
    "ett/etth1-720": ("mse", 0.490, 0.466),
    "ett/ettm1-96": ("mse", 0.300, 0.293),
    "m4/m4_hourly": ("owa", 0.52, 0.44),
    "m4/m4_weekly": ("owa", 0.80, 0.70),
}


def rows(found: Found) -> list[Row]:
    """Return the rows: each published protocol, then the sets together."""
    known = [row for task in BARS if task in found for row in _row(task, found[task])]
    some = [found[task] for task in sorted(found) if task.startswith(f"{SETS}/")]
    return known + (_sets(some) if some else [])


def _row(task: str, found: JsonObject) -> list[Row]:
    measure, bar, stretch = BARS[task]
    name = task.split("/")[1]
    most_s = TRAINING_S if name == "two-sine" else None
    return [
        Row(name=name, value=found[measure], unit=measure.upper(), better="lower", bar=bar, stretch=stretch),
        Row(name=f"{name}: training", value=found["cpu_seconds"], unit="CPU s", better="lower", bar=most_s),
    ]


def _sets(some: list[JsonObject]) -> list[Row]:
    ratio = np.array([each["ratio"] for each in some])
    theta = np.array([each["theta_ratio"] for each in some if each["theta_ratio"] is not None])
    covered = np.array([each["coverage"] for each in some])
    seconds = [each["cpu_seconds"] for each in some]  # of one core: those of the clock are also the other processes'
    lo, hi = COVERED
    count = f"{len(some)} sets"
    shares: list[Share] = [
        (f"{count}: better than seasonal naive", ratio < 1, 0.92, 1.0),
        (f"{len(theta)} sets: better than AutoTheta", theta < 1, 0.70, 0.85),
        (f"{count}: 75 to 85 % in intervals of 80 %", (lo <= covered) & (covered <= hi), 0.80, 1.0),
    ]
    shares += _shares_by_steps(some)
    mean = float(np.exp(np.log(ratio).mean()))
    beside = f"{count}: MASE / seasonal naive's, geometric mean"
    return [
        Row(name=beside, value=mean, unit="ratio", better="lower", bar=0.80, stretch=0.72),
        *(
            Row(name=name, value=float(won.mean()), unit="share", better="higher", bar=bar, stretch=stretch)
            for name, won, bar, stretch in shares
            if len(won)
        ),
        Row(name=f"{count}: training, median", value=float(np.median(seconds)), unit="CPU s", better="lower"),
        Row(name=f"{count}: training, longest", value=max(seconds), unit="CPU s", better="lower"),
        *(
            Row(name=f"{count}: training, longest, on all cores", value=each, unit="s", better="lower", bar=SET_S)
            for each in (found["seconds_alone"] for found in some if "seconds_alone" in found)
        ),
    ]


def _shares_by_steps(some: list[JsonObject]) -> list[Share]:
    """Return for the thirds of the horizon, and for the steps beyond it, which sets have a right coverage there.

    A few windows of a set with a right coverage may miss it by chance: the second share of each counts those sets too
    that miss it by at most ``MAX_NOISE`` standard errors.
    """
    shares: list[Share] = []
    for names, where in ((PARTS[:BEYOND], "in each third of the horizon"), (PARTS[BEYOND:], "beyond the horizon")):
        parts = [[each["coverage_by_steps"][name] for name in names] for each in some if "coverage_by_steps" in each]
        known = [each for each in parts if None not in each]
        off = [np.array([_distance(part["share"]) for part in each]) for each in known]
        noise = [np.array([part["noise"] or 0.0 for part in each]) for each in known]
        right = np.array([(each <= 0).all() for each in off])
        near = np.array([(each <= MAX_NOISE * own).all() for each, own in zip(off, noise, strict=True)])
        name = f"{len(known)} sets: 75 to 85 % {where}"
        shares += [(name, right, 0.80, 1.0), (f"{name}, or within two standard errors", near, None, None)]
    return shares


def _distance(share: float) -> float:
    """Return how far a coverage lies out of the right range, 0 within it."""
    return max(COVERED[0] - share, share - COVERED[1], 0.0)


def print_sets(found: Found) -> None:
    """Print one line for each set; coverage by steps has its standard error and the number of windows."""
    names = [task for task in sorted(found) if task.startswith(f"{SETS}/")]
    if names:
        print(f"\n{'':32} {'MASE':>8} {'/ naive':>8} {'/ Theta':>8} {'in 80 %':>8} {'s':>6}")
    for task in names:
        each = found[task]
        theta = "" if each["theta_ratio"] is None else f"{each['theta_ratio']:.3f}"
        scores = f"{each['mase']:8.3f} {each['ratio']:8.3f} {theta:>8} {each['coverage']:8.3f} {each['seconds']:6.1f}"
        by_steps = " ".join(
            f"{name} {part['share']:.2f} ± {part['noise'] or np.nan:.2f} ({part['windows']})"
            for name, part in each.get("coverage_by_steps", {}).items()
            if part is not None
        )
        print(f"{task.split('/')[1]:32} {scores}  {by_steps}")
