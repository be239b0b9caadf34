"""Reader of CSV files of any common dialect: delimiter, encoding and line ends are recognised.

PyArrow parses the file. Columns that are numbers or ISO timestamps in the first lines are parsed as such; if a later
cell is neither, the file is read again as texts, so that the fault names the cell.
"""

import codecs
import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from app.formats.arrow_columns import load_arrow, numbers_of, texts_of, times_of
from app.formats.columns import UNNAMED, Coded
from app.formats.errors import refusal, too_many
from app.tables.number_text import MISSING, is_missing, is_plain
from app.tables.raw_table import MAX_TABLE_COLUMNS, RawColumn, RawTable
from models.errors import excerpt

DELIMITERS = (",", ";", "\t", "|")
LONGEST_LINE_BYTES = 64 * 1024  # of the header
BLOCK_BYTES = 1024**2  # a row is not longer
MAX_LINES_PER_ROW = 2  # empty lines, and line breaks within quotes
SAMPLE_BYTES = 64 * 1024
SAMPLE_ROWS = 200
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?", re.ASCII)
_LEADING_ZERO = re.compile(r"\s*[+-]?0\d")
_NULLS = sorted({form for word in MISSING for form in (word, word.upper(), word.capitalize(), "NaN", " ")})


@dataclass(frozen=True, slots=True)
class CsvFile:
    """CSV file in UTF-8: rows begin at byte ``start`` of ``data``; ``names`` has a name for each column, "" if none."""

    data: bytes
    start: int
    names: tuple[str, ...]
    delimiter: str
    header_lines: int
    encoding: str


def table_from_csv(data: bytes, max_rows: int, texts: Collection[str] = ()) -> RawTable:
    """Return the columns of a CSV file with a header; the columns ``texts`` are texts in every case.

    Raises:
        InputError: the file is not CSV, its header is unusable, or it has more than ``max_rows`` rows.
    """
    file = _open(data)
    if file.data.count(b"\n", file.start) > MAX_LINES_PER_ROW * max_rows + 1:
        hint = "leave out empty lines, send fewer rows, or raise FORECASTLE_MAX_ROWS"
        raise refusal("too_many_rows", f"there are more than {MAX_LINES_PER_ROW * max_rows} lines", hint)
    kinds = {name: "text" if name in texts else kind for name, kind in _kinds(file).items()}
    try:
        columns = _read(file, kinds, max_rows)
    except _NotAsSampled:
        columns = _read(file, dict.fromkeys(kinds, "text"), max_rows)
    written = {"delimiter": {"\t": "tab"}.get(file.delimiter, file.delimiter), "encoding": file.encoding}

    def text_of(name: str) -> Coded:
        found = _read(file, {name: "text"}, max_rows)[name]
        assert isinstance(found, Coded)
        return found

    return RawTable(columns=columns, first_row=file.header_lines + 1, text_of=text_of, written=written)


class _NotAsSampled(Exception):
    """A cell does not have the type that the first lines have."""


def _open(data: bytes) -> CsvFile:
    data, encoding = to_utf8(data)
    head = data[: LONGEST_LINE_BYTES + 1].decode(errors="replace")
    first = next((line for line in head.splitlines() if line.strip()), "")
    if not first:
        raise refusal("empty_file", "the file has no lines", "send a header and at least one row")
    delimiter = _delimiter(head, first)
    if len(first) > LONGEST_LINE_BYTES or first.count(delimiter) >= MAX_TABLE_COLUMNS:
        hint = "leave some out; with curl, send the file by --data-binary, because -d joins its lines"
        raise refusal("bad_header", f"the header is too long or has over {MAX_TABLE_COLUMNS} columns", hint)
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    try:
        header = next(row for row in reader if any(cell.strip() for cell in row))
    except (csv.Error, StopIteration) as error:
        hint = "end lines with LF or CR LF, and quote names that contain the delimiter"
        raise refusal("bad_csv", f"the header cannot be read: {error}", hint) from error
    names = tuple(name.strip() for name in header)
    _check_names(names)
    return CsvFile(data, _length(data, reader.line_num), names, delimiter, reader.line_num, encoding)


def to_utf8(data: bytes) -> tuple[bytes, str]:
    """Return text in UTF-8 without a byte order mark, and the encoding that it had.

    What is neither UTF-8 nor UTF-16 is read as Windows-1252, in which almost any bytes are a text.

    Raises:
        InputError: ``bad_encoding``.
    """
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            try:
                return data[2:].decode(encoding).encode(), "utf-16"
            except UnicodeDecodeError as error:
                raise refusal("bad_encoding", f"byte {error.start + 3} is not UTF-16", "save as UTF-8") from error
    data = data.removeprefix(codecs.BOM_UTF8)
    if data.isascii():
        return data, "utf-8"
    try:
        data.decode()
        return data, "utf-8"
    except UnicodeDecodeError as error:
        try:
            return data.decode("cp1252").encode(), "windows-1252"
        except UnicodeDecodeError:
            raise refusal("bad_encoding", f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8") from error


def _delimiter(head: str, first: str) -> str:
    """Return the delimiter that the header contains as often as most of the next lines."""
    lines = [line for line in head.splitlines()[1:21] if line.strip()]

    def fit(sign: str) -> tuple[int, int]:
        count = first.count(sign)
        return sum(line.count(sign) == count for line in lines) * (count > 0), count

    return max(DELIMITERS, key=fit)


def _check_names(names: Sequence[str]) -> None:
    if len([name for name in names if name]) < 2:
        message = f"the header has one column: {excerpt(names[0], 80)}"
        hint = "send a column of times and a column of values, with a comma, semicolon, tab or | between"
        raise refusal("bad_header", message, hint)
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        message = f"the header names the column {excerpt(twice)} {names.count(twice)} times"
        raise refusal("bad_header", message, "name each column once")
    value = next((name for name in names if is_plain(name) or _ISO.fullmatch(name)), None)
    if value is not None and not any(re.search("[a-zA-Z]{2}", name) for name in names):
        message = f"the first line has values, such as {excerpt(value)}, and no names"
        raise refusal("bad_header", message, "begin the file with a line that names the columns")


def _length(data: bytes, lines: int) -> int:
    """Return the bytes of the first ``lines`` lines, which end with LF, CR LF or CR."""
    return sum(map(len, islice(io.BytesIO(data[: 2 * LONGEST_LINE_BYTES]).read().splitlines(keepends=True), lines)))


def _kinds(file: CsvFile) -> dict[str, str]:
    """Return the type of each named column in the first rows: number, time or text."""
    sample = file.data[file.start : file.start + SAMPLE_BYTES].decode(errors="replace")
    if len(file.data) - file.start > SAMPLE_BYTES:
        sample = sample.rpartition("\n")[0]
    try:
        rows = list(islice(csv.reader(io.StringIO(sample, newline=""), delimiter=file.delimiter), SAMPLE_ROWS))
    except csv.Error:
        rows = []
    whole = [row for row in rows if len(row) == len(file.names)]
    named = {at: name for at, name in enumerate(file.names) if name and not UNNAMED.fullmatch(name)}
    return {name: _kind([row[at] for row in whole]) for at, name in named.items()}


def _kind(cells: Sequence[str]) -> str:
    known = [cell for cell in cells if not is_missing(cell)]
    if all(map(is_plain, known)) and not any(map(_LEADING_ZERO.match, known)):
        return "number" if known else "text"
    return "time" if all(map(_ISO.fullmatch, known)) and len(known) == len(cells) else "text"


def _read(file: CsvFile, kinds: dict[str, str], max_rows: int) -> dict[str, RawColumn]:
    """Return the columns named in ``kinds``. Raise _NotAsSampled or InputError."""
    pa = load_arrow()
    import pyarrow.csv as arrow_csv  # noqa: PLC0415 - loaded on first use, as PyArrow is

    bad: list[Any] = []

    def keep(row: Any) -> str:
        bad.append(row)
        return "error"

    types = {"number": pa.float64(), "time": pa.timestamp("us"), "text": pa.dictionary(pa.int32(), pa.string())}
    names = [name if name in kinds else f"\0{at}" for at, name in enumerate(file.names)]
    if file.start >= len(file.data):
        raise refusal("no_rows", "there are no rows", "send at least one row after the header")
    options: dict[str, Any] = {
        "read_options": arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=BLOCK_BYTES),
        "parse_options": arrow_csv.ParseOptions(
            delimiter=file.delimiter, newlines_in_values=file.data.find(b'"', file.start) >= 0, invalid_row_handler=keep
        ),
        "convert_options": arrow_csv.ConvertOptions(
            column_types={name: types[kind] for name, kind in kinds.items()},
            include_columns=list(kinds),
            null_values=_NULLS,
            check_utf8=False,
        ),
    }
    try:
        # Not as a stream, whose threads may still run at the end of the process.
        table = arrow_csv.read_csv(pa.BufferReader(pa.py_buffer(file.data).slice(file.start)), **options)
    except pa.ArrowInvalid as error:
        raise _fault_of(str(error), bad, file) from error
    if not table.num_rows:
        raise refusal("no_rows", "there are no rows", "send at least one row after the header")
    if table.num_rows > max_rows:
        raise too_many(max_rows)
    return {name: _column(table[name].chunks, kind) for name, kind in kinds.items()}


def _column(arrays: list[Any], kind: str) -> RawColumn:
    if kind == "text":
        return texts_of(arrays)
    if kind == "time":
        return times_of(arrays)
    numbers = numbers_of(arrays)
    if np.isinf(numbers).any():  # "inf" in the file: as a text, it is refused with its row
        raise _NotAsSampled
    return numbers


def _fault_of(message: str, bad: Sequence[Any], file: CsvFile) -> Exception:
    if bad:
        found = f"{bad[0].actual_columns} fields where the header has {len(file.names)}"
        row = None if bad[0].number is None else line_of(file, bad[0].number)
        return refusal("ragged_row", found, "give every row one field for each column", row=row)
    if "straddling" in message:
        text = f"a row has over {BLOCK_BYTES} characters"
        return refusal("bad_csv", text, "end each row with a line break, and close each quote")
    if "conversion error" in message:
        return _NotAsSampled()
    return refusal("bad_csv", f"the file cannot be read: {excerpt(message, 80)}", "quote fields with delimiters")


def line_of(file: CsvFile, row: int) -> int:
    """Return the line of the file on which row ``row``, counted from 1 without empty lines, ends."""
    reader = csv.reader(io.StringIO(file.data[file.start :].decode(), newline=""), delimiter=file.delimiter)
    try:
        for _ in islice((fields for fields in reader if fields), row):
            pass
    except csv.Error:
        return file.header_lines + row
    return file.header_lines + reader.line_num
