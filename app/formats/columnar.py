"""Columns of arrays into a panel, without an object for each point."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.data.calendar import FIRST, LAST, parse_times
from models.data.frames import panel_from_frame
from models.data.panel import Panel, RowsRead, panel_of_rows
from models.data.validation import covariate_of, good_id, values_of
from models.errors import Findings
from models.types import Floats, Ints, Times

# Columns that tables get from the tools that write them.
UNNAMED = re.compile(r"|__index_level_\d+__")


class Coded(NamedTuple):
    """A column of R texts: each different one once, in the order in which they come; ``codes`` (R,), -1 for missing."""

    codes: Ints
    texts: list[str]

    def spelt(self) -> list[str | None]:
        """The text of each row."""
        return [None if code < 0 else self.texts[code] for code in self.codes.tolist()]


class Moments(NamedTuple):
    """A column of moments, NaT where one is missing; ``utc``: they said so."""

    times: Times
    utc: bool


class Table(NamedTuple):
    """The columns of a table."""

    unique_id: Coded
    ds: Coded | Moments
    y: Floats
    covariates: Mapping[str, Coded | Floats]


def panel_of(table: Table, freq: str | None) -> Panel:
    """The panel of the rows of ``table``, the same as ``models.data.panel.panel_from_columns`` would make of them.

    Raises:
        InputError: see there.
    """
    panel = _panel_of_sound(table, freq)
    # What is not sound is read once more, row by row: for the complaint.
    return panel_from_frame(_spelt(table), freq) if panel is None else panel


def _panel_of_sound(table: Table, freq: str | None) -> Panel | None:
    """The panel where every cell is what it should be, None otherwise.

    Raises:
        InputError: the moments do not make series of one frequency.
    """
    (codes, ids), found = table.unique_id, Findings()
    times, utc = _times_of(table.ds, found)
    values = values_of(table.y, found)
    read = {name: _covariate_of(name, table.covariates[name], found) for name in sorted(table.covariates)}
    is_sound = len(codes) > 0 and codes.min() >= 0 and all(map(good_id, ids)) and not found.total
    if not is_sound or not ((times >= FIRST) & (times <= LAST)).all():  # NaT is neither
        return None
    return panel_of_rows(RowsRead(codes, tuple(ids), times, utc, values, read), freq)


def _times_of(ds: Coded | Moments, found: Findings) -> tuple[Times, bool]:
    if isinstance(ds, Moments):
        return ds.times, ds.utc
    times, utc = parse_times(ds.texts, found)
    return np.append(times, np.datetime64("NaT"))[ds.codes], utc


def _covariate_of(name: str, column: Coded | Floats, found: Findings) -> tuple[Floats, tuple[str, ...]]:
    if not isinstance(column, Coded):
        return covariate_of(name, column, found)
    places, texts = covariate_of(name, column.texts, found)
    return np.append(places, np.nan)[column.codes], texts


def _spelt(table: Table) -> dict[str, Any]:
    """The columns of ``table``, with an object for each cell that is no number."""
    covariates = {n: c.spelt() if isinstance(c, Coded) else c for n, c in table.covariates.items()}
    return {"unique_id": table.unique_id.spelt(), "ds": _spelt_moments(table.ds), "y": table.y, **covariates}


def _spelt_moments(ds: Coded | Moments) -> NDArray[Any]:
    if isinstance(ds, Coded):
        # NumPy's own guess would give every text the room of the longest.
        return np.fromiter(ds.spelt(), dtype=object, count=len(ds.codes))
    return np.datetime_as_string(ds.times, timezone="UTC") if ds.utc else ds.times
