"""Reference results of AutoTheta, computed once: ``python -m benchmarks.accuracy.theta``.

``results/theta.json`` has, for each set and plan, the mean MASE on at most 40 series, or the reason for its absence.
"""

import json
import sys
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.protocol import Plan, Windows, mase_of, mean_error, plan_for, windows_of
from benchmarks.data import Dataset, datasets
from benchmarks.results import FOLDER
from models.data.panel import Panel
from models.evaluation.baselines import MAX_SEASON, theta
from models.types import JsonObject

FILE = FOLDER / "theta.json"
MAX_SERIES = 40


def sample(panel: Panel, windows: Windows) -> NDArray[np.bool_]:
    """Return a mask (W,) of the windows of at most ``MAX_SERIES`` evenly chosen series."""
    chosen = np.linspace(0, len(panel) - 1, min(len(panel), MAX_SERIES)).astype(np.int64)
    return np.isin(windows.series, chosen)


def known() -> JsonObject:
    """Return the stored results by set."""
    found: JsonObject = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def recorded(entries: JsonObject, name: str, plan: Plan) -> float | None:
    """Return the MASE of AutoTheta on the set ``name``, or None if AutoTheta is excluded there.

    Raises:
        LookupError: no result is stored, or it belongs to another plan.
    """
    entry = entries.get(name, {"plan": "nothing"})
    if entry["plan"] != str(plan):
        hint = "python -m benchmarks.accuracy.theta computes it"
        raise LookupError(f"{FILE.name} has {entry['plan']} for {name}, not '{plan}'; {hint}")
    value: float | None = entry["mase"]
    return value


def why_not() -> dict[str, str]:
    """Return the sets without AutoTheta and the reasons."""
    return {name: entry["why"] for name, entry in known().items() if entry["mase"] is None}


def compute(dataset: Dataset) -> JsonObject:
    """Return the result for one set."""
    panel = dataset.panel()
    plan = plan_for(panel, dataset.horizon, dataset.season)
    if plan.season > MAX_SEASON["theta"]:
        why = f"a season of {plan.season} steps is more than {MAX_SEASON['theta']}"
        return {"plan": str(plan), "mase": None, "why": why}
    windows = windows_of(panel, plan)
    began_s = time.perf_counter()
    chosen = sample(panel, windows)
    mean = np.full_like(windows.actual, np.nan)
    for w in np.flatnonzero(chosen):
        history = panel.series(int(windows.series[w]))[: windows.at[w]]
        mean[w] = theta(history, plan.horizon, plan.season)
    errors = np.where(chosen, mase_of(windows, mean), np.nan)
    seconds = round(time.perf_counter() - began_s, 1)
    return {
        "plan": str(plan),
        "mase": mean_error(errors, windows),
        "windows": int(chosen.sum()),
        "seconds": seconds,
    }


def main() -> int:
    """Compute the missing results, one set after another."""
    entries = known()
    for name, dataset in sorted(datasets().items()):
        plan = plan_for(dataset.panel(), dataset.horizon, dataset.season)
        if entries.get(name, {}).get("plan") != str(plan):
            entries[name] = compute(dataset)
            print(f"{name}: {entries[name]}", flush=True)
            FILE.write_text(json.dumps(dict(sorted(entries.items())), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
