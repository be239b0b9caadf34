"""The rules of a spec: the range of each field, and fields that do not work together.

Each fault names the field to change and how. The parts state their own needs in their registries, so that a new part
adds no rule here.
"""

from collections.abc import Iterator

from models.data.calendar import parse_freq
from models.data.calendar_features import check_country
from models.data.transforms import TRANSFORMS
from models.data.validation import MAX_COVARIATES, MAX_VALUE
from models.errors import Fault, InputError, excerpt
from models.network.cells import CELLS
from models.network.covariate_roles import ROLES
from models.network.encoders import ENCODERS
from models.network.fields import bad_field, check_choice, check_flag, check_names, check_range, refuse
from models.network.losses import LOSSES
from models.network.scaling import SCALINGS
from models.network.spec_fields import SpecFields
from models.network.strategies import STRATEGIES

MAX_UNROLLED_STEPS = 200  # of a cell without a fused operator: each step adds its own nodes to the graph
MAX_CATEGORY_CHANNELS = 200  # of all text covariates together: each of their values is a channel of the network


def check(spec: SpecFields) -> None:
    """Refuse a spec that cannot work.

    Raises:
        SpecError: a fault for each field that is out of its range; if there is none, one for each contradiction.
    """
    refuse(
        [
            check_range(spec, "season", 1, 10_000),
            check_range(spec, "context", 0, 10_000),
            check_range(spec, "horizon", 1, 5_000),
            check_range(spec, "segment", 1, 1_000),
            check_range(spec, "units", 1, 1_024),
            check_range(spec, "depth", 1, 8),
            check_range(spec, "dropout", 0.0, 0.9),
            _check_freq(spec),
            check_choice(spec, "cell", CELLS),
            check_choice(spec, "encoder", ENCODERS),
            check_choice(spec, "strategy", STRATEGIES),
            check_choice(spec, "state", ("sliding", "carried")),
            check_choice(spec, "scaling", SCALINGS),
            check_choice(spec, "transform", TRANSFORMS),
            check_choice(spec, "loss", LOSSES),
            *(check_flag(spec, name) for name in ("attention", "skip", "calendar", "non_negative")),
            *(check_names(spec, role, MAX_COVARIATES) for role in ROLES),
            _check_quantiles(spec),
            _check_categories(spec),
            _check_holidays(spec),
            _check_bounds(spec),
        ]
    )
    refuse(_contradictions(spec))


def _check_freq(spec: SpecFields) -> Fault | None:
    try:
        parse_freq(spec.freq)
    except InputError as error:
        return error.faults[0]
    return None


def _check_holidays(spec: SpecFields) -> Fault | None:
    if not isinstance(spec.holidays, str):
        hint = "give an ISO country code such as DE, or leave it out"
        return bad_field("holidays", f"{excerpt(spec.holidays)} is no country", hint)
    try:
        if spec.holidays != "":
            check_country(spec.holidays)
    except InputError as error:
        return error.faults[0]
    return None


def _check_quantiles(spec: SpecFields) -> Fault | None:
    value = spec.quantiles
    numbers = isinstance(value, tuple) and all(isinstance(q, float) and 0 < q < 1 for q in value)
    if numbers and 1 <= len(value) <= 99 and list(value) == sorted(set(value)) and 0.5 in value:
        return None
    hint = "give up to 99 ascending numbers between 0 and 1, 0.5 among them"
    return bad_field("quantiles", f"{excerpt(value)} cannot be used", hint)


def _check_bounds(spec: SpecFields) -> Fault | None:
    value, hint = spec.bounds, "give [lowest, highest], with null where there is no bound"
    if value is None:
        return None
    pair = isinstance(value, tuple) and len(value) == 2
    if not pair or not all(v is None or (type(v) in (int, float) and abs(v) <= MAX_VALUE) for v in value):
        return bad_field("bounds", f"{excerpt(value)} is no pair of numbers", hint)
    if None not in value and value[0] >= value[1]:  # type: ignore[operator]
        return bad_field("bounds", f"the lowest value {value[0]:g} is not below the highest {value[1]:g}", hint)
    return None


def _check_categories(spec: SpecFields) -> Fault | None:
    value = spec.categories
    known = [name for names in spec.roles().values() if isinstance(names, tuple) for name in names]
    pairs = isinstance(value, tuple) and all(isinstance(v, tuple) and len(v) == 2 for v in value)
    lists = [texts for _, texts in value if isinstance(texts, tuple) and len(texts) > 0] if pairs else []
    are_named = pairs and all(isinstance(name, str) and name in known for name, _ in value)
    if not are_named or len(lists) < len(value) or not all(isinstance(text, str) for texts in lists for text in texts):
        hint = "give pairs of a covariate's name and the list of its values"
        return bad_field("categories", f"{excerpt(value)} cannot be used", hint)
    if len({name for name, _ in value}) < len(value):
        return bad_field("categories", "a covariate is listed twice", "list each covariate once")
    if sum(len(texts) for _, texts in value) > MAX_CATEGORY_CHANNELS:
        hint = f"leave out covariates until their values are at most {MAX_CATEGORY_CHANNELS}"
        return Fault(code="too_many_categories", field="categories", message="too many values", hint=hint)
    return None


def _contradictions(spec: SpecFields) -> Iterator[Fault]:
    """Yield a fault for fields that do not work together in ``spec``, each of which is within its range."""
    yield from _check_segments(spec)
    names = spec.covariates
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield _contradiction("future_covariates", f"'{name}' is given in two roles", "give each covariate one role")
    yield from _check_scaling(spec)
    if spec.non_negative is True and spec.limits.hi <= 0:
        message = f"bounds end at {spec.limits.hi:g}, and non_negative asks for values from 0 on"
        yield _contradiction("bounds", message, "give a highest value above 0, or non_negative: false")
    if spec.context == 1:
        hint = "give 2 or more, or 0 for series without history"
        yield _contradiction("context", "a context of 1 has no spread to normalise by", hint)
    yield from _check_encoder(spec)
    if CELLS[spec.cell].step is not None and (spec.carries or spec.steps > MAX_UNROLLED_STEPS):
        message = f"cell {spec.cell} is unrolled: it reads a window of at most {MAX_UNROLLED_STEPS} steps"
        yield _contradiction("cell", message, "use state sliding and a smaller context or a larger segment")
    if spec.carries:
        yield from _check_carried(spec)
    if spec.context == 0:
        yield from _check_cold_start(spec)
    strategy = STRATEGIES[spec.strategy]
    if spec.attention and (not strategy.decodes or ENCODERS[spec.encoder].by_season):
        decoding = " or ".join(name for name, other in STRATEGIES.items() if other.decodes)
        reading = " or ".join(name for name, other in ENCODERS.items() if not other.by_season)
        hint = f"turn it off, or use strategy {decoding} with encoder {reading}"
        yield _contradiction("attention", "there is no decoder, or no sequence for it to attend to", hint)
    if not strategy.learns and spec.loss != "mae":
        message = f"{spec.strategy} has no network that loss {spec.loss} could train"
        yield _contradiction("loss", message, "leave loss out, or use a strategy with a network, such as direct")


def _check_segments(spec: SpecFields) -> Iterator[Fault]:
    if spec.context % spec.segment:
        whole = max(1, spec.context // spec.segment) * spec.segment
        message = f"segment {spec.segment} does not divide context {spec.context}"
        yield _contradiction("segment", message, f"use a context such as {whole}, or another segment")
    if STRATEGIES[spec.strategy].decodes and spec.horizon % spec.segment:
        whole = -(-spec.horizon // spec.segment) * spec.segment
        message = f"segment {spec.segment} does not divide horizon {spec.horizon}, which {spec.strategy} decodes"
        yield _contradiction("segment", message, f"use horizon {whole}, another segment, or strategy direct")


def _check_scaling(spec: SpecFields) -> Iterator[Fault]:
    scaling = SCALINGS[spec.scaling]
    if scaling.by_season and not 1 < spec.season <= spec.context:
        hint = "use another scaling, or a context of at least one season above 1"
        yield _contradiction("scaling", f"context {spec.context} holds no season of {spec.season} to subtract", hint)
    if scaling.by_season and STRATEGIES[spec.strategy].every_step and spec.horizon > spec.season:
        message = (
            f"{spec.strategy} trains after each step, where {spec.horizon} values ahead have other seasons as level"
        )
        yield _contradiction(
            "scaling", message, f"use another scaling or strategy, or a horizon of at most {spec.season}"
        )
    if scaling.by_panel and spec.transform != "none":
        message = f"series that are not positive have no {spec.transform}, and so no unit in common with the others"
        yield _contradiction("transform", message, "leave it out, or use a scaling by window, such as level")


def _check_encoder(spec: SpecFields) -> Iterator[Fault]:
    encoder = ENCODERS[spec.encoder]
    if encoder.only_cell and spec.cell != encoder.only_cell:
        hint = f"use cell {encoder.only_cell} with encoder {spec.encoder}"
        yield _contradiction("cell", f"encoder {spec.encoder} has no cell {spec.cell}", hint)
    if not encoder.by_season:
        return
    if spec.season < 2 or spec.context % spec.season:
        message = f"context {spec.context} is no number of whole seasons of {spec.season}"
        hint = f"encoder {spec.encoder} reads a season at a time: give a multiple of a season above 1"
        yield _contradiction("context", message, hint)
    if spec.segment > 1:
        yield _contradiction("segment", f"encoder {spec.encoder} reads a season at a time", "leave segment at 1")
    if STRATEGIES[spec.strategy].every_step:
        message = f"encoder {spec.encoder} has no output after each point"
        yield _contradiction("strategy", message, "use another strategy, such as direct")


def _check_carried(spec: SpecFields) -> Iterator[Fault]:
    strategy = STRATEGIES[spec.strategy]
    if not ENCODERS[spec.encoder].carries:
        message = f"the state of a {spec.encoder} encoder cannot be carried to later points"
        yield _contradiction("state", message, "use state sliding, or encoder forward")
    if strategy.decodes or not strategy.learns:
        message = f"strategy {spec.strategy} starts each forecast without a state"
        yield _contradiction("state", message, "use state sliding, or strategy iterative")
    if spec.segment > 1:
        message = "a carried state advances point by point"
        yield _contradiction("segment", message, "leave segment at 1, or use state sliding")
    if SCALINGS[spec.scaling].by_season:
        message = "a carried state keeps one level for all points"
        yield _contradiction("scaling", message, "use scaling level, or state sliding")


def _check_cold_start(spec: SpecFields) -> Iterator[Fault]:
    if spec.static_channels == 0:
        hint = "name static_covariates, or give a context of 2 or more"
        yield _contradiction("context", "a context of 0 leaves nothing to forecast by", hint)
    for role, names in spec.roles().items():
        if names and not ROLES[role].known_ahead:
            yield _contradiction(role, "a context of 0 reads no past", "leave them out, or give a context")
    if STRATEGIES[spec.strategy].needs_past:
        others = [name for name, strategy in STRATEGIES.items() if not strategy.needs_past]
        message = f"strategy {spec.strategy} reads the past, and a context of 0 has none"
        yield _contradiction("strategy", message, f"use {', '.join(others[:-1])} or {others[-1]}")
    if spec.encoder != "forward" or spec.carries or spec.attention:
        message = "a context of 0 has nothing to encode"
        yield _contradiction("encoder", message, "leave encoder, state and attention at their defaults")


def _contradiction(field: str, message: str, hint: str) -> Fault:
    return Fault(code="contradiction", field=field, message=message, hint=hint)
