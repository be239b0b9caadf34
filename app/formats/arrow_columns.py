"""Conversion of Arrow arrays to NumPy columns, shared by the Parquet and Arrow readers.

This module never calls ``to_numpy`` or ``pa.array``: both import pandas if it is installed, which costs a second and
100 MB that no forecast needs.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.formats.columns import UNNAMED, Coded, Table, Timestamps
from app.formats.errors import MAX_COLUMNS, refusal
from models.data.panel import COLUMNS
from models.data.validation import MAX_COVARIATES
from models.errors import excerpt
from models.types import Floats

LONGEST_TEXT = 10_000  # longer than any timestamp or id; a file can repeat one long text millions of times
MAX_UNPACKED_BYTES = 512 * 1024**2
MAX_CELLS = 30_000_000  # a file can encode a repeated value in a few bytes; in memory each cell takes eight
# Arrow's names of the accepted types, and the type to suggest in the place of another.
_TEXT = r"(large_)?string(_view)?"
_NUMBERS = r"u?int\d+|halffloat|float|double|decimal\d+\(.*|null"
_TYPES = {
    "unique_id": (re.compile(rf"{_TEXT}|u?int\d+"), "text or whole numbers"),
    "ds": (re.compile(rf"{_TEXT}|(timestamp|date).*"), "timestamps, dates or text"),
    "y": (re.compile(_NUMBERS), "numbers"),
}
_COVARIATE_TYPES = re.compile(rf"{_TEXT}|bool|{_NUMBERS}")
_READABLE_TYPES = re.compile(rf"{_COVARIATE_TYPES.pattern}|(timestamp|date).*")
_IS_TEXT = re.compile(_TEXT)

Arrays = Sequence[Any]  # the chunks of one column: pyarrow.Array


def load_arrow() -> Any:
    """Import PyArrow (40 MB) on first use, so that a process without Arrow tables never loads it."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute  # noqa: PLC0415

    return pa


def readable_kinds(schema: Any, max_columns: int) -> dict[str, str]:
    """Return the types of the columns of numbers, booleans, texts or timestamps; others are left out.

    Raises:
        InputError: two columns have one name, or there are too many.
    """
    names = [name for name in schema.names if not UNNAMED.fullmatch(name)]
    if len(set(names)) < len(names):
        raise refusal("bad_column", "the table has two columns of one name", "name each column once")
    types = {name: _kind(schema.field(name).type) for name in names}
    kinds = {name: kind for name, kind in types.items() if _READABLE_TYPES.fullmatch(kind)}
    if len(kinds) > max_columns:
        raise refusal("too_many_columns", f"the table has {len(kinds)} columns", f"send at most {max_columns}")
    return kinds


def kinds_of(schema: Any) -> dict[str, str]:
    """Return the types of the columns to read, after checking the three required columns.

    Raises:
        InputError: a column is missing, duplicated or of another type, or there are too many columns.
    """
    names = schema.names
    for name in COLUMNS:
        if names.count(name) != 1:
            message = f"the table has the column '{name}' {names.count(name)} times"
            raise refusal("missing_column", message, f"it needs {', '.join(COLUMNS)} once each")
    kinds = {name: _kind(schema.field(name).type) for name in COLUMNS}
    for name, (accepted, wanted) in _TYPES.items():
        if not accepted.fullmatch(kinds[name]):
            message = f"the column '{name}' has the type {excerpt(kinds[name], 80)}"
            raise refusal("bad_column", message, f"write it as {wanted}", field=name)
    others = [name for name in names if name not in COLUMNS and not UNNAMED.fullmatch(name)]
    if len(set(others)) < len(others):
        raise refusal("bad_column", "the table has two columns of one name", "name each column once")
    types = {name: _kind(schema.field(name).type) for name in others}
    kinds |= {name: kind for name, kind in types.items() if _COVARIATE_TYPES.fullmatch(kind)}
    if len(kinds) > MAX_COLUMNS:
        message = f"the table has {len(kinds)} columns of numbers or text"
        raise refusal("too_many_covariates", message, f"send at most {MAX_COVARIATES} besides {', '.join(COLUMNS)}")
    return kinds


def check_cells(rows: int, columns: int) -> None:
    """Refuse a table with more than ``MAX_CELLS`` cells.

    Raises:
        InputError: ``too_large``.
    """
    if rows * columns > MAX_CELLS:
        hint = f"send at most {MAX_CELLS} cells, or only the columns that matter"
        raise refusal("too_large", f"the table has {rows} rows of {columns} columns", hint)


def table_of(columns: Mapping[str, Arrays], kinds: Mapping[str, str]) -> Table:
    """Convert the columns named in ``kinds`` to NumPy.

    Raises:
        InputError: ``text_too_long``.
        pyarrow.ArrowException: a value does not fit its declared type.
    """
    read = {
        name: texts_of(columns[name]) if is_text(kind) else numbers_of(columns[name])
        for name, kind in kinds.items()
        if name not in COLUMNS
    }
    ds = columns["ds"]
    return Table(
        texts_of(columns["unique_id"]),
        texts_of(ds) if is_text(kinds["ds"]) else times_of(ds),
        numbers_of(columns["y"]),
        read,
    )


def is_text(kind: str) -> bool:
    """Return whether a column of this Arrow type holds text."""
    return _IS_TEXT.fullmatch(kind) is not None


def view_bytes(array: Any) -> int:
    """Return the bytes that the texts of a string-view array take once copied; views may share one buffer."""
    held = array.dictionary if _is_dictionary(array) else array
    if str(held.type) != "string_view" or len(held) == 0:
        return 0
    # The first four of the 16 bytes of a view are the length of its text.
    lengths = np.frombuffer(held.buffers()[1], np.int32)[held.offset * 4 : (held.offset + len(held)) * 4 : 4]
    return int(np.abs(lengths.astype(np.int64)).sum())


def _kind(type_: Any) -> str:
    return str(type_.value_type if str(type_).startswith("dictionary<") else type_)


def _is_dictionary(array: Any) -> bool:
    return str(array.type).startswith("dictionary<")


def texts_of(arrays: Arrays) -> Coded:
    """Convert a column of texts or integers to codes and distinct texts."""
    seen: dict[str, int] = {}
    codes = [np.empty(0, np.int64)]
    for array in arrays:
        places, texts = _distinct(array)
        codes_of = [-1 if text is None else seen.setdefault(text, len(seen)) for text in texts]
        codes.append(np.array([*codes_of, -1])[places])
    return Coded(np.concatenate(codes), list(seen))


def _distinct(array: Any) -> tuple[NDArray[np.int64], list[str | None]]:
    """Return the index of each row's text (-1 if missing) and the distinct texts in use."""
    if _is_dictionary(array):
        # Keep only the dictionary entries in use, in order of first use: a dictionary may be long.
        coded, texts = array.indices.dictionary_encode(), array.dictionary
        texts = (texts.cast("string") if str(texts.type) == "string_view" else texts).take(coded.dictionary)
    else:
        coded = array.dictionary_encode()
        texts = coded.dictionary
    used = texts.to_pylist()
    if any(len(text) > LONGEST_TEXT for text in used if isinstance(text, str)):
        message = f"a text has over {LONGEST_TEXT} characters"
        raise refusal("text_too_long", message, "send short ids, timestamps and categories")
    return _ints(coded.indices, -1), [None if text is None else str(text) for text in used]


def times_of(arrays: Arrays) -> Timestamps:
    """Convert a column of timestamps; those with a time zone are converted to UTC."""
    times, utc = [np.empty(0, np.int64)], False
    for array in arrays:
        type_ = array.type.value_type if _is_dictionary(array) else array.type
        times.append(_ints(array.cast(type_).cast("timestamp[us]"), _NAT))
        utc = getattr(type_, "tz", None) is not None
    return Timestamps(np.concatenate(times).view("datetime64[us]"), utc)


_NAT = int(np.datetime64("NaT").astype(np.int64))


def numbers_of(arrays: Arrays) -> Floats:
    """Convert a column of numbers; a missing number becomes NaN."""
    return np.concatenate([np.empty(0), *(_numpy(array.cast("float64", safe=False), np.nan) for array in arrays)])


def _ints(array: Any, missing: int) -> NDArray[np.int64]:
    return _numpy(array.cast("int64"), missing)


def _numpy(array: Any, missing: float) -> NDArray[Any]:
    """Return the values of an array of eight-byte items; nulls become ``missing``."""
    dtype = np.float64 if str(array.type) == "double" else np.int64
    if len(array) == 0:
        return np.empty(0, dtype)
    values = np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * 8)
    if array.null_count == 0:
        return values
    known = array.is_valid().cast("uint8")
    return np.where(np.frombuffer(known.buffers()[1], np.uint8, len(known), known.offset), values, missing)
