"""Spec: everything that defines a forecaster. Training: everything that defines how it is taught."""

import math
from dataclasses import dataclass
from typing import Any

from models.data.calendar import parse_freq
from models.data.calendar_features import check_country, names
from models.errors import Fault, InputError, SpecError, excerpt
from models.network.cells import CELLS
from models.network.constraints import contradictions
from models.network.encoders import ENCODERS
from models.network.fields import Fields
from models.network.losses import LOSSES
from models.network.scaling import SCALINGS, TRANSFORMS
from models.network.strategies import STRATEGIES

MAX_BATCH_BYTES = 2 * 1024**3
MAX_COVARIATES = 50
MAX_CATEGORIES = 200  # of all static covariates together: each is a channel of its own

Categories = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec(Fields):
    """What a forecaster is; lengths in steps of ``freq``.

    ``context`` (T) points go in, ``segment`` (S) of them at a time, ``horizon`` (H) steps are taught; ``depth`` layers
    of ``units`` (U) cells each. A context of 0 reads no past at all: it forecasts series by their static covariates.
    """

    freq: str
    season: int
    context: int
    horizon: int
    cell: str = "gru"
    encoder: str = "forward"
    strategy: str = "direct"
    segment: int = 1
    units: int = 64
    depth: int = 1
    dropout: float = 0.0
    attention: bool = False  # of the decoder, over the encoder's steps
    state: str = "sliding"  # a longer forecast reads its window anew, or goes on from the state it carried
    scaling: str = "level"
    transform: str = "none"
    skip: bool = True  # a learned gate lets naive forecasts through
    loss: str = "mae"
    quantiles: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    past_covariates: tuple[str, ...] = ()
    future_covariates: tuple[str, ...] = ()
    static_covariates: tuple[str, ...] = ()
    categories: Categories = ()  # (covariate, its values) for each that is text
    calendar: bool = False  # the places in the day, the week and the year, as the frequency has them
    holidays: str = ""  # ISO code of the country whose holidays are known, or nothing

    def __post_init__(self) -> None:
        sizes = [
            self._within("season", 1, 10_000),
            self._within("context", 0, 10_000),
            self._within("horizon", 1, 5_000),
            self._within("segment", 1, 1_000),
            self._within("units", 1, 1_024),
            self._within("depth", 1, 8),
            self._within("dropout", 0.0, 0.9),
        ]
        words = [
            self._served("freq"),
            self._one_of("cell", tuple(CELLS)),
            self._one_of("encoder", tuple(name for name in ENCODERS if name != "none")),
            self._one_of("strategy", tuple(STRATEGIES)),
            self._one_of("state", ("sliding", "carried")),
            self._one_of("scaling", (*SCALINGS, "panel")),
            self._one_of("transform", tuple(TRANSFORMS)),
            self._one_of("loss", tuple(LOSSES)),
        ]
        flags = [self._flag(name) for name in ("attention", "skip", "calendar")]
        roles = ("past_covariates", "future_covariates", "static_covariates")
        covariates = [self._names(name, MAX_COVARIATES) for name in roles]
        others = [self._good_quantiles(), self._good_categories(), self._good_country()]
        self._check(*sizes, *words, *flags, *covariates, *others)
        self._check(*contradictions(self))

    @property
    def steps(self) -> int:
        """n, the steps that the encoder takes."""
        return self.context // self.segment if self.encoder != "convlstm" else 1

    @property
    def outputs(self) -> int:
        """O, the steps that one forward pass of the network says."""
        return STRATEGIES[self.strategy].outputs(self.horizon, self.segment)

    @property
    def parameters(self) -> int:
        """P, the numbers said of each step."""
        loss = LOSSES[self.loss]
        return loss.located(self.quantiles) + loss.others

    @property
    def decodes(self) -> bool:
        """Whether the network has a second recurrence, over the steps to be said."""
        return STRATEGIES[self.strategy].decodes

    @property
    def carries(self) -> bool:
        """Whether the network's state goes on from one run to the next."""
        return self.state == "carried"

    @property
    def by_panel(self) -> bool:
        """Whether all windows are measured alike, by the panel that was taught, and not each by itself."""
        return self.scaling == "panel" or self.context == 0

    @property
    def skip_channels(self) -> int:
        """N, the naive forecasts that a network is given: the last value and, if its window holds one, the last season.

        None of them reaches back beyond the window, also where a state that is carried does: it would not be taught.
        """
        if not STRATEGIES[self.strategy].learns:
            return 1
        return (2 if 1 < self.season <= self.context else 1) if self.skip and self.context > 0 else 0

    @property
    def lags(self) -> bool:
        """Whether the network reads the value one season before the next."""
        return 1 < self.season <= self.context

    @property
    def static_channels(self) -> int:
        """What is known of a whole series: one channel for a number, one for each value of a text."""
        sizes = {name: len(values) for name, values in self.categories}
        return sum(sizes.get(name, 1) for name in self.static_covariates)

    @property
    def ahead_channels(self) -> int:
        """F, what is known of a step ahead: covariates, calendar, holidays."""
        sizes = {name: len(values) for name, values in self.categories}
        known = sum(sizes.get(name, 1) for name in self.future_covariates)
        calendar = len(names(parse_freq(self.freq))) if self.calendar else 0
        return known + calendar + bool(self.holidays)

    @property
    def channels(self) -> int:
        """C, what is read of a point of the past: value, observed or not, lag; and covariates."""
        sizes = {name: len(values) for name, values in self.categories}
        past = sum(sizes.get(name, 1) for name in self.past_covariates)
        return 2 + self.lags + past + self.ahead_channels

    def forecast_flop(self, horizon: int) -> int:
        """Floating-point operations of one series' forecast: all passes, all steps, all layers; the head left out."""
        passes = -(-horizon // self.outputs)
        step = _cell_flop(self, self.channels * self.segment) + (self.depth - 1) * _cell_flop(self, self.units)
        ways = 2 if self.encoder == "bidirectional" else 1
        places = 3 * self.season if self.encoder == "convlstm" else 1
        decoder = (self.horizon // self.segment) * _cell_flop(self, self.units) if self.decodes else 0
        head = 2 * self.units * self.outputs * self.parameters
        return passes * (self.steps * step * ways * places + decoder + head)

    def batch_bytes(self, batch_size: int) -> int:
        """Bytes that one training batch keeps for its gradient, roughly: every gate of every step, and the targets."""
        gates = len(CELLS[self.cell].gate_order) * self.units * self.depth
        steps = self.context if self.encoder == "convlstm" else self.steps
        said = self.outputs * (self.parameters + self.ahead_channels)
        said *= self.steps if STRATEGIES[self.strategy].every_step else 1
        read = self.context * self.channels
        return 4 * batch_size * (steps * gates + read + 2 * said)

    def _served(self, name: str) -> Fault | None:
        try:
            parse_freq(getattr(self, name))
        except InputError as error:
            return error.faults[0]
        return None

    def _good_country(self) -> Fault | None:
        if not isinstance(self.holidays, str):
            hint = "give an ISO country code such as DE, or leave it out"
            message = f"{excerpt(self.holidays)} is no country"
            return Fault(code="bad_field", field="holidays", message=message, hint=hint)
        try:
            if self.holidays != "":
                check_country(self.holidays)
        except SpecError as error:
            return error.faults[0]
        return None

    def _good_quantiles(self) -> Fault | None:
        value: Any = self.quantiles
        numbers = isinstance(value, tuple) and all(isinstance(q, float) and 0 < q < 1 for q in value)
        if numbers and 1 <= len(value) <= 99 and list(value) == sorted(set(value)) and 0.5 in value:
            return None
        hint = "give up to 99 ascending numbers between 0 and 1, 0.5 among them"
        return Fault(code="bad_field", field="quantiles", message=f"{excerpt(value)} cannot be used", hint=hint)

    def _good_categories(self) -> Fault | None:
        value: Any = self.categories
        roles: tuple[Any, ...] = (self.past_covariates, self.future_covariates, self.static_covariates)
        known = [name for role in roles if isinstance(role, tuple) for name in role]
        pairs = isinstance(value, tuple) and all(isinstance(v, tuple) and len(v) == 2 for v in value)
        if pairs and all(isinstance(name, str) and name in known and _texts(texts) for name, texts in value):
            if len({name for name, _ in value}) < len(value):
                hint = "name each covariate once"
                return Fault(code="bad_field", field="categories", message="a covariate is named twice", hint=hint)
            if sum(len(texts) for _, texts in value) <= MAX_CATEGORIES:
                return None
            hint = f"leave out covariates until their values are at most {MAX_CATEGORIES}"
            return Fault(code="too_many_categories", field="categories", message="too many values", hint=hint)
        hint = "give pairs of a covariate's name and the list of its values"
        return Fault(code="bad_field", field="categories", message=f"{excerpt(value)} cannot be used", hint=hint)


def _texts(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(isinstance(text, str) for text in value)


def _cell_flop(spec: Spec, read: int) -> int:
    return 2 * len(CELLS[spec.cell].gate_order) * spec.units * (spec.units + read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training(Fields):
    """How a forecaster is taught: AdamW, a short warm-up, a full cosine decay.

    With ``patience`` 0 all data are taught and the last epoch is kept; otherwise the newest points choose the epoch.
    """

    max_epochs: int = 20
    steps_per_epoch: int = 100
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # of all gradients together
    clip_value: float = 0.0  # of each number in them, in place of the norm; 0 = not
    patience: int = 0  # epochs without a better validation loss before training stops
    carry: int = 1  # windows in a row over which a state is carried in training
    least_context: float = 0.5  # share of the context that a window must hold, where its series is long enough
    seed: int = 0

    def __post_init__(self) -> None:
        self._check(
            self._within("max_epochs", 1, 1_000),
            self._within("steps_per_epoch", 1, 10_000),
            self._within("batch_size", 1, 8_192),
            self._within("learning_rate", 1e-6, 1.0),
            self._within("weight_decay", 0.0, 1.0),
            self._within("clip_norm", 1e-3, 1e3),
            self._within("clip_value", 0.0, 1e3),
            self._within("patience", 0, 1_000),
            self._within("carry", 1, 100),
            self._within("least_context", 0.0, 1.0),
            self._within("seed", 0, 2**31 - 1),
        )

    def least(self, context: int) -> int:
        """The points that a taught window of ``context`` must hold at least, where its series is long enough."""
        return max(min(context, 1), math.ceil(self.least_context * context))


def check_training(spec: Spec, training: Training) -> None:
    """Refuse what would not fit into a worker's memory, or not with the spec.

    Raises:
        SpecError: a batch would need more than ``MAX_BATCH_BYTES``, or a state is to be carried that cannot be.
    """
    needed = spec.batch_bytes(training.batch_size)
    if needed > MAX_BATCH_BYTES:
        message = f"a batch of {training.batch_size} windows would need about {needed / 1024**3:.1f} GiB"
        hint = f"lower batch_size, context, units or depth until it is {MAX_BATCH_BYTES / 1024**3:.0f} GiB"
        raise SpecError([Fault(code="batch_too_large", field="batch_size", message=message, hint=hint)])
    if training.carry > 1 and not spec.carries:
        message, hint = f"state is {spec.state}", "leave carry at 1, or use state carried"
        raise SpecError([Fault(code="bad_field", field="carry", message=message, hint=hint)])
    if training.carry > 1 and training.patience > 0:
        message = "windows held out to choose the epoch have no state to go on from"
        raise SpecError(
            [Fault(code="bad_field", field="patience", message=message, hint="leave patience or carry out")]
        )
