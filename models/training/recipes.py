"""Recipes: defaults for specs and training settings as data, with the reason for each number.

The suggestions for a panel depend on its frequency, season and lengths alone; see ``suggest``.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any

import numpy as np

from models.data.calendar import Freq, parse_freq
from models.data.panel import Panel
from models.errors import SpecError
from models.evaluation.origins import plan_for
from models.network.fields import FieldValues
from models.network.spec import Spec, Training
from models.network.spec_fields import ROLES
from models.network.strategies import STRATEGIES

SEASONS_OF_CONTEXT = 3  # enough to distinguish a season from a trend
HORIZONS_OF_CONTEXT = 3
DAYS_OF_CONTEXT = 8  # for steps shorter than a day: a week and a day identify the weekday
MIN_CONTEXT = 8
MAX_CONTEXT = 1_000
# The number of windows that do not overlap measures the information in a panel. With few of them a network overfits: on
# validation origins of data sets with 3 to 25, a tenth of the steps gave an error up to a quarter lower; data sets with
# 300 and more needed all steps. Three times the dropout helped below 300 windows, and cost 5 % above 1,000.
WINDOWS_PER_EPOCH = 12
MIN_EPOCHS, MAX_EPOCHS = 2, 20  # of 100 steps
FEW_WINDOWS = 400
FEW_DROPOUT, DROPOUT = 0.3, 0.1
# Networks trained to carry a state over four windows forecast as well as others after one, and hardly worse after four.
CARRY = 4
MAX_STEPS = 8  # of the cell; with more, training takes longer and forecasts do not improve


@dataclass(frozen=True, slots=True)
class Recipe:
    """Fields of a spec and of its training; other fields have the library's defaults or follow from the panel."""

    reason: str
    spec: FieldValues = field(default_factory=dict)
    training: FieldValues = field(default_factory=dict)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "default": Recipe(
            "one GRU reads segments of a season and forecasts the whole horizon at once, with gated skip connections "
            "from the naive forecasts; quantiles do not cost accuracy and adapt the width to the volatility; twice the "
            "steps with half the batch learn more",
            {"units": 128, "loss": "quantile"},
            {"steps_per_epoch": 100, "batch_size": 64, "learning_rate": 1.5e-3},
        ),
        "alike": Recipe(
            "many similar series of one scale: scaled together, so that an amplitude indicates the phase; complete "
            "windows only; squared error, because the noise is homogeneous",
            {"units": 64, "depth": 2, "segment": 2, "loss": "mse", "scaling": "panel", "skip": False, "dropout": 0.0},
            {"max_epochs": 110, "batch_size": 64, "learning_rate": 3e-3, "least_context": 1.0},
        ),
        "long": Recipe(
            "horizons much longer than a season: each future segment from the last state and its position (SegRNN), "
            "relative to the last value; high dropout, because overlapping windows add little information",
            {"strategy": "parallel", "units": 128, "loss": "mae", "scaling": "last", "skip": False, "dropout": 0.5},
            {"steps_per_epoch": 100, "batch_size": 256, "learning_rate": 1e-3, "least_context": 1.0},
        ),
    }
)


@dataclass(frozen=True, slots=True)
class SpecCandidate:
    """Fields that ``models.training.search`` tries instead of those of ``recipe``.

    ``context_times``: factor of the suggested context.
    """

    name: str
    reason: str
    spec: FieldValues = field(default_factory=dict)
    context_times: float = 1.0
    recipe: str = "default"


# In this order, so that the most useful ones are tried if time is short.
CANDIDATES = (
    SpecCandidate("default", "the recipe for most data"),
    SpecCandidate("shorter", "old values may mislead", context_times=0.5),
    SpecCandidate("longer", "slow seasons and rare events need a longer context", context_times=2.0),
    SpecCandidate("parallel", "long horizons: each segment is forecast from its position", {"strategy": "parallel"}),
    SpecCandidate("last", "random-walk levels: the newest value is the best predictor", {"scaling": "last"}),
    SpecCandidate("calendar", "weekdays and months that one context does not contain", {"calendar": True}),
    SpecCandidate("point", "only the point forecast counts", {"loss": "mae"}),
    SpecCandidate("seq2seq", "short series: training uses each step of a window", {"strategy": "seq2seq"}),
    SpecCandidate("long", RECIPES["long"].reason, recipe="long"),
    SpecCandidate("alike", RECIPES["alike"].reason, recipe="alike"),
    SpecCandidate("wide", "many series hold enough information for a wider network", {"units": 256}),
)


# Fields that are drawn at random; season and horizon follow from the data.
DRAWN_FIELDS: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "cell": ("gru", "lstm"),
        "units": (32, 64, 128, 256),
        "depth": (1, 2),
        "dropout": (0.0, 0.1, 0.3),
        "strategy": ("direct", "parallel", "seq2seq"),
        "scaling": ("level", "last", "standard"),
        "loss": ("quantile", "mae", "huber"),
    }
)


def draw_candidates(given: Collection[str] = ()) -> Iterator[SpecCandidate]:
    """Yield random candidates without end, always the same ones; fields in ``given`` are not drawn.

    Bergstra & Bengio (2012), "Random Search for Hyper-Parameter Optimization".
    """
    rng = np.random.default_rng(0)
    for number in count(1):
        fields = {name: values[rng.integers(len(values))] for name, values in DRAWN_FIELDS.items()}
        spec = {name: value for name, value in fields.items() if name not in given}
        context_times = (0.5, 1.0, 2.0)[rng.integers(3)] if "context" not in given and "segment" not in given else 1.0
        yield SpecCandidate(f"drawn-{number}", "drawn at random", spec, context_times)


def default_horizon(freq: Freq) -> int:
    """Return one season, a quarter of it if it is longer than 48 steps, six steps if there is no season."""
    if freq.season == 1:
        return 6
    return freq.season if freq.season <= 48 else max(1, freq.season // 4)


def suggest(panel: Panel, fields: FieldValues, recipe: str = "default") -> Spec:
    """Return the spec with ``fields`` as given and other fields suited to ``panel``.

    A horizon that is not given is halved until half of the series are long enough for it and for its backtest.

    Raises:
        SpecError: a field that does not exist or cannot work, or another frequency than the panel's.
    """
    given = {"freq": str(panel.freq), **RECIPES[recipe].spec, **fields}
    _refuse_bad_fields(given)
    # The season of the frequency, if half the series hold it twice.
    given["season"] = fields.get("season", panel.freq.season if panel.median_length >= 2 * panel.freq.season else 1)
    if "horizon" not in fields:
        given["horizon"] = default_horizon(panel.freq)
        while (
            given["horizon"] > 1 and _training_points(panel, given["horizon"], given["season"]) < 2 * given["horizon"]
        ):
            given["horizon"] //= 2
    used = [name for role in ROLES for name in given.get(role, ()) if name in panel.categories]
    given.setdefault("categories", [[name, list(panel.categories[name])] for name in used])
    context = _context(panel, given["season"], given["horizon"])
    if "segment" not in given:
        given["segment"] = _segment(given, context)
    if "context" not in given:
        multiple = given["season"] if given.get("encoder") == "convlstm" else given["segment"]
        given["context"] = max(context // multiple, 1) * multiple
    overfits = _count_windows(panel, given["context"], given["horizon"]) < FEW_WINDOWS
    spec = Spec.from_json({"dropout": FEW_DROPOUT if overfits else DROPOUT, **given})
    if parse_freq(spec.freq) != panel.freq:
        message = f"freq is {spec.freq}, the data set has {panel.freq}"
        hint = "leave freq out, or train on data of that frequency"
        raise SpecError.of("other_frequency", message, hint, field="freq")
    return spec


def suggest_training(panel: Panel, spec: Spec, fields: FieldValues, recipe: str = "default") -> Training:
    """Return training settings with ``fields`` as given and the others by recipe and by the amount of data."""
    epochs = round(_count_windows(panel, spec.context, spec.horizon) / WINDOWS_PER_EPOCH)
    defaults = {"max_epochs": min(MAX_EPOCHS, max(MIN_EPOCHS, epochs))}
    if spec.carries and not fields.get("patience"):
        defaults["carry"] = CARRY
    return Training.from_json({**defaults, **RECIPES[recipe].training, **fields})


def _count_windows(panel: Panel, context: int, horizon: int) -> int:
    """Return the number of windows of ``panel`` that do not overlap, a measure of its information."""
    return len(panel.y) // max(1, context + horizon)


def _training_points(panel: Panel, horizon: int, season: int) -> int:
    """Return the number of points of the median series before its backtest."""
    return panel.median_length - plan_for(panel, horizon, season).held_out


def _context(panel: Panel, season: int, horizon: int) -> int:
    """Return a suitable context, at most as long as the training part of the median series."""
    points = max(SEASONS_OF_CONTEXT * season, HORIZONS_OF_CONTEXT * horizon, panel.freq.season + horizon, MIN_CONTEXT)
    if panel.freq.min_days < 1 and season > 1:
        points = max(points, int(DAYS_OF_CONTEXT / panel.freq.min_days))
    return max(2, min(points, MAX_CONTEXT, _training_points(panel, horizon, season) - 1))


def _refuse_bad_fields(given: FieldValues) -> None:
    """Refuse fields that are invalid by themselves; combinations are checked once all fields are known."""
    try:
        Spec.from_json({"season": 1, "context": 2, "horizon": 1, **given})
    except SpecError as error:
        if any(fault.code != "contradiction" for fault in error.faults):
            raise


def _segment(given: FieldValues, suggested: int) -> int:
    """Return the smallest divisor or multiple of the season that makes at most ``MAX_STEPS`` segments of the context.

    It divides a given context, and the horizon of a strategy that decodes segments; if no season does, any divisor is
    used.
    """
    season, context = given["season"], given.get("context", suggested)
    if given.get("encoder") == "convlstm" or given.get("state") == "carried":
        return 1
    decodes = STRATEGIES[given.get("strategy", "direct")].decodes
    divided = ([context] if "context" in given else []) + ([given["horizon"]] if decodes else [])
    parts = [size for size in range(1, season) if season % size == 0]
    sizes = [*parts, *range(season, context + season, season), *range(1, context + 1)]
    fitting = [size for size in sizes if all(length % size == 0 for length in divided)]
    return int(next((size for size in fitting if context // size <= MAX_STEPS), math.gcd(*divided) or 1))
