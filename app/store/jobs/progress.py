"""Progress of a job, as a running job reports it and as the job table stores it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from app.store.tables import State
from models.json_types import JsonObject

_TRAINING = ("epoch", "epochs", "loss", "validation_loss", "validation_skill")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """Phase, share of the whole job that is done and seconds until its end; None: unknown.

    A phase that trains has ``epoch`` to ``validation_skill``, and the number of the ``member`` if there are several. A
    phase that counts has ``done`` and ``of``. A parent has the number of its ``children`` in each state.
    """

    phase: str | None = None
    member: int | None = None  # from 1
    members: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    validation_loss: float | None = None
    validation_skill: float | None = None  # on some windows of the backtest
    done: int | None = None
    of: int | None = None
    children: Mapping[State, int] | None = None
    share: float = 0.0
    eta_s: float | None = None

    def to_json(self) -> JsonObject:
        """Return the fields that belong to the kind of phase; those that are unknown in it are null."""
        nullable = {"eta_s"} if self.children is None else set()
        nullable |= set(_TRAINING) if self.epoch is not None else set()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None or name in nullable}

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the progress that ``to_json`` of this release or an earlier one described; skip unknown fields."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
