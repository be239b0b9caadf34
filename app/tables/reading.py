"""Record of how a table was read, stored with the revision that it made."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Self

from app.tables.options import TableOptions
from models.json_types import JsonObject

# Options that hold for the next table of the same data set too.
_KEPT = ("id", "time", "target", "zone", "time_unit", "day_first", "decimal")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReading:
    """Roles of the columns of a table, how it was written, and what was repaired on how many rows or cells."""

    options: TableOptions = field(default_factory=TableOptions)
    ignored: tuple[str, ...] = ()
    written: dict[str, str] = field(default_factory=dict)
    repairs: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return the record as JSON."""
        kept = {name: getattr(self.options, name) for name in _KEPT}
        options = {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}
        return {"options": options, "ignored": list(self.ignored), "written": self.written, "repairs": self.repairs}

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """Return the record that ``to_json`` wrote; an empty object is that of a release without records."""
        options = stored.get("options", {})
        read: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
        }
        return cls(
            options=TableOptions(**read),
            ignored=tuple(stored.get("ignored", ())),
            written=stored.get("written", {}),
            repairs=stored.get("repairs", {}),
        )


def with_usual(options: TableOptions, usual: TableOptions, names: Collection[str]) -> TableOptions:
    """Return ``options`` completed by the ``usual`` ones of a data set, if the table has the columns of these."""
    if options.id or options.time or options.target or not {*usual.id, usual.time, *usual.target} <= set(names):
        return options
    kept = {name: getattr(usual, name) for name in _KEPT if getattr(options, name) in (None, ())}
    return replace(options, **kept)
