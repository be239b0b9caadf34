"""Fields: a frozen set of named values that goes to JSON and back, and says of each what cannot work."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from models.errors import Fault, SpecError, excerpt


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Named numbers, words and tuples of them."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

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
        return cls(**{name: _frozen(value) for name, value in values.items()})

    def _check(self, *faults: Fault | None) -> None:
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
        message = f"{name} is {value}" if abs(value) < 1e15 else f"{name} is out of range"
        return Fault(code="bad_field", field=name, message=message, hint=f"give {lowest} to {highest}")

    def _one_of(self, name: str, known: tuple[str, ...]) -> Fault | None:
        value = getattr(self, name)
        if value in known:
            return None
        message = f"no {name} {excerpt(value)}"
        return Fault(code="bad_field", field=name, message=message, hint=f"use one of {', '.join(known)}")

    def _flag(self, name: str) -> Fault | None:
        value = getattr(self, name)
        if isinstance(value, bool):
            return None
        return Fault(
            code="bad_field", field=name, message=f"{excerpt(value)} is not a switch", hint="give true or false"
        )

    def _names(self, name: str, most: int) -> Fault | None:
        """A tuple of at most ``most`` different, short texts."""
        value = getattr(self, name)
        texts = isinstance(value, tuple) and all(isinstance(v, str) and 0 < len(v) <= 128 for v in value)
        if texts and len(value) <= most and len(set(value)) == len(value):
            return None
        hint = f"give a list of at most {most} different names"
        return Fault(code="bad_field", field=name, message=f"{excerpt(value)} is no list of names", hint=hint)


def _plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


def _frozen(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    if isinstance(value, list):
        return tuple(_frozen(v) for v in value)
    return value
