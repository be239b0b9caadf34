"""Recipes: defaults for specs and training settings as data, with the reason for each number.

The suggestions for a panel depend on its frequency, season and lengths alone; see ``suggest``.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any

import numpy as np

from models.data.calendar import parse_freq
from models.data.panel import Panel
from models.errors import SpecError
from models.network.covariate_roles import ROLES
from models.network.encoders import ENCODERS
from models.network.fields import FieldValues
from models.network.losses import LOSSES
from models.network.scaling import SCALINGS
from models.network.spec import Spec, Training
from models.network.strategies import STRATEGIES
from models.training.lengths import suggest_lengths

# The number of windows that do not overlap measures the information in a panel. With few of them a network overfits: on
# validation origins of data sets with 3 to 25, a tenth of the steps gave an error up to a quarter lower; data sets with
# 300 and more needed all steps. Three times the dropout helped below 300 windows, and cost 5 % above 1,000.
WINDOWS_PER_EPOCH = 12
MIN_EPOCHS, MAX_EPOCHS = 2, 20  # of 100 steps
FEW_WINDOWS = 400
FEW_DROPOUT, DROPOUT = 0.3, 0.1
# Networks trained to carry a state over four windows forecast as well as others after one, and hardly worse after four.
CARRY = 4
NONE: FieldValues = MappingProxyType({})


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


def suggest(panel: Panel, fields: FieldValues, recipe: str = "default", tried: FieldValues = NONE) -> Spec:
    """Return the spec with ``fields`` as given and other fields suited to ``panel``.

    ``tried``: fields that the library sets in place of those of the recipe. Fields of either that contradict a given
    one are left out; the lengths are those of ``models.training.lengths``.

    Raises:
        SpecError: a field that does not exist or cannot work, or another frequency than the panel's.
    """
    given = {"freq": str(panel.freq), **fields}
    _refuse_bad_fields(given)
    chosen = _override({**RECIPES[recipe].spec, **tried}, given)
    if "non_negative" not in fields and fields.get("bounds") is None:
        chosen["non_negative"] = is_non_negative(panel)
    used = [name for role in ROLES for name in chosen.get(role, ()) if name in panel.categories]
    chosen.setdefault("categories", [[name, list(panel.categories[name])] for name in used])
    chosen |= suggest_lengths(panel, chosen, fields)
    overfits = _count_windows(panel, chosen["context"], chosen["horizon"]) < FEW_WINDOWS
    spec = Spec.from_json({"dropout": FEW_DROPOUT if overfits else DROPOUT, **chosen})
    if parse_freq(spec.freq) != panel.freq:
        message = f"freq is {spec.freq}, the data set has {panel.freq}"
        hint = "leave freq out, or train on data of that frequency"
        raise SpecError.of("other_frequency", message, hint, field="freq")
    return spec


def is_non_negative(panel: Panel) -> bool:
    """Return whether ``panel`` has values and none of them is below 0."""
    return bool((panel.y >= 0).any() and not (panel.y < 0).any())


def fields_again(spec: Spec, panel: Panel) -> FieldValues:
    """Return the fields of ``spec`` for a training on ``panel``; without ``non_negative`` if a value is below 0."""
    return {**spec.to_json(), "non_negative": spec.non_negative and is_non_negative(panel)}


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


def _refuse_bad_fields(given: FieldValues) -> None:
    """Refuse fields that are invalid by themselves; combinations are checked once all fields are known."""
    try:
        Spec.from_json({"season": 1, "context": 2, "horizon": 1, **given})
    except SpecError as error:
        if any(fault.code != "contradiction" for fault in error.faults):
            raise


def _override(suggested: FieldValues, given: FieldValues) -> dict[str, Any]:
    """Return ``given`` and the ``suggested`` fields that agree with it; each given field is valid by itself.

    A strategy without a network takes none of the suggestions. Attention needs a decoder, a ConvLSTM the cell that it
    is defined for, quantiles a loss that trains them, a carried state a strategy that continues from it, and a
    transform a scaling by window.
    """
    if "strategy" in given and not STRATEGIES[given["strategy"]].learns:
        return dict(given)
    implied = dict(suggested)
    only_cell = ENCODERS[given.get("encoder", "forward")].only_cell
    if only_cell:
        implied["cell"] = only_cell
    if given.get("attention") and not _decodes(implied):
        implied["strategy"] = "decoder"
    if given.get("state") == "carried" and _decodes(implied):
        implied["strategy"] = "direct"
    if "quantiles" in given and not LOSSES[implied.get("loss", "mae")].has_quantiles:
        implied["loss"] = "quantile"
    if given.get("transform", "none") != "none" and SCALINGS[implied.get("scaling", "level")].by_panel:
        implied["scaling"] = "level"
    return {**implied, **given}


def _decodes(fields: FieldValues) -> bool:
    return STRATEGIES[fields.get("strategy", "direct")].decodes
