"""Readers of JSON tables: an object of columns, a list of rows, and lines of rows (NDJSON)."""

import json
from collections.abc import Iterable
from typing import Any

from app.formats.errors import refusal, too_many
from app.tables.csv_table import to_utf8
from app.tables.object_columns import column_of_objects
from app.tables.raw_table import MAX_TABLE_COLUMNS, RawTable
from models.errors import Findings

HINT = 'send {"ds": [...], "y": [...]}, with unique_id for several series, or a list of rows [{"ds": ..., "y": ...}]'


def table_from_json(data: bytes, max_rows: int) -> RawTable:
    """Return the columns of a JSON object of lists, or of a JSON list of objects.

    Raises:
        InputError: the bytes are neither, or have more than ``max_rows`` rows.
    """
    try:
        body = json.loads(to_utf8(data)[0], object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise refusal("bad_json", "the body is not JSON", HINT) from error
    if isinstance(body, list):
        return _table(_columns(body, max_rows), max_rows)
    if not isinstance(body, dict) or not all(isinstance(column, list) for column in body.values()):
        raise refusal("bad_json", "the body is neither an object of lists nor a list of rows", HINT)
    return _table(body, max_rows)


def table_from_lines(data: bytes, max_rows: int) -> RawTable:
    """Return the columns of lines that are JSON objects, one for each row; empty lines are skipped.

    Raises:
        InputError: a line is not such an object, or there are more than ``max_rows``.
    """
    rows = []
    for number, line in enumerate(to_utf8(data)[0].splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line, object_pairs_hook=_each_once))
        except (ValueError, RecursionError) as error:
            raise refusal("bad_json", "the line is not JSON", "write one object on each line", row=number) from error
        if len(rows) > max_rows:
            raise too_many(max_rows)
    return _table(_columns(rows, max_rows), max_rows)


def _columns(rows: list[Any], max_rows: int) -> dict[str, list[Any]]:
    """Return rows as columns; a row without a field has None in it."""
    if len(rows) > max_rows:
        raise too_many(max_rows)
    bad = next((at for at, row in enumerate(rows, 1) if not isinstance(row, dict)), None)
    if bad is not None:
        raise refusal("bad_json", "a row is not an object", HINT, row=bad)
    names = list(dict.fromkeys(name for row in rows for name in row))
    _check_count(names)
    return {name: [row.get(name) for row in rows] for name in names}


def _table(columns: dict[str, list[Any]], max_rows: int) -> RawTable:
    _check_count(columns)
    lengths = {name: len(column) for name, column in columns.items()}
    if max(lengths.values(), default=0) == 0:
        raise refusal("no_rows", "there are no rows", HINT)
    if max(lengths.values()) > max_rows:
        raise too_many(max_rows)
    if len(set(lengths.values())) > 1:
        message = ", ".join(f"{name!r} has {length} rows" for name, length in list(lengths.items())[:5])
        raise refusal("ragged_columns", message, "give each row a place in every column")
    found = Findings()
    read = {name: column_of_objects(name, column, found) for name, column in columns.items()}
    found.check()
    return RawTable(columns=read)


def _check_count(names: Iterable[str]) -> None:
    if len(list(names)) > MAX_TABLE_COLUMNS:
        raise refusal("too_many_covariates", f"there are over {MAX_TABLE_COLUMNS} columns", "leave some out")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, object]:
    # Python would keep only the last of two columns with one name.
    if len(dict(pairs)) < len(pairs):
        raise refusal("bad_json", "a name is there twice in the body", "name each column once")
    return dict(pairs)
