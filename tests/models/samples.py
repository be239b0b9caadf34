"""Small panels and networks that the tests of the library share."""

from typing import Any

import numpy as np

from models.calendar import Freq, parse_freq
from models.errors import Fault, InputError
from models.forecaster import Forecaster
from models.intervals import LEVELS, Calibration
from models.panel import Panel, panel_from_columns
from models.spec import Spec


def days(count: int, start: str = "2024-01-01") -> list[str]:
    return [str(day) for day in np.datetime64(start) + np.arange(count)]


def panel_of(*series: Any, freq: str = "D", start: str = "2024-01-01") -> Panel:
    """A panel of the arrays given, named s0, s1, …"""
    step, first = parse_freq(freq), np.datetime64(start, "us")
    ids = [f"s{i}" for i, y in enumerate(series) for _ in y]
    ds = [str(t) for y in series for t in step.after(first, np.arange(len(y)))]
    return panel_from_columns(ids, ds, [float(v) for y in series for v in y], freq)


def grid(freq: str | Freq, start: str, count: int) -> np.ndarray:
    step = parse_freq(freq) if isinstance(freq, str) else freq
    return step.after(np.datetime64(start, "us"), np.arange(count))


def rows_of(panel: Panel) -> list[tuple[str, str, float]]:
    """Long rows of a panel, series after series."""
    moments = [str(t) for i in range(len(panel)) for t in panel.times(i)]
    names = [name for name, y in panel for _ in y]
    return list(zip(names, moments, panel.y.tolist(), strict=True))


def faults_of(error: InputError) -> list[tuple[str, str | None, int | None]]:
    return [(fault.code, fault.unique_id, fault.row) for fault in error.faults]


def helpful(fault: Fault) -> bool:
    """Every complaint has a code, says what was got and what to do, and stays short."""
    return bool(fault.code and fault.message and fault.hint) and len(str(fault)) < 500


def small_spec(**fields: Any) -> Spec:
    return Spec(**{"freq": "D", "season": 3, "context": 10, "horizon": 4, "units": 6, **fields})


def flat_calibration(horizon: int, count: int = 199) -> Calibration:
    """Radius level / 100 for every step."""
    return Calibration(np.tile(LEVELS / 100, (horizon, 1)).astype(np.float32), count)


def forecaster_of(spec: Spec, weights: Any) -> Forecaster:
    return Forecaster(spec, weights, flat_calibration(spec.horizon))


class Says:
    """A hand-written engine: ``answer`` maps the last window (B, T, C) to (B, O); it counts its runs."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.runs = answer, 0

    def run(self, windows: np.ndarray) -> np.ndarray:
        self.runs += 1
        return np.asarray(self.answer(windows), dtype=np.float32)
