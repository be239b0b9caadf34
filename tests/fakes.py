"""Forecasters made by hand: real bundles that nobody had to train.

With all weights zero a recurrent state stays 0, so a network says its head's bias whatever it reads: the forecast of
``says(1, 2, -1)`` is the last value + 1, 2, -1 spreads, which anybody can work out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.intervals import LEVELS, Calibration
from models.evaluation.report import Score
from models.forecasting.forecaster import Forecaster, Member
from models.network.build import weight_shapes
from models.network.inputs import fact_shapes
from models.network.spec import Spec
from models.training.report import VersionReport

Weights = dict[str, NDArray[np.float32]]


def spec_of(**fields: Any) -> Spec:
    """Days without a season, 4 points in and 3 steps out, 2 units: small enough for pencil and paper."""
    small = {"freq": "D", "season": 1, "context": 4, "horizon": 3, "units": 2, "scaling": "last", "skip": False}
    return Spec(**{**small, **fields})


def calibration(horizon: int, count: int = 199) -> Calibration:
    """A radius of level / 100 spreads at every step."""
    return Calibration(np.tile(LEVELS / 100, (horizon, 1)).astype(np.float32), count)


def weights(spec: Spec, seed: int | None = None) -> Weights:
    """Weights of the shapes that ``spec`` needs: zeros, or random ones; nothing is known of its data."""
    facts = {name: np.zeros(shape, np.float32) for name, shape in fact_shapes(spec).items()}
    if seed is None:
        return {name: np.zeros(shape, np.float32) for name, shape in weight_shapes(spec).items()} | facts
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in weight_shapes(spec).items()} | facts


def says(*steps: float, count: int = 199, **fields: Any) -> Forecaster:
    """A forecaster that says ``steps`` (in window units) of every window."""
    spec = spec_of(**{"horizon": len(steps), **fields})
    bias = np.array(steps[: spec.outputs], np.float32)
    return Forecaster((Member(spec, {**weights(spec), "head/bias": bias}),), calibration(spec.horizon, count))


def says_price(**fields: Any) -> Forecaster:
    """A forecaster that says what the known-future covariate ``price`` will be, 0 or more, in window units."""
    spec = spec_of(**{"units": 3, "future_covariates": ("price",), **fields})
    own = weights(spec)
    own["mix/kernel"][3:] = np.eye(3)  # the first rows read the state
    own["head/kernel"][:] = np.eye(3)
    return Forecaster((Member(spec, own),), calibration(spec.horizon))


def says_cold(*steps: float, level: float, spread: float) -> Forecaster:
    """A forecaster that says ``steps`` in units of ``spread`` from ``level`` of any series that has a ``size``."""
    made = says(*steps, context=0, static_covariates=("size",))
    made.members[0].weights["facts/prior"][:] = level, spread
    return made


def seasonal_naive(**fields: Any) -> Forecaster:
    """No network at all."""
    spec = spec_of(**{"strategy": "seasonal_naive", **fields})
    return Forecaster((Member(spec, weights(spec)),), calibration(spec.horizon))


def together(*forecasters: Forecaster) -> Forecaster:
    """The members of all of them as one."""
    members = tuple(member for forecaster in forecasters for member in forecaster.members)
    return Forecaster(members, forecasters[0].calibration)


def random_forecaster(seed: int = 0, **fields: Any) -> Forecaster:
    """A forecaster with random weights: what it says depends on all that it reads."""
    spec = spec_of(**fields)
    return Forecaster((Member(spec, weights(spec, seed)),), calibration(spec.horizon))


def report(skill: float | None = 0.25, horizon: int = 3, **changes: Any) -> VersionReport:
    """The report of a registered version with this skill, with ``changes`` to its fields."""
    mase = None if skill is None else 1.0 - skill
    model: Score = {"mase": mase, "smape": 10.0, "rmse": 2.0, "mse": 4.0}
    baseline: Score = {**model, "mase": None if skill is None else 1.0}
    fields: dict[str, Any] = {
        "horizon": horizon,
        "season": 1,
        "origins": 2,
        "windows": 4,
        "series_left_out": 0,
        "scores": {"model": model, "seasonal_naive": baseline, "naive": baseline},
        "skill": skill,
        "coverage": {"80": 0.75, "95": None},
        "warm_started_from": None,
        "promoted": True,
        "promotion": "the first version",
    }
    return VersionReport(**{**fields, **changes})
