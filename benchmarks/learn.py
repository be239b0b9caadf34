"""Adapter between the benchmarks and the library: how to train a predictor, and the recipe of each protocol."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from benchmarks.accuracy.protocol import Answer, Predictor
from models.data.panel import Panel
from models.data.windows import take
from models.engines.onnx import OnnxEngine
from models.evaluation.adaptive_intervals import adapt, initial_adaptation
from models.evaluation.intervals import Calibration, Prediction
from models.evaluation.origins import plan_for
from models.forecasting.forecaster import Member, RunnableMember, make_runnable, predict
from models.network.fields import FieldValues
from models.training.fit import fit
from models.training.member_plan import MemberPlan
from models.training.pipeline import train_pipeline
from models.training.recipes import suggest, suggest_training
from models.types import Floats, Ints

LEVEL = 80  # percent


@dataclass(frozen=True, slots=True)
class Recipe:
    """Name of a recipe of the library and the fields that a protocol overrides."""

    name: str = "default"
    fields: FieldValues = field(default_factory=dict)
    training: FieldValues = field(default_factory=dict)


# By suite, never by data set: what is tuned to one set says nothing about the next.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "two-sine": Recipe("alike"),
        "ett": Recipe("long"),
        "m4": Recipe(training={"max_epochs": 40}),  # hundreds of series: what is learned longer is learned better
        "sets": Recipe(),
    }
)


@dataclass(frozen=True, slots=True)
class Teacher:
    """Trainer with one ``recipe`` and one ``seed``."""

    recipe: Recipe
    seed: int

    def __call__(self, panel: Panel, fields: FieldValues, held: int | None = None) -> Predictor:
        """Return a predictor trained on ``panel``.

        With ``held`` None it is made as by a job of the service, with intervals from its own backtest. Otherwise the
        newest ``held`` points are excluded from training, and there are no intervals.
        """
        spec = suggest(panel, {**fields, **self.recipe.fields}, self.recipe.name)
        training = suggest_training(panel, spec, {**self.recipe.training, "seed": self.seed}, self.recipe.name)
        if held is None:
            made = train_pipeline(panel, plan_for(panel, spec.horizon, spec.season), [MemberPlan(spec, training)])
            return Adapting(make_runnable(made.forecaster.members, OnnxEngine), made.forecaster.calibration)
        network = make_runnable([Member(spec, fit(spec, training, panel.cut(held) if held else panel))], OnnxEngine)

        def points(panel: Panel, series: Ints, at: Ints, horizon: int) -> Answer:
            mean = predict(network, panel, series, at, horizon).median
            return Answer(mean, mean, mean)

        return points


@dataclass(slots=True)
class Open:
    """Earlier forecasts of some series, and the number of their steps already learned from, (B,)."""

    series: Ints
    at: Ints
    prediction: Prediction
    learned: Ints

    def arrived(self, panel: Panel, now: dict[int, int], horizon: int) -> Floats:
        """Return the values that became known by ``now`` of each series, (B, H), and count them as learned from."""
        known = np.array([now.get(int(i), at) for i, at in zip(self.series, self.at, strict=True)])
        came, steps = np.clip(known - self.at, self.learned, horizon), np.arange(horizon)
        new = (steps >= self.learned[:, None]) & (steps < came[:, None])
        self.learned = came
        return np.where(new, take(panel.y, panel, self.series, self.at, horizon), np.nan)


class Adapting:
    """Predictor with intervals that learn from earlier forecasts; call it in order of time."""

    def __init__(self, networks: tuple[RunnableMember, ...], calibration: Calibration) -> None:
        self._networks, self._calibration = networks, calibration
        self._state, self._open = initial_adaptation(), list[Open]()

    def __call__(self, panel: Panel, series: Ints, at: Ints, horizon: int) -> Answer:
        """Return the forecasts at (series, at) with the interval at 80 %."""
        if self._open:
            self._learn(panel, dict(zip(series.tolist(), at.tolist(), strict=True)), horizon)
        prediction = predict(self._networks, panel, series, at, horizon)
        self._open.append(Open(series, at, prediction, np.zeros_like(at)))
        lo, hi = self._calibration.with_scales(self._state.scales).intervals(prediction, [LEVEL])[LEVEL]
        return Answer(prediction.median, lo, hi)

    def _learn(self, panel: Panel, now: dict[int, int], horizon: int) -> None:
        """Learn from all steps that became known by ``now`` of each series: they arrived at one moment."""
        arrived = np.concatenate([said.arrived(panel, now, horizon) for said in self._open])
        prediction = Prediction.join([said.prediction for said in self._open])
        self._state = adapt(self._state, self._calibration, prediction, arrived)


def fit_only(panel: Panel, fields: FieldValues, training: FieldValues, on_epoch: Callable[[int], None]) -> None:
    """Train without keeping the result; call ``on_epoch`` with the number of each epoch and at the end."""
    spec = suggest(panel, fields)
    fit(spec, suggest_training(panel, spec, training), panel, lambda progress: on_epoch(progress.epoch))
