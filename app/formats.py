"""Tables as people send them -- CSV, Parquet, JSON -- into a panel. Rows are counted from 1, the header not included.

Columns besides ``unique_id``, ``ds`` and ``y`` are covariates where they hold numbers, true and false, or text; others
(moments, lists) and those without a name are left out. Numbers are plain decimals: what looks like a number to one
parser and not to another (``0x10``, ``1_000``) is refused with its row. Empty cells, NaN, NA and null are missing.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.problems import UnsupportedMedia
from models.checks import MOST_COVARIATES, Floats
from models.errors import Fault, InputError, excerpt
from models.panel import COLUMNS, Panel, panel_from_frame

MEDIA_TYPES = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
}
MOST_COLUMNS = len(COLUMNS) + MOST_COVARIATES
LONGEST_LINE_BYTES = 64 * 1024
LONGEST_TEXT = 10_000  # no timestamp or id comes near; a Parquet file can say one long text millions of times
MOST_UNPACKED_BYTES = 512 * 1024**2
MOST_CELLS = 30_000_000  # a Parquet file can say one value in a few bytes, however often; here each takes eight
# Each digit fits in one place only, so that a long field which is no number is found out in one pass.
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?\s*", re.ASCII)
_MISSING = {"", "nan", "na", "null"}
_TRUTH = {"true": 1.0, "false": 0.0}
# Columns that tables get from the tools that write them.
_UNNAMED = re.compile(r"|__index_level_\d+__")
# Arrow's names of the types that can be read, and what to write instead of others.
_NUMBERS = r"u?int\d+|halffloat|float|double|decimal\d+\(.*|null"
_PARQUET_TYPES = {
    "unique_id": (re.compile(r"(large_)?string|u?int\d+"), "text or whole numbers"),
    "ds": (re.compile(r"(large_)?string|(timestamp|date).*"), "timestamps, dates or text"),
    "y": (re.compile(_NUMBERS), "numbers"),
}
_COVARIATE_TYPES = re.compile(rf"(large_)?string|bool|{_NUMBERS}")

Columns = dict[str, Any]
Reader = Callable[[bytes, int], Columns]


def read_panel(data: bytes, media_type: str, freq: str | None, max_rows: int, texts: Collection[str] = ()) -> Panel:
    """The panel in ``data``; ``texts`` names covariates that are text though CSV may show them as numbers.

    Raises:
        UnsupportedMedia: ``media_type`` is none of ``MEDIA_TYPES``' values.
        InputError: see ``models.panel.panel_from_columns``; and for bytes that are not of the type named.
    """
    made: list[Reader] = [partial(_from_csv, texts=texts), _from_parquet, _from_json]
    readers = dict(zip(MEDIA_TYPES.values(), made, strict=True))
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    if kind not in readers:
        raise UnsupportedMedia(f"got Content-Type {excerpt(kind)}; send one of {', '.join(readers)}")
    panel = panel_from_frame(readers[kind](data, max_rows), freq)
    if len(panel.y) > max_rows:
        raise _too_many(max_rows, "rows, those that are missing between others included")
    return panel


def read_file(path: Path, freq: str | None, max_rows: int) -> Panel:
    """The panel in a file, its type told by its ending.

    Raises:
        InputError: as ``read_panel``, and where there is no such file or its ending is unknown.
    """
    if path.suffix.lower() not in MEDIA_TYPES:
        raise _refusal(
            "unknown_file_type", f"{path.name} is no table", f"its name must end in {', '.join(MEDIA_TYPES)}"
        )
    if not path.is_file():
        raise _refusal("no_such_file", f"there is no file {path}", "check the path")
    return read_panel(path.read_bytes(), MEDIA_TYPES[path.suffix.lower()], freq, max_rows)


def _from_csv(data: bytes, max_rows: int, texts: Collection[str]) -> Columns:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal("bad_csv", f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8") from error
    header_line, _, body = text.partition("\n")
    header = _header(header_line)
    cells: list[list[str]] = [[] for _ in header]
    reader = csv.reader(io.StringIO(body))
    try:
        for row, fields in enumerate(filter(None, reader), 1):
            if row > max_rows:
                raise _too_many(max_rows)
            if len(fields) != len(header):
                message = f"{len(fields)} fields where the header has {len(header)}"
                raise _refusal("ragged_row", message, "give every row one field for each column", row=row)
            for column, field in zip(cells, fields, strict=True):
                column.append(field)
    except csv.Error as error:
        raise _refusal("bad_csv", f"line {reader.line_num + 1}: {error}", "quote fields with commas") from error
    named = {name: column for name, column in zip(header, cells, strict=True) if not _UNNAMED.fullmatch(name)}
    read = {name: _covariate(column, name in texts) for name, column in named.items() if name not in COLUMNS}
    ids, ds, y = (named[name] for name in COLUMNS)
    return {"unique_id": ids, "ds": _objects(ds), "y": [_number(text) for text in y], **read}


def _header(line: str) -> list[str]:
    # Before any table is built: a line of 100,000 equal names costs some parsers minutes.
    if len(line) > LONGEST_LINE_BYTES or line.count(",") >= MOST_COLUMNS:
        hint = "leave some out; with curl, send the file by --data-binary, because -d joins its lines"
        raise _refusal("bad_header", f"the header is too long or has over {MOST_COLUMNS} columns", hint)
    try:
        header = [name.strip() for name in next(csv.reader([line]), [])]
    except csv.Error as error:
        hint = "end lines with LF or CR LF, and quote names with commas"
        raise _refusal("bad_csv", f"the header cannot be read: {error}", hint) from error
    for name in dict.fromkeys([*COLUMNS, *filter(None, header)]):
        if header.count(name) != 1:
            message = f"the header names the column {excerpt(name)} {header.count(name)} times: {excerpt(header, 80)}"
            hint = f"begin with a header that names {', '.join(COLUMNS)} and others once each, with commas between"
            raise _refusal("bad_header", message, hint)
    return header


def _number(text: str) -> float | str | None:
    """The number that ``text`` is; None where it is missing; ``text`` itself where it is neither."""
    if _NUMBER.fullmatch(text):
        return float(text)
    return None if text.strip().lower() in _MISSING else text


def _covariate(cells: list[str], as_text: bool) -> list[Any]:
    """A column as numbers, else as true and false, else as text in which only empty cells are missing."""
    if not as_text:
        numbers = [_number(text) for text in cells]
        if all(not isinstance(value, str) for value in numbers):
            return numbers
        words = [text.strip().lower() for text in cells]
        if set(words) <= _TRUTH.keys() | _MISSING:
            return [_TRUTH.get(word) for word in words]
    return [text if text.strip() else None for text in cells]


def _from_json(data: bytes, max_rows: int) -> Columns:
    hint = 'send {"unique_id": [...], "ds": [...], "y": [...]}, and covariates beside them if you like'
    try:
        body = json.loads(data, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise _refusal("bad_json", "the body is not JSON", hint) from error
    if not isinstance(body, dict) or not set(COLUMNS) <= set(body):
        raise _refusal("bad_json", f"the body is not an object with {', '.join(COLUMNS)}", hint)
    if not all(isinstance(column, list) for column in body.values()):
        raise _refusal("bad_json", "the columns are not all lists", hint)
    if max(map(len, body.values())) > max_rows:
        raise _too_many(max_rows)
    kinds = set(map(type, body["unique_id"]))
    if bool in kinds or {int, str} <= kinds:  # 1 and "1" would become one series
        message = "the names are true or false, or some are numbers and some text"
        raise _refusal("bad_id", message, "write them all as text, in quotes", field="unique_id")
    return {**body, "ds": _objects(body["ds"])}


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Python would take the last of two columns of one name, and forget the other.
    if len(dict(pairs)) < len(pairs):
        raise _refusal("bad_json", "a name is there twice in the body", "name each column once")
    return dict(pairs)


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    # NumPy's own guess would look into nested lists, and give every text the room of the longest.
    return np.fromiter(values, dtype=object, count=len(values))


def _from_parquet(data: bytes, max_rows: int) -> Columns:
    import pyarrow as pa  # noqa: PLC0415 - 40 MB that a process which gets no Parquet does without
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        file = pq.ParquetFile(io.BytesIO(data))
        if file.metadata.num_rows > max_rows:
            raise _too_many(max_rows)
        if sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)) > MOST_UNPACKED_BYTES:
            hint = "send fewer rows, or only the columns that are read"
            raise _refusal("too_large", f"unpacked, the file has over {MOST_UNPACKED_BYTES} bytes", hint)
        kinds = _check_schema(file.schema_arrow)
        if file.metadata.num_rows * len(kinds) > MOST_CELLS:
            message = f"the file has {file.metadata.num_rows} rows of {len(kinds)} columns"
            raise _refusal("too_large", message, f"send at most {MOST_CELLS} cells, or only the columns that matter")
        # Texts stay in the file's dictionary, whatever their number.
        texts = [name for name, kind in kinds.items() if kind.endswith("string")]
        table = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts).read(columns=list(kinds))
        table.validate(full=True)
        read = {name: _texts(table[name]) if name in texts else _values(table[name]) for name in kinds if name != "ds"}
        return {**read, "unique_id": _texts(table["unique_id"]), "ds": _moments(table["ds"])}
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"the body is not a Parquet file that can be read: {excerpt(str(error), 80)}"
        raise _refusal("bad_parquet", message, "write it anew, times in microseconds") from error


def _check_schema(schema: Any) -> dict[str, str]:
    """The columns that are read and their types, once the three are known to be there and of a type that can be."""
    for name in COLUMNS:
        if schema.names.count(name) != 1:
            message = f"the file has the column '{name}' {schema.names.count(name)} times"
            raise _refusal("missing_column", message, f"it needs {', '.join(COLUMNS)} once each")
    kinds = {name: str(_inner(schema.field(name).type)) for name in COLUMNS}
    for name, (accepted, wanted) in _PARQUET_TYPES.items():
        if not accepted.fullmatch(kinds[name]):
            message = f"the column '{name}' has the type {excerpt(kinds[name], 80)}"
            raise _refusal("bad_column", message, f"write it as {wanted}", field=name)
    others = [name for name in schema.names if name not in COLUMNS and not _UNNAMED.fullmatch(name)]
    if len(set(others)) < len(others):
        raise _refusal("bad_column", "the file has two columns of one name", "name each column once")
    types = {name: str(_inner(schema.field(name).type)) for name in others}
    kinds |= {name: kind for name, kind in types.items() if _COVARIATE_TYPES.fullmatch(kind)}
    if len(kinds) > MOST_COLUMNS:
        message = f"the file has {len(kinds)} columns of numbers or text"
        raise _refusal("too_many_covariates", message, f"send at most {MOST_COVARIATES} besides {', '.join(COLUMNS)}")
    return kinds


def _inner(type_: Any) -> Any:
    return type_.value_type if str(type_).startswith("dictionary<") else type_


def _moments(column: Any) -> NDArray[Any]:
    if str(_inner(column.type)).endswith("string"):
        return _objects(_texts(column))
    type_ = _inner(column.type)
    moments: NDArray[Any] = column.cast(type_).cast("timestamp[us]").to_numpy()
    # Parquet keeps moments with a zone in UTC, whatever the zone.
    return moments if getattr(type_, "tz", None) is None else np.datetime_as_string(moments, timezone="UTC")


def _values(column: Any) -> Floats:
    values: Floats = column.cast("float64", safe=False).to_numpy()
    return values


def _texts(column: Any) -> list[Any]:
    """The column's values, each different one made only once."""
    coded = column if str(column.type).startswith("dictionary<") else column.dictionary_encode()
    texts: list[Any] = []
    for chunk in coded.chunks:
        known = chunk.dictionary.to_pylist()
        if any(len(text) > LONGEST_TEXT for text in known if isinstance(text, str)):
            message = f"a text has over {LONGEST_TEXT} characters"
            raise _refusal("text_too_long", message, "send short ids, timestamps and categories")
        texts += [None if i is None else known[i] for i in chunk.indices.to_pylist()]
    return texts


def _too_many(max_rows: int, rows: str = "rows") -> InputError:
    return _refusal(
        "too_many_rows", f"there are more than {max_rows} {rows}", "send fewer, or raise FORECASTLE_MAX_ROWS"
    )


def _refusal(code: str, message: str, hint: str, **where: Any) -> InputError:
    return InputError([Fault(code=code, message=message, hint=hint, **where)])


def parse_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """``["horizon=24", "cell=lstm"]`` as ``{"horizon": 24, "cell": "lstm"}``; values are JSON where they can be.

    Raises:
        InputError: a pair without ``=``.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, found, text = pair.partition("=")
        if not found:
            raise _refusal("bad_pair", f"{excerpt(pair)} is not NAME=VALUE", "write for example horizon=24")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values
