"""Fields: a frozen set of named values that converts to JSON and back, and the checks of a single field."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from models.errors import Fault, SpecError, excerpt
from models.types import JsonObject

MAX_NAME_LENGTH = 128


FieldValues = Mapping[str, Any]  # values of some fields of a Spec or Training by name, not checked yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Named numbers, words and tuples of them."""

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {field.name: _to_lists(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Return the value that ``to_json`` described.

        Raises:
            SpecError: a field is unknown, missing or out of its range.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = [name for name in values if name not in fields]
        missing = [n for n, f in fields.items() if n not in values and f.default is dataclasses.MISSING]
        if unknown or missing:
            hint = f"the fields are {', '.join(fields)}"
            faults = [Fault(code="unknown_field", message=f"no field {excerpt(n)}", hint=hint) for n in unknown]
            faults += [Fault(code="missing_field", field=n, message="the field is missing", hint=hint) for n in missing]
            raise SpecError(faults)
        return cls(**{name: _to_tuples(value) for name, value in values.items()})


def refuse(faults: Iterable[Fault | None]) -> None:
    """Raise ``SpecError`` with the faults, if there is any; None stands for a field without a fault."""
    found = [fault for fault in faults if fault is not None]
    if found:
        raise SpecError(found)


def bad_field(field: str, message: str, hint: str) -> Fault:
    """Return a fault with the code ``bad_field``: the name of the field, its error and the remedy."""
    return Fault(code="bad_field", field=field, message=message, hint=hint)


def check_range(fields: Fields, name: str, lowest: float, highest: float) -> Fault | None:
    """Return the fault of a number outside of ``lowest`` to ``highest``; whole where ``lowest`` is an int."""
    value = getattr(fields, name)
    is_whole = type(lowest) is int
    if isinstance(value, bool) or not isinstance(value, int if is_whole else int | float):
        kind = "a whole number" if is_whole else "a number"
        return bad_field(name, f"{excerpt(value)} is not {kind}", f"give {kind}")
    if lowest <= value <= highest:
        return None
    message = f"{name} is {value}" if abs(value) < 1e15 else f"{name} is out of range"
    return bad_field(name, message, f"give {lowest} to {highest}")


def check_choice(fields: Fields, name: str, choices: Iterable[str]) -> Fault | None:
    """Return the fault of a value that is none of ``choices``."""
    value, known = getattr(fields, name), tuple(choices)
    if value in known:
        return None
    return bad_field(name, f"no {name} {excerpt(value)}", f"use one of {', '.join(known)}")


def check_flag(fields: Fields, name: str) -> Fault | None:
    """Return the fault of a value that is neither true nor false."""
    value = getattr(fields, name)
    return (
        None if isinstance(value, bool) else bad_field(name, f"{excerpt(value)} is not a switch", "give true or false")
    )


def check_names(fields: Fields, name: str, max_count: int) -> Fault | None:
    """Return the fault of a value that is no tuple of at most ``max_count`` different texts of 1 to 128 characters."""
    value = getattr(fields, name)
    texts = isinstance(value, tuple) and all(isinstance(v, str) and 0 < len(v) <= MAX_NAME_LENGTH for v in value)
    if texts and len(value) <= max_count and len(set(value)) == len(value):
        return None
    return bad_field(
        name, f"{excerpt(value)} is no list of names", f"give a list of at most {max_count} different names"
    )


def _to_lists(value: Any) -> Any:
    """Return ``value`` with every tuple in it, at any depth, as a list."""
    return [_to_lists(v) for v in value] if isinstance(value, tuple) else value


def _to_tuples(value: Any) -> Any:
    """Return ``value`` with every list in it, at any depth, as a tuple."""
    return tuple(_to_tuples(v) for v in value) if isinstance(value, list) else value
