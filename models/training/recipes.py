"""Recipes: specs for those who name no fields, as data, with the reason beside each number.

What a panel suggests is worked out from its frequency, season and lengths alone; see ``suggest``.
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
from models.errors import Fault, SpecError
from models.evaluation.origins import plan_for
from models.network.spec import Spec, Training
from models.network.spec_fields import ROLES
from models.network.strategies import STRATEGIES

SEASONS_OF_CONTEXT = 3  # enough to tell a season from a trend
HORIZONS_OF_CONTEXT = 3
DAYS_OF_CONTEXT = 8  # below a day's step: a week and a day show which weekday it is
MIN_CONTEXT = 8
MAX_CONTEXT = 1_000
# Windows that do not overlap are what a panel has to teach. With fewer of them a network learns them by heart: on
# validation origins of sets with 3 to 25, a tenth of the steps was better by up to a quarter; sets with 300
# and more wanted all of them. Three times the dropout helped those below 300, and cost those above 1,000 a twentieth.
WINDOWS_PER_EPOCH = 12
MIN_EPOCHS, MAX_EPOCHS = 2, 20  # of 100 steps
FEW_WINDOWS = 400
FEW_DROPOUT, DROPOUT = 0.3, 0.1
# Taught to carry a state over four windows, networks forecast as well as others after one, and hardly worse after four.
CARRY = 4
MAX_STEPS = 8  # of the cell: with more, training takes longer and forecasts get no better


@dataclass(frozen=True, slots=True)
class Recipe:
    """Fields of a spec and of its training; those not named are the library's defaults, or follow from the panel."""

    why: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "default": Recipe(
            "segments of a season into one GRU, the whole horizon at once, gates onto the naive forecasts; quantiles "
            "cost the median nothing and tell quiet times from wild ones; twice the steps on half the batch learn more",
            {"units": 128, "loss": "quantile"},
            {"steps_per_epoch": 100, "batch_size": 64, "learning_rate": 1.5e-3},
        ),
        "alike": Recipe(
            "many series of one kind and one size: measured alike, so that the size of a swing tells its phase; whole "
            "windows only; squares, since the noise is even",
            {"units": 64, "depth": 2, "segment": 2, "loss": "mse", "scaling": "panel", "skip": False, "dropout": 0.0},
            {"max_epochs": 110, "batch_size": 64, "learning_rate": 3e-3, "least_context": 1.0},
        ),
        "long": Recipe(
            "long horizons far beyond a season: each segment ahead from the last state and its place (SegRNN), "
            "measured from the last value; much dropout, since windows that overlap are hardly more than one",
            {"strategy": "parallel", "units": 128, "loss": "mae", "scaling": "last", "skip": False, "dropout": 0.5},
            {"steps_per_epoch": 100, "batch_size": 256, "learning_rate": 1e-3, "least_context": 1.0},
        ),
    }
)


@dataclass(frozen=True, slots=True)
class SpecCandidate:
    """Fields that ``models.training.search`` tries in place of those of ``recipe``; ``context_times`` the suggested
    context."""

    name: str
    why: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    context_times: float = 1.0
    recipe: str = "default"


# The first are tried first, should time be short.
CANDIDATES = (
    SpecCandidate("default", "what is suggested for most data"),
    SpecCandidate("shorter", "what is long gone may mislead", context_times=0.5),
    SpecCandidate("longer", "slow seasons and rare events lie far back", context_times=2.0),
    SpecCandidate("parallel", "far horizons: each segment is said by its place", {"strategy": "parallel"}),
    SpecCandidate("last", "levels that wander: the newest value says most", {"scaling": "last"}),
    SpecCandidate("calendar", "weekdays and months that one context does not hold", {"calendar": True}),
    SpecCandidate("point", "nothing but the middle counts", {"loss": "mae"}),
    SpecCandidate("seq2seq", "short series: each step of a window teaches", {"strategy": "seq2seq"}),
    SpecCandidate("long", RECIPES["long"].why, recipe="long"),
    SpecCandidate("alike", RECIPES["alike"].why, recipe="alike"),
    SpecCandidate("wide", "many series have more to tell than few", {"units": 256}),
)


# What is drawn of; what the data say themselves, season and horizon, is not among them.
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
    """Candidates without end: each field but those ``given`` is drawn at random, and always the same ones.

    Bergstra & Bengio (2012), "Random Search for Hyper-Parameter Optimization".
    """
    rng = np.random.default_rng(0)
    for number in count(1):
        fields = {name: values[rng.integers(len(values))] for name, values in DRAWN_FIELDS.items()}
        spec = {name: value for name, value in fields.items() if name not in given}
        times = (0.5, 1.0, 2.0)[rng.integers(3)] if "context" not in given and "segment" not in given else 1.0
        yield SpecCandidate(f"drawn-{number}", "drawn at random", spec, times)


def default_horizon(freq: Freq) -> int:
    """One season, a quarter of it where that is more than a month of days, six steps where there is none."""
    if freq.season == 1:
        return 6
    return freq.season if freq.season <= 48 else max(1, freq.season // 4)


def suggest(panel: Panel, fields: Mapping[str, Any], recipe: str = "default") -> Spec:
    """The spec with ``fields`` as given and the rest suited to ``panel``.

    A horizon that is not given is halved until half the series are long enough for it and for its backtest.

    Raises:
        SpecError: a field that does not exist or cannot work, or another frequency than the panel's.
    """
    given = {"freq": str(panel.freq), **RECIPES[recipe].spec, **fields}
    _refuse_bad_fields(given)
    given["season"] = fields.get("season", _season(panel))
    given["horizon"] = fields.get("horizon", _horizon(panel, given["season"]))
    given.setdefault("categories", _categories(panel, given))
    wanted = _context(panel, given["season"], given["horizon"])
    if "segment" not in given:
        given["segment"] = _segment(given, wanted)
    if "context" not in given:
        fold = given["season"] if given.get("encoder") == "convlstm" else given["segment"]
        given["context"] = max(wanted // fold, 1) * fold
    few = _count_windows(panel, given["context"], given["horizon"]) < FEW_WINDOWS
    spec = Spec.from_json({"dropout": FEW_DROPOUT if few else DROPOUT, **given})
    if parse_freq(spec.freq) != panel.freq:
        message = f"freq is {spec.freq}, the data set has {panel.freq}"
        hint = "leave freq out, or train on data of that frequency"
        raise SpecError([Fault(code="other_frequency", field="freq", message=message, hint=hint)])
    return spec


def suggest_training(panel: Panel, spec: Spec, fields: Mapping[str, Any], recipe: str = "default") -> Training:
    """The training with ``fields`` as given and the rest as the recipe and what there is to learn have it."""
    epochs = round(_count_windows(panel, spec.context, spec.horizon) / WINDOWS_PER_EPOCH)
    sized = {"max_epochs": min(MAX_EPOCHS, max(MIN_EPOCHS, epochs))}
    if spec.carries and not fields.get("patience"):
        sized["carry"] = CARRY
    return Training.from_json({**sized, **RECIPES[recipe].training, **fields})


def _count_windows(panel: Panel, context: int, horizon: int) -> int:
    """The windows of ``panel`` that do not overlap: what there is to learn, however many moments there are."""
    return len(panel.y) // max(1, context + horizon)


def _season(panel: Panel) -> int:
    """The frequency's, where half the series hold it twice."""
    return panel.freq.season if panel.median_length >= 2 * panel.freq.season else 1


def _horizon(panel: Panel, season: int) -> int:
    horizon = default_horizon(panel.freq)
    while horizon > 1 and _training_points(panel, horizon, season) < 2 * horizon:
        horizon //= 2
    return horizon


def _training_points(panel: Panel, horizon: int, season: int) -> int:
    """The points of the median series before its backtest."""
    return panel.median_length - plan_for(panel, horizon, season).held_out


def _context(panel: Panel, season: int, horizon: int) -> int:
    """The points worth reading, at most as many as the median series has to teach with."""
    wanted = max(SEASONS_OF_CONTEXT * season, HORIZONS_OF_CONTEXT * horizon, panel.freq.season + horizon, MIN_CONTEXT)
    if panel.freq.min_days < 1 and season > 1:
        wanted = max(wanted, int(DAYS_OF_CONTEXT / panel.freq.min_days))
    return max(2, min(wanted, MAX_CONTEXT, _training_points(panel, horizon, season) - 1))


def _refuse_bad_fields(given: Mapping[str, Any]) -> None:
    """Refuse a field that can never be; whether they fit together is seen once all of them are there."""
    try:
        Spec.from_json({"season": 1, "context": 2, "horizon": 1, **given})
    except SpecError as error:
        if any(fault.code != "contradiction" for fault in error.faults):
            raise


def _categories(panel: Panel, given: Mapping[str, Any]) -> list[list[Any]]:
    """The values of the covariates in use that are text."""
    used = [name for role in ROLES for name in given.get(role, ())]
    return [[name, list(panel.categories[name])] for name in used if name in panel.categories]


def _segment(given: Mapping[str, Any], wanted: int) -> int:
    """The smallest part or multiple of the season that makes at most ``MAX_STEPS`` segments of the context.

    It divides a context that was given, and the horizon of a strategy that says it in segments; where no season does,
    any number will do.
    """
    season, context = given["season"], given.get("context", wanted)
    if given.get("encoder") == "convlstm" or given.get("state") == "carried":
        return 1
    decodes = STRATEGIES[given.get("strategy", "direct")].decodes
    whole = ([context] if "context" in given else []) + ([given["horizon"]] if decodes else [])
    parts = [size for size in range(1, season) if season % size == 0]
    sizes = [*parts, *range(season, context + season, season), *range(1, context + 1)]
    fitting = [size for size in sizes if all(length % size == 0 for length in whole)]
    return int(next((size for size in fitting if context // size <= MAX_STEPS), math.gcd(*whole) or 1))
