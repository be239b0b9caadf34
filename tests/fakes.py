"""Forecasters made by hand: real bundles that nobody had to train.

With all weights zero a recurrent state stays 0, so a network says its head's bias whatever it reads: the forecast of
``says(1, 2, -1)`` is level + 1, 2, -1 spreads, which anybody can work out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cells import CELLS
from models.forecaster import Forecaster
from models.intervals import LEVELS, Calibration
from models.spec import CHANNELS, Spec

Weights = dict[str, NDArray[np.float32]]


def spec_of(**fields: Any) -> Spec:
    """Days without a season, 4 points in and 3 steps out, 2 units: small enough for pencil and paper."""
    return Spec(**{"freq": "D", "season": 1, "context": 4, "horizon": 3, "units": 2, **fields})


def calibration(horizon: int, count: int = 199) -> Calibration:
    """A radius of level / 100 spreads at every step."""
    return Calibration(np.tile(LEVELS / 100, (horizon, 1)).astype(np.float32), count)


def weights(spec: Spec, seed: int | None = None) -> Weights:
    """Weights of the shapes that ``spec`` needs: zeros, or random ones."""
    shapes = {"head/kernel": (spec.units, spec.outputs), "head/bias": (spec.outputs,)}
    for layer in range(spec.depth):
        cell = CELLS[spec.cell].shapes(spec.units if layer else CHANNELS, spec.units)
        shapes |= {f"cell_{layer}/{name}": shape for name, shape in cell.items()}
    if seed is None:
        return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def says(*steps: float, count: int = 199, **fields: Any) -> Forecaster:
    """A forecaster that says ``steps`` (in window units) of every window."""
    outputs = 1 if fields.get("strategy") == "iterative" else len(steps)
    spec = spec_of(**{"horizon": len(steps), **fields})
    bias = np.array(steps[:outputs], np.float32)
    return Forecaster(spec, {**weights(spec), "head/bias": bias}, calibration(spec.horizon, count))


def random_forecaster(seed: int = 0, **fields: Any) -> Forecaster:
    """A forecaster with random weights: what it says depends on all that it reads."""
    spec = spec_of(**fields)
    return Forecaster(spec, weights(spec, seed), calibration(spec.horizon))


def scores(skill: float | None = 0.25, horizon: int = 3) -> dict[str, Any]:
    """The report of a backtest with this skill, as ``models.backtest.evaluate`` writes it."""
    mase = None if skill is None else 1.0 - skill
    model = {"mase": mase, "smape": 10.0, "rmse": 2.0, "mse": 4.0}
    baseline = {**model, "mase": None if skill is None else 1.0}
    return {
        "horizon": horizon,
        "season": 1,
        "origins": 2,
        "windows": 4,
        "series_left_out": 0,
        "scores": {"model": model, "seasonal_naive": baseline, "naive": baseline},
        "skill": skill,
        "coverage": {"80": 0.75, "95": None},
        "promoted": True,
        "promotion": "the first version",
    }
