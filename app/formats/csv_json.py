"""Readers of CSV and JSON tables.

Numbers are plain decimals: text that only some parsers read as a number (``0x10``, ``1_000``) is refused with its row.
Empty cells, NaN, NA and null are missing values.
"""

import csv
import io
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.formats.columns import UNNAMED
from app.formats.errors import MAX_COLUMNS, refusal, too_many
from models.data.frames import panel_from_frame
from models.data.frequency_choice import FreqChoice
from models.data.panel import COLUMNS, Panel
from models.errors import excerpt

LONGEST_LINE_BYTES = 64 * 1024  # of the header
MAX_LINE_LENGTH = 1024**2
MAX_LINES_PER_ROW = 2  # empty lines, and line breaks within quotes
MAX_BAD_NUMBERS = 1_000
MAX_SHARED_TEXTS = 100_000  # ids, timestamps and categories, which are the same in many rows
# Each digit matches at one position only, so that a long field that is not a number fails in one pass.
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?\s*", re.ASCII)
_MISSING = {"", "nan", "na", "null"}
_TRUTH = {"true": 1.0, "false": 0.0}


def panel_from_csv(data: bytes, freq: FreqChoice, max_rows: int, texts: Collection[str] = ()) -> Panel:
    """Return the panel in a CSV file; the columns ``texts`` are read as text in every case.

    Raises:
        InputError: the file is not CSV with a header and at most ``max_rows`` rows; also every fault that
            ``models.data.panel.panel_from_columns`` raises.
    """
    check_encoding(data)
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="\n")
    header = _header(text.readline(LONGEST_LINE_BYTES + 2).removesuffix("\n"))
    if data.count(b"\n") > MAX_LINES_PER_ROW * max_rows + 1:
        hint = "leave out empty lines, send fewer rows, or raise FORECASTLE_MAX_ROWS"
        raise refusal("too_many_rows", f"there are more than {MAX_LINES_PER_ROW * max_rows} lines", hint)
    named = {name: column for name, column in zip(header, _cells(header, text, max_rows), strict=True) if name}
    ids, ds, y = (named.pop(name) for name in COLUMNS)
    read = {name: _covariate(column, name in texts) for name, column in named.items() if not UNNAMED.fullmatch(name)}
    return panel_from_frame({"unique_id": ids, "ds": _objects(ds), "y": y, **read}, freq)


def check_encoding(data: bytes) -> None:
    """Refuse bytes that are not UTF-8.

    Raises:
        InputError: with the place of the first such byte.
    """
    if data.isascii():
        return
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal("bad_csv", f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8") from error


def _cells(header: Sequence[str], text: io.TextIOWrapper, max_rows: int) -> list[list[Any]]:
    """Return the cells of each column: those of ``y`` as ``_number`` returns them, and equal texts as one object.

    Reading ends after ``MAX_BAD_NUMBERS`` cells of ``y`` that are no numbers: so many faults are not listed anyway.
    """
    cells: list[list[Any]] = [[] for _ in header]
    shared: dict[str, str] = {}
    y, bad = header.index("y"), 0
    reader = csv.reader(_lines(text))
    try:
        for row, fields in enumerate(filter(None, reader), 1):
            if row > max_rows:
                raise too_many(max_rows)
            if len(fields) != len(header):
                message = f"{len(fields)} fields where the header has {len(header)}"
                raise refusal("ragged_row", message, "give every row one field for each column", row=row)
            for at, field in enumerate(fields):
                cells[at].append(_number(field) if at == y else _shared(field, shared))
            bad += isinstance(cells[y][-1], str)
            if bad > MAX_BAD_NUMBERS:
                break
    except csv.Error as error:
        raise refusal("bad_csv", f"line {reader.line_num + 1}: {error}", "quote fields with commas") from error
    return cells


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_LINE_LENGTH + 1):
        if len(line) > MAX_LINE_LENGTH:
            raise refusal("bad_csv", f"a line has over {MAX_LINE_LENGTH} characters", "end each row with a line break")
        yield line


def _shared(text: str, known: dict[str, str]) -> str:
    """Return the object of ``known`` that equals ``text``; add ``text`` if there is none and room for it."""
    found = known.get(text)
    if found is None and len(known) < MAX_SHARED_TEXTS:
        known[text] = text
    return text if found is None else found


def _header(line: str) -> list[str]:
    # Checked before parsing: a line of 100,000 equal names costs some parsers minutes.
    if len(line) > LONGEST_LINE_BYTES or line.count(",") >= MAX_COLUMNS:
        hint = "leave some out; with curl, send the file by --data-binary, because -d joins its lines"
        raise refusal("bad_header", f"the header is too long or has over {MAX_COLUMNS} columns", hint)
    try:
        header = [name.strip() for name in next(csv.reader([line]), [])]
    except csv.Error as error:
        hint = "end lines with LF or CR LF, and quote names with commas"
        raise refusal("bad_csv", f"the header cannot be read: {error}", hint) from error
    for name in dict.fromkeys([*COLUMNS, *filter(None, header)]):
        if header.count(name) != 1:
            message = f"the header names the column {excerpt(name)} {header.count(name)} times: {excerpt(header, 80)}"
            hint = f"begin with a header that names {', '.join(COLUMNS)} and others once each, with commas between"
            raise refusal("bad_header", message, hint)
    return header


def _number(text: str) -> float | str | None:
    """Return the number in ``text``, None for a missing value, or ``text`` itself if it is neither."""
    if _NUMBER.fullmatch(text):
        return float(text)
    return None if text.strip().lower() in _MISSING else text


def _covariate(cells: list[str], as_text: bool) -> list[Any]:
    """Return a column as numbers, else as booleans, else as text in which only empty cells are missing."""
    if not as_text:
        numbers = [_number(text) for text in cells]
        if all(not isinstance(value, str) for value in numbers):
            return numbers
        words = [text.strip().lower() for text in cells]
        if set(words) <= _TRUTH.keys() | _MISSING:
            return [_TRUTH.get(word) for word in words]
    return [text if text.strip() else None for text in cells]


def panel_from_json(data: bytes, freq: FreqChoice, max_rows: int) -> Panel:
    """Return the panel in a JSON object of columns.

    Raises:
        InputError: the bytes are not such an object with at most ``max_rows`` rows; also every fault that
            ``models.data.panel.panel_from_columns`` raises.
    """
    hint = 'send {"unique_id": [...], "ds": [...], "y": [...]}, and covariates beside them if you like'
    try:
        body = json.loads(data, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise refusal("bad_json", "the body is not JSON", hint) from error
    if not isinstance(body, dict) or not set(COLUMNS) <= set(body):
        raise refusal("bad_json", f"the body is not an object with {', '.join(COLUMNS)}", hint)
    if not all(isinstance(column, list) for column in body.values()):
        raise refusal("bad_json", "the columns are not all lists", hint)
    if max(map(len, body.values())) > max_rows:
        raise too_many(max_rows)
    kinds = set(map(type, body["unique_id"]))
    if bool in kinds or {int, str} <= kinds:  # 1 and "1" would become one series
        message = "the ids are booleans, or some are numbers and some are text"
        raise refusal("bad_id", message, "write them all as text, in quotes", field="unique_id")
    return panel_from_frame({**body, "ds": _objects(body["ds"])}, freq)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, object]:
    # Python would keep only the last of two columns with one name.
    if len(dict(pairs)) < len(pairs):
        raise refusal("bad_json", "a name is there twice in the body", "name each column once")
    return dict(pairs)


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    # Without dtype=object NumPy would expand nested lists and give every text the size of the longest.
    return np.fromiter(values, dtype=object, count=len(values))
