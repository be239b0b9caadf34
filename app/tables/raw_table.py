"""Table as its format has it: columns of texts, numbers, booleans or timestamps, before any has a role."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from app.formats.columns import Coded, Timestamps
from models.types import Floats, Ints

MAX_TABLE_COLUMNS = 2_000  # in a table with a column for each series


class Flags(NamedTuple):
    """Column of booleans: 1, 0, or NaN if missing."""

    values: Floats


RawColumn = Coded | Timestamps | Flags | Floats


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """Columns of R rows by name. ``first_row``: number of the first of them in the file, 2 after a header.

    ``text_of`` reads a column of numbers again as the texts in the file, where the format has texts: "007" is another
    id than "7". ``written``: how the file was written (encoding, delimiter, sheet), for the answer.
    """

    columns: Mapping[str, RawColumn]
    first_row: int = 1
    text_of: Callable[[str], Coded] | None = None
    written: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        first = next(iter(self.columns.values()))
        return len(first) if isinstance(first, np.ndarray) else len(first[0])


def as_texts(table: RawTable, name: str) -> Coded:
    """Return a column as texts: as they are in the file, or whole numbers without a decimal point."""
    column = table.columns[name]
    if isinstance(column, Coded):
        return column
    if table.text_of is not None:
        return table.text_of(name)
    values = column[0] if isinstance(column, tuple) else column
    distinct, codes = np.unique(values, return_inverse=True)
    texts = [str(int(value)) if is_whole(np.array([value])) else str(value) for value in distinct.tolist()]
    known = ~np.isnan(values) if values.dtype.kind == "f" else ~np.isnat(values)
    return Coded(np.where(known, codes, -1).astype(np.int64), texts)


def is_whole(values: Floats) -> bool:
    """Return whether all ``values`` that are not missing are whole numbers."""
    known = values[~np.isnan(values)]
    return bool(len(known)) and bool((known == np.floor(known)).all())


def codes_of(column: RawColumn) -> Ints:
    """Return a number for each row, equal where the cells are equal; -1 for a missing cell."""
    if isinstance(column, Coded):
        return column.codes
    values = column[0] if isinstance(column, tuple) else column
    codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    return np.where(np.isnat(values) if values.dtype.kind == "M" else np.isnan(values), -1, codes)
