"""Panel of a table, and the record of its reading: roles of the columns, layouts, and counts of repairs."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from app.formats.errors import check_size
from app.tables.long_rows import CellReader, long_rows, place_fault, repair_rows
from app.tables.options import TableOptions
from app.tables.raw_table import RawTable
from app.tables.reading import TableReading, with_usual
from app.tables.roles import choose_roles
from app.tables.time_text import DAY_FIRST, MONTH_FIRST
from models.data.panel import Panel, panel_from_rows
from models.errors import Findings, InputError
from models.types import Ints


@dataclass(frozen=True, slots=True)
class Before:
    """Data set that a table continues: the options of its tables, and the names of its covariates that are texts."""

    options: TableOptions = field(default_factory=TableOptions)
    texts: Collection[str] = ()


NOTHING = Before()


@dataclass(frozen=True, slots=True)
class TablePanel:
    """Panel of a table, and how the table was read."""

    panel: Panel
    reading: TableReading


def panel_of_table(table: RawTable, options: TableOptions, max_rows: int, before: Before = NOTHING) -> TablePanel:
    """Return the panel of ``table``, which continues the data set ``before``.

    Raises:
        InputError: the faults of the columns and cells, with the rows and columns of the table; ``too_many_rows``.
    """
    options = with_usual(options, before.options, table.columns)
    reader = CellReader(table, options, Findings())

    def time_codes(name: str) -> Ints:
        times = reader.times(name).times
        return np.where(np.isnat(times), -1, np.unique(times, return_inverse=True)[1])

    roles = choose_roles(table, options, time_codes)
    read = reader.times(roles.time)
    order = None
    try:
        rows = long_rows(reader, roles, read, before.texts)
        repaired = repair_rows(rows, options.on_duplicate)
        order = repaired.order
        panel = panel_from_rows(repaired.rows, options.freq)
    except InputError as error:
        placed = [place_fault(fault, order, table, roles) for fault in error.faults]
        raise InputError(sorted(placed, key=lambda fault: fault.row or 0), error.total) from error
    repairs = {**repaired.counts, **({"unparsable_cells": reader.unparsable} if reader.unparsable else {})}
    day_first = {DAY_FIRST: True, MONTH_FIRST: False}.get(read.layout, options.day_first)
    resolved = replace(options, id=roles.id, time=roles.time, target=roles.target, day_first=day_first)
    written = {**table.written, "time": read.layout}
    reading = TableReading(options=resolved, ignored=roles.ignored, written=written, repairs=repairs)
    return TablePanel(check_size(panel, max_rows), reading)
