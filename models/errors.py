"""Errors of the library; each tells the caller how to correct the input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

MAX_FAULTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of the input: the value that was received, its place, and the remedy.

    ``row`` counts the rows of the input from 1, ``unique_id`` names the series, ``field`` the argument or column.
    ``message`` never repeats more than a short excerpt of the input.
    """

    code: str
    message: str
    hint: str
    unique_id: str | None = None
    row: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        where = [f"series '{self.unique_id}'"] if self.unique_id is not None else []
        where += [f"row {self.row}"] if self.row is not None else []
        where += [self.field] if self.field is not None and not where else []
        return f"{', '.join(where)}: {self.message}; {self.hint}" if where else f"{self.message}; {self.hint}"


class ForecastError(Exception):
    """Base of all errors that this library raises deliberately."""


class InputError(ForecastError):
    """Input that cannot be used; holds the first ``MAX_FAULTS`` faults and their total number."""

    def __init__(self, faults: Sequence[Fault], total: int | None = None) -> None:
        self.faults = tuple(faults[:MAX_FAULTS])
        self.total = len(faults) if total is None else total
        more = f" (and {self.total - len(self.faults)} more)" if self.total > len(self.faults) else ""
        super().__init__("; ".join(map(str, self.faults)) + more)

    @classmethod
    def of(
        cls,
        code: str,
        message: str,
        hint: str,
        *,
        unique_id: str | None = None,
        row: int | None = None,
        field: str | None = None,
    ) -> Self:
        """Return the error of a single fault; ``field`` names the argument or column, if there is one."""
        fault = Fault(code=code, message=message, hint=hint, unique_id=unique_id, row=row, field=field)
        return cls([fault])


@dataclass(slots=True)
class Findings:
    """Faults found in an input: all are counted, the first ``MAX_FAULTS`` of each kind are kept."""

    faults: list[Fault] = field(default_factory=list)
    total: int = 0

    def add(self, rows: Sequence[int], fault: Callable[[int], Fault]) -> None:
        """Count one fault for each of ``rows``; ``fault`` makes the first ``MAX_FAULTS`` of them."""
        self.total += len(rows)
        self.faults += [fault(row) for row in rows[:MAX_FAULTS]]

    def check(self) -> None:
        """Raise the faults, if any was found.

        Raises:
            InputError: with the first faults in the order of their rows.
        """
        if self.total:
            raise InputError(sorted(self.faults, key=lambda fault: fault.row or 0), self.total)


class SpecError(InputError):
    """A ``Spec`` or training settings that cannot work; each fault names its field."""


class BundleError(ForecastError):
    """Bytes that are not a bundle this version can read."""


class EngineMismatch(ForecastError):
    """Two engines give different outputs for the same network, so neither may serve it."""


class ModelBroken(ForecastError):
    """A network gave numbers that are not finite; none of them may be served."""


class Cancelled(ForecastError):
    """Training stopped because its caller requested it."""


class Diverged(ForecastError):
    """The loss became NaN or infinite during training."""


def excerpt(value: object, length: int = 40) -> str:
    """Return ``repr(value)`` cut to ``length`` characters, so that error messages stay short for any input."""
    text = repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"
