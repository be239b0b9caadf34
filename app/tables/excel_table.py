"""Reader of Excel workbooks (.xlsx)."""

import io
import zipfile
from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

from app.formats.errors import refusal, too_many
from app.tables.object_columns import column_of_objects
from app.tables.raw_table import MAX_TABLE_COLUMNS, RawTable
from models.errors import Findings, excerpt

MAX_UNPACKED_BYTES = 256 * 1024**2
MAX_MEMBERS = 2_000
MAX_EMPTY_ROWS = 1_000  # before the header, and in a row
_ERRORS = frozenset({"#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!"})


def table_from_excel(data: bytes, max_rows: int, sheet: str | None = None) -> RawTable:
    """Return the columns of a sheet: the first row with cells has their names.

    ``sheet``: its name; the first one with rows if it is None.

    Raises:
        InputError: the bytes are no workbook, the sheet does not exist or has no rows, or has more than ``max_rows``.
    """
    _check_archive(data)
    import openpyxl  # noqa: PLC0415 - loaded on first use: few tables are workbooks

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        names = [one.title for one in book.worksheets]
        if sheet is not None and sheet not in names:
            hint = f"its sheets are {', '.join(map(excerpt, names[:8]))}"
            raise refusal("no_such_sheet", f"the workbook has no sheet {excerpt(sheet)}", hint, field="sheet")
        for name in names if sheet is None else [sheet]:
            rows = _rows(book[name], max_rows)
            header = next(rows, None)
            if header is not None:
                return _table(name, header, list(rows))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, OSError, SyntaxError) as error:
        hint = "save it again as .xlsx, or as CSV"
        raise refusal("bad_workbook", f"the workbook cannot be read: {excerpt(str(error), 80)}", hint) from error
    raise refusal("no_rows", "the workbook has no rows", "send a sheet with a header and at least one row")


def _check_archive(data: bytes) -> None:
    """Refuse bytes that are no ZIP archive, or one that is larger than ``MAX_UNPACKED_BYTES`` once unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            size_bytes = sum(member.file_size for member in members)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise refusal("bad_workbook", "the bytes are not an .xlsx workbook", "save it as .xlsx, or as CSV") from error
    if len(members) > MAX_MEMBERS or size_bytes > MAX_UNPACKED_BYTES:
        message = f"the workbook has {len(members)} parts of {size_bytes} bytes"
        raise refusal("too_large", message, f"send at most {MAX_UNPACKED_BYTES} bytes, or a CSV or Parquet file")


def _rows(sheet: Any, max_rows: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the number and the cells of each row that has any."""
    empty = count = 0
    for number, cells in enumerate(sheet.iter_rows(max_col=MAX_TABLE_COLUMNS + 2, values_only=True), 1):
        if all(cell is None for cell in cells):
            empty += 1
            if empty > MAX_EMPTY_ROWS:
                return
            continue
        empty, count = 0, count + 1
        if count > max_rows + 1:
            raise too_many(max_rows)
        yield number, cells


def _table(sheet: str, header: tuple[int, tuple[Any, ...]], rows: list[tuple[int, tuple[Any, ...]]]) -> RawTable:
    if not rows:
        raise refusal("no_rows", f"the sheet {excerpt(sheet)} has no rows", "send at least one row after the header")
    names = {at: str(cell).strip() for at, cell in enumerate(header[1]) if cell is not None and str(cell).strip()}
    if len(names) > MAX_TABLE_COLUMNS:
        raise refusal("too_many_covariates", f"the sheet has over {MAX_TABLE_COLUMNS} columns", "leave some out")
    twice = next((name for name in names.values() if list(names.values()).count(name) > 1), None)
    if twice is not None:
        raise refusal("bad_header", f"two columns have the name {excerpt(twice)}", "name each column once")
    found = Findings()
    first_row = rows[0][0]
    columns = {}
    for at, name in names.items():
        cells = [_cell(row[at] if at < len(row) else None) for _, row in rows]
        columns[name] = column_of_objects(name, cells, found, first_row)
    found.check()
    return RawTable(columns=columns, first_row=first_row, written={"sheet": sheet})


def _cell(cell: Any) -> Any:
    """Return a cell as one of the kinds of ``column_of_objects``: an error or a blank is missing."""
    if isinstance(cell, str):
        return None if cell in _ERRORS or not cell.strip() else cell
    return str(cell) if isinstance(cell, time) and not isinstance(cell, datetime) else cell
