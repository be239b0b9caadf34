"""Columns of Python objects, as JSON and workbooks have them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

from app.formats.columns import Coded, Timestamps
from app.tables.raw_table import Flags, RawColumn
from models.data.validation import fault_at
from models.errors import Findings, excerpt

NUMBERS, TEXTS, BOOLEANS, TIMES = "numbers", "texts", "booleans", "timestamps"
_KINDS: dict[type, str] = {int: NUMBERS, float: NUMBERS, str: TEXTS, bool: BOOLEANS, datetime: TIMES, date: TIMES}


def column_of_objects(name: str, cells: Sequence[Any], found: Findings, first_row: int = 1) -> RawColumn:
    """Return the column of ``cells`` of one kind, None where missing; others are added to ``found``.

    ``first_row`` is the number of the first cell in the file.
    """
    kinds = [None if cell is None else _KINDS.get(type(cell), type(cell).__name__) for cell in cells]
    first = next((kind for kind in kinds if kind is not None), NUMBERS)
    bad = [at for at, kind in enumerate(kinds) if kind not in (None, first)]
    if first not in (NUMBERS, TEXTS, BOOLEANS, TIMES):
        bad = [at for at, kind in enumerate(kinds) if kind is not None]

    def fault(at: int) -> Any:
        message = f"{name} is {excerpt(cells[at])}" + (
            f", but the column has {first} in other rows" if first in _NAMES else ""
        )
        hint = "write a column as numbers, as texts, as booleans or as timestamps throughout"
        return fault_at("bad_value", message, hint, row=at + first_row, field=name)

    found.add(bad, fault)
    cells = [None if kind != first else cell for cell, kind in zip(cells, kinds, strict=True)]
    if first == TEXTS:
        return coded(cells)
    if first == TIMES:
        return Timestamps(np.array(cells, dtype="datetime64[us]"), utc=False)
    values = np.array([_to_float(cell) for cell in cells] if first in _NAMES else [np.nan] * len(cells))
    return Flags(values) if first == BOOLEANS else values


_NAMES = frozenset({NUMBERS, TEXTS, BOOLEANS, TIMES})


def coded(cells: Sequence[str | None]) -> Coded:
    """Return texts as codes and distinct texts."""
    seen: dict[str, int] = {}
    codes = [-1 if cell is None else seen.setdefault(cell, len(seen)) for cell in cells]
    return Coded(np.array(codes, dtype=np.int64), list(seen))


def _to_float(cell: float | None) -> float:
    try:
        return np.nan if cell is None else float(cell)
    except OverflowError:  # an integer that no float holds: too large by the rules of values
        return np.inf
