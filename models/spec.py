"""Spec: everything that defines a forecaster. Training: everything that defines how it is taught."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from models.calendar import parse_freq
from models.cells import CELLS
from models.errors import Fault, InputError, SpecError, excerpt
from models.strategies import STRATEGIES

CHANNELS = 2  # C, what a network reads of each point; see ``models.scaling.inputs``
MOST_BATCH_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    """A frozen set of named numbers and words that goes to JSON and back without loss."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The value that ``to_json`` described.

        Raises:
            SpecError: a field that does not exist, is missing, or cannot work.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = [name for name in values if name not in fields]
        missing = [n for n, f in fields.items() if n not in values and f.default is dataclasses.MISSING]
        if unknown or missing:
            known = f"the fields are {', '.join(fields)}"
            faults = [Fault(code="unknown_field", message=f"no field {excerpt(n)}", hint=known) for n in unknown]
            faults += [
                Fault(code="missing_field", field=n, message="the field is missing", hint=known) for n in missing
            ]
            raise SpecError(faults)
        return cls(**values)

    def _check(self, faults: list[Fault | None]) -> None:
        found = [fault for fault in faults if fault is not None]
        if found:
            raise SpecError(found)

    def _within(self, name: str, lowest: float, highest: float) -> Fault | None:
        value = getattr(self, name)
        whole = type(lowest) is int
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            kind = "a whole number" if whole else "a number"
            return Fault(code="bad_field", field=name, message=f"{excerpt(value)} is not {kind}", hint=f"give {kind}")
        if lowest <= value <= highest:
            return None
        message = f"{name} is {value:g}" if abs(value) < 1e15 else f"{name} is out of range"
        return Fault(code="bad_field", field=name, message=message, hint=f"give {lowest:g} to {highest:g}")

    def _served(self, name: str) -> Fault | None:
        try:
            parse_freq(getattr(self, name))
        except InputError as error:
            return error.faults[0]
        return None

    def _one_of(self, name: str, known: tuple[str, ...]) -> Fault | None:
        value = getattr(self, name)
        if value in known:
            return None
        message = f"no {name} {excerpt(value)}"
        return Fault(code="bad_field", field=name, message=message, hint=f"use one of {', '.join(known)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec(_Fields):
    """What a forecaster is; lengths in steps of ``freq``.

    ``context`` (T) points go in, ``horizon`` (H) steps are taught; ``depth`` layers of ``units`` (U) cells each.
    """

    freq: str
    season: int
    context: int
    horizon: int
    cell: str = "gru"
    strategy: str = "direct"
    units: int = 64
    depth: int = 1

    def __post_init__(self) -> None:
        self._check(
            [
                self._served("freq"),
                self._one_of("cell", tuple(CELLS)),
                self._one_of("strategy", tuple(STRATEGIES)),
                self._within("season", 1, 10_000),
                self._within("context", 2, 10_000),
                self._within("horizon", 1, 5_000),
                self._within("units", 1, 1_024),
                self._within("depth", 1, 8),
            ]
        )

    @property
    def outputs(self) -> int:
        """Steps that one forward pass of the network says."""
        return STRATEGIES[self.strategy].outputs(self.horizon)

    def forecast_flop(self, horizon: int) -> int:
        """Floating-point operations of one series' forecast: all passes, all steps, all layers; the head left out."""
        passes = -(-horizon // self.outputs)
        gates = len(CELLS[self.cell].gate_order)
        step = sum(
            2 * gates * self.units * (self.units + read) for read in [CHANNELS] + [self.units] * (self.depth - 1)
        )
        return passes * self.context * step

    def batch_bytes(self, batch_size: int) -> int:
        """Bytes that one training batch keeps for its gradient, roughly: every gate of every step, and the targets."""
        gates = len(CELLS[self.cell].gate_order) * self.units * self.depth
        said = self.outputs if STRATEGIES[self.strategy].every_step else 0
        return 4 * batch_size * self.context * (gates + 2 * said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training(_Fields):
    """How a forecaster is taught: AdamW on mean absolute error, a full cosine decay, the best epoch kept."""

    max_epochs: int = 12
    steps_per_epoch: int = 50
    batch_size: int = 128
    learning_rate: float = 6e-3
    clip_norm: float = 1.0
    patience: int = 5  # epochs without a better validation loss before training stops
    seed: int = 0

    def __post_init__(self) -> None:
        self._check(
            [
                self._within("max_epochs", 1, 1_000),
                self._within("steps_per_epoch", 1, 10_000),
                self._within("batch_size", 1, 8_192),
                self._within("learning_rate", 1e-6, 1.0),
                self._within("clip_norm", 1e-3, 1e3),
                self._within("patience", 1, 1_000),
                self._within("seed", 0, 2**31 - 1),
            ]
        )


def check_batch(spec: Spec, training: Training) -> None:
    """Refuse what would not fit into a worker's memory.

    Raises:
        SpecError: a batch would need more than ``MOST_BATCH_BYTES``.
    """
    needed = spec.batch_bytes(training.batch_size)
    if needed > MOST_BATCH_BYTES:
        message = f"a batch of {training.batch_size} windows would need about {needed / 1024**3:.1f} GiB"
        hint = f"lower batch_size, context, units or depth until it is {MOST_BATCH_BYTES / 1024**3:.0f} GiB"
        raise SpecError([Fault(code="batch_too_large", field="batch_size", message=message, hint=hint)])
