"""Rows of a panel from the columns of a table: one row for each series and time."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from app.formats.columns import Coded, Timestamps
from app.tables.number_text import describe_bad_number, is_missing, looks_like_numbers, read_numbers
from app.tables.options import TableOptions
from app.tables.raw_table import Flags, RawTable, as_texts, is_whole
from app.tables.roles import SAMPLE_TEXTS, Roles
from app.tables.time_number import read_time_numbers
from app.tables.time_text import read_times
from app.tables.zones import read_zone, to_days, to_utc
from models.data.calendar import MAX_TIME, MIN_TIME
from models.data.panel import CheckedRows
from models.data.validation import fault_at, is_valid_id, read_covariate, read_values
from models.errors import Fault, Findings, InputError, excerpt
from models.types import Floats, Ints, Times

ID_SEPARATOR = "/"  # between the texts of several id columns


class ReadTimes(NamedTuple):
    """Times of a column (R,), NaT where there is none; ``utc``; the name of their layout; texts for messages."""

    times: Times
    utc: bool
    layout: str
    cell: Callable[[int], object]


@dataclass(slots=True)
class CellReader:
    """Reader of the cells of one table; it collects faults, and counts the cells that it reads as missing."""

    table: RawTable
    options: TableOptions
    found: Findings
    unparsable: int = 0

    def times(self, name: str) -> ReadTimes:
        """Return the times of a column, without the zone of the options.

        Raises:
            InputError: the column is in no layout of timestamps, or the layout is ambiguous.
        """
        column = self.table.columns[name]
        if isinstance(column, Timestamps):
            in_range = (column.times >= MIN_TIME) & (column.times <= MAX_TIME)
            times = np.where(in_range, column.times, np.datetime64("NaT"))
            return ReadTimes(times, column.utc, "timestamps", lambda at: str(column.times[at]))
        if isinstance(column, Coded):
            read = read_times(column.texts, self.options.day_first, name)
            times = np.append(read.times, np.datetime64("NaT"))[column.codes]
            return ReadTimes(times, read.utc, read.layout, lambda at: text_at(column, at))
        values = column.values if isinstance(column, Flags) else column
        numbers = read_time_numbers(values, self.options.time_unit, self.options.freq, name)
        return ReadTimes(*numbers, lambda at: values[at])

    def check_times(self, name: str, read: ReadTimes) -> None:
        """Find rows without a time."""

        def fault(at: int) -> Fault:
            message = f"{excerpt(read.cell(at))} is not a timestamp as the others are ({read.layout})"
            hint = "correct the cell, or leave the row out; years are 1678 to 2261"
            return fault_at("bad_timestamp", message, hint, row=at + 1, field=name)

        self.found.add(np.flatnonzero(np.isnat(read.times)).tolist(), fault)

    def numbers(self, name: str) -> Floats:
        """Return a column of numbers (R,), NaN where a value is missing."""
        column = self.table.columns[name]
        if isinstance(column, Flags | Timestamps):
            kind = "booleans" if isinstance(column, Flags) else "timestamps"
            message = f"the column {excerpt(name)} has {kind}"
            raise InputError([fault_at("bad_column", message, "name a column of numbers with target=", field=name)])
        if not isinstance(column, Coded):
            return read_values(column, self.found, name)
        values, bad = read_numbers(column.texts, self.options.decimal, name)
        rows = np.flatnonzero(np.isin(column.codes, bad)) if len(bad) else np.empty(0, np.int64)
        if self.options.on_unparsable == "missing":
            self.unparsable += len(rows)
        else:
            self.found.add(rows.tolist(), lambda at: _bad_number(name, text_at(column, at), at))
        return read_values(np.append(values, np.nan)[column.codes], self.found, name)

    def covariate(self, name: str, is_text: bool) -> tuple[Floats, tuple[str, ...]]:
        """Return a covariate and, if it is text, its categories; a column of mostly numbers is one of numbers."""
        column = self.table.columns[name]
        if isinstance(column, Flags):
            return column.values, ()
        if not is_text and not (isinstance(column, Coded) and not looks_like_numbers(column.texts[:SAMPLE_TEXTS])):
            return self.numbers(name), ()
        coded = as_texts(self.table, name)
        words = [text.strip().lower() for text in coded.texts]
        if not is_text and {word for word in words if not is_missing(word)} <= _TRUTH.keys():
            return np.append([_TRUTH.get(word, np.nan) for word in words], np.nan)[coded.codes], ()
        blank = {at for at, word in enumerate(words) if not word}
        values, texts = read_covariate(
            name, [None if at in blank else text for at, text in enumerate(coded.texts)], self.found
        )
        return np.append(values, np.nan)[coded.codes], texts

    def ids(self, names: Sequence[str]) -> tuple[Ints, tuple[str, ...]]:
        """Return the number of each row's series (R,) and the ids: the texts of the columns, joined by a slash."""
        for name in names:
            column = self.table.columns[name]
            if isinstance(column, Flags | Timestamps) or (isinstance(column, np.ndarray) and not is_whole(column)):
                hint = "write ids as text or as whole numbers, or name another column with id="
                fault = fault_at("bad_column", f"the column {excerpt(name)} cannot name series", hint, field=name)
                raise InputError([fault])
        columns = [as_texts(self.table, name) for name in names]
        codes = columns[0].codes
        for column in columns[1:]:
            codes = np.where((codes < 0) | (column.codes < 0), -1, codes * len(column.texts) + column.codes)
        distinct, first, places = np.unique(codes, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")  # ids are numbered in the order of their first rows
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        ids = [ID_SEPARATOR.join(str(text_at(column, at)) for column in columns) for at in first[order]]
        bad = [place for place, at in enumerate(order) if distinct[at] < 0 or not is_valid_id(ids[place])]
        numbers = rank[places].astype(np.int64)
        self.found.add(np.flatnonzero(np.isin(numbers, bad)).tolist(), lambda at: _bad_id(names, columns, at))
        return numbers, tuple(ids)


_TRUTH = {"true": 1.0, "false": 0.0}


def text_at(column: Coded, row: int) -> str | None:
    """Return the text of a row, None if it is missing."""
    code = int(column.codes[row])
    return None if code < 0 else column.texts[code]


def long_rows(reader: CellReader, roles: Roles, read: ReadTimes, texts: Collection[str]) -> CheckedRows:
    """Return the rows of a table; with more than one target, the rows of the first target come first, and so on.

    Raises:
        InputError: the faults of the cells.
    """
    rows = reader.table.rows
    codes, ids = reader.ids(roles.id) if roles.id else (np.zeros(rows, np.int64), ("",))
    reader.check_times(roles.time, read)
    values = [reader.numbers(name) for name in roles.target]
    covariates = {name: reader.covariate(name, name in texts) for name in sorted(roles.covariates)}
    reader.found.check()
    times, utc = _in_zone(read, codes, reader.options.zone, roles.time)
    many = len(values)
    return CheckedRows(
        np.concatenate([codes + at * len(ids) for at in range(many)]),
        tuple(_series_name(name, target, roles) for target in roles.target for name in ids),
        np.tile(times, many),
        utc,
        np.concatenate(values),
        {name: (np.tile(column, many), categories) for name, (column, categories) in covariates.items()},
    )


def _series_name(name: str, target: str, roles: Roles) -> str:
    if not roles.id:
        return target
    return name if len(roles.target) == 1 else f"{name}{ID_SEPARATOR}{target}"


def _in_zone(read: ReadTimes, series: Ints, zone_name: str | None, column: str) -> tuple[Times, bool]:
    """Return the times as the zone of the options wants them: midnights as days without a zone, others in UTC."""
    if zone_name is None:
        return read.times, read.utc
    zone = read_zone(zone_name)
    if read.utc:
        days = to_days(read.times, zone)
        return (read.times, True) if days is None else (days, False)
    if (read.times == read.times.astype("datetime64[D]")).all():
        return read.times, False
    return to_utc(read.times, series, zone, column), True


class Repairs(NamedTuple):
    """Repaired rows, and what was repaired on how many."""

    rows: CheckedRows
    order: Ints  # index in the table of each row that is left
    counts: Mapping[str, int]


def repair_rows(rows: CheckedRows, on_duplicate: str) -> Repairs:
    """Sort the rows of each series by time, and join rows of one series and time if ``on_duplicate`` says how."""
    order = np.lexsort((rows.times, rows.codes))
    same_series = np.diff(rows.codes[order]) == 0
    unsorted = int((same_series & (np.diff(order) < 0)).sum())
    counts = {"sorted_rows": unsorted} if unsorted else {}
    twice = same_series & (np.diff(rows.times[order]).astype(np.int64) == 0)
    if not twice.any() or on_duplicate == "error":
        return Repairs(_take(rows, order, rows.values[order]), order, counts)
    starts = np.flatnonzero(np.append(True, ~twice))
    last = np.append(starts[1:], len(order)) - 1
    values = _joined(rows.values[order], starts, last, on_duplicate)
    kept = order[starts if on_duplicate == "first" else last]
    return Repairs(_take(rows, kept, values), kept, {**counts, "joined_rows": int(twice.sum())})


def _joined(values: Floats, starts: Ints, last: Ints, how: str) -> Floats:
    if how in ("first", "last"):
        return values[starts if how == "first" else last]
    known = ~np.isnan(values)
    count = np.add.reduceat(known.astype(np.int64), starts)
    total = np.add.reduceat(np.where(known, values, 0.0), starts)
    return np.where(count > 0, total / (np.maximum(count, 1) if how == "mean" else 1), np.nan)


def _take(rows: CheckedRows, order: Ints, values: Floats) -> CheckedRows:
    covariates = {name: (column[order], texts) for name, (column, texts) in rows.covariates.items()}
    return rows._replace(codes=rows.codes[order], times=rows.times[order], values=values, covariates=covariates)


def place_fault(fault: Fault, order: Ints | None, table: RawTable, roles: Roles) -> Fault:
    """Return ``fault`` with the row and column that the table has for it."""
    field = {"ds": roles.time, "y": roles.target[0], "unique_id": (roles.id or (None,))[0]}.get(
        fault.field or "", fault.field
    )
    if fault.code == "duplicate_timestamp":
        fault = replace(fault, hint=f"{fault.hint}, or send on_duplicate=first, last, sum or mean")
    row = fault.row
    if row is not None:
        at = row - 1 if order is None else int(order[row - 1])
        row = at % table.rows + table.first_row
        if fault.unique_id is None and roles.id:
            texts = [text_at(as_texts(table, name), at % table.rows) for name in roles.id]
            series = ID_SEPARATOR.join(str(text) for text in texts)
            fault = replace(fault, unique_id=series if is_valid_id(series) and None not in texts else None)
    return replace(fault, row=row, field=field)


def _bad_number(name: str, text: str | None, at: int) -> Fault:
    found, hint = describe_bad_number(text or "")
    return fault_at("bad_value", f"{name} is {found}", hint, row=at + 1, field=name)


def _bad_id(names: Sequence[str], columns: Sequence[Coded], at: int) -> Fault:
    texts = [text_at(column, at) for column in columns]
    message = f"{excerpt(texts[0] if len(texts) == 1 else texts)} cannot name a series"
    hint = "use 1 to 128 printable characters (Unicode form NFC) without space around them"
    return fault_at("bad_id", message, hint, row=at + 1, field=names[0])
