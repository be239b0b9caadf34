"""Conversion of columns of arrays to a panel without a Python object for each point."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.calendar import MAX_TIME, MIN_TIME, parse_times
from models.data.frames import panel_from_frame
from models.data.frequency_choice import FreqChoice
from models.data.panel import CheckedRows, Panel, panel_from_rows
from models.data.validation import is_valid_id, read_covariate, read_values
from models.errors import Findings
from models.types import Floats, Ints, Times

# Column names that writers such as pandas add by themselves.
UNNAMED = re.compile(r"|__index_level_\d+__")


class Coded(NamedTuple):
    """Column of R texts: the distinct texts in order of first use, and ``codes`` (R,), -1 for a missing text."""

    codes: Ints
    texts: list[str]

    def decode(self) -> NDArray[np.object_]:
        """Return the text of each row, None if missing."""
        texts = (None if code < 0 else self.texts[code] for code in self.codes.tolist())
        # Without dtype=object NumPy would give every text the size of the longest.
        return np.fromiter(texts, dtype=object, count=len(self.codes))


class Timestamps(NamedTuple):
    """Column of timestamps, NaT if missing; ``utc`` says whether they had a time zone."""

    times: Times
    utc: bool

    def decode(self) -> NDArray[Any]:
        """Return ISO 8601 texts with a Z if the timestamps are in UTC, else the timestamps."""
        return np.datetime_as_string(self.times, timezone="UTC") if self.utc else self.times


class Table(NamedTuple):
    """Columns of one table."""

    unique_id: Coded
    ds: Coded | Timestamps
    y: Floats
    covariates: Mapping[str, Coded | Floats]

    def decode(self) -> dict[str, object]:
        """Return the columns with a Python object for each cell that is not a number."""
        covariates = {n: c.decode() if isinstance(c, Coded) else c for n, c in self.covariates.items()}
        return {"unique_id": self.unique_id.decode(), "ds": self.ds.decode(), "y": self.y, **covariates}


def panel_of(table: Table, freq: FreqChoice) -> Panel:
    """Return the panel of a table; the result equals ``models.data.panel.panel_from_columns`` of the same rows.

    Raises:
        InputError: the faults of the rows, as ``panel_from_columns`` reports them.
    """
    panel = panel_of_valid(table, freq)
    # An invalid table is read again row by row, so that the error names the rows.
    return panel_from_frame(table.decode(), freq) if panel is None else panel


def panel_of_valid(table: Table, freq: FreqChoice) -> Panel | None:
    """Return the panel if every cell is valid, else None.

    Raises:
        InputError: the timestamps do not form series of one frequency.
    """
    (codes, ids), found = table.unique_id, Findings()
    if isinstance(table.ds, Timestamps):
        times, utc = table.ds
    else:
        distinct, utc = parse_times(table.ds.texts, found)
        times = np.append(distinct, np.datetime64("NaT"))[table.ds.codes]
    values = read_values(table.y, found)
    read = {name: _covariate_of(name, table.covariates[name], found) for name in sorted(table.covariates)}
    is_valid = len(codes) > 0 and codes.min() >= 0 and all(map(is_valid_id, ids)) and not found.total
    if not is_valid or not ((times >= MIN_TIME) & (times <= MAX_TIME)).all():  # NaT fails both comparisons
        return None
    return panel_from_rows(CheckedRows(codes, tuple(ids), times, utc, values, read), freq)


def _covariate_of(name: str, column: Coded | Floats, found: Findings) -> tuple[Floats, tuple[str, ...]]:
    if not isinstance(column, Coded):
        return read_covariate(name, column, found)
    values, texts = read_covariate(name, column.texts, found)
    return np.append(values, np.nan)[column.codes], texts
