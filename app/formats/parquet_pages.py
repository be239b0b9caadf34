"""Checks of a Parquet file before PyArrow reads it.

A footer may lie about rows and sizes; Parquet readers allocate what the header of each page declares. PyArrow ends the
process at some damaged footers when it is asked for the facts of a column. So the footer and the headers of the pages
are read here first; ``parquet.thrift`` defines their fields.
"""

import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

from app.formats.errors import refusal, too_many
from app.formats.thrift import Fields, read_structure

MAX_PAGES = 100_000
TAIL = struct.Struct("<I4s")  # length of the footer, and the magic bytes at the end of the file
# Fields of a page header, and of the headers of its kinds.
_UNPACKED_BYTES, _PACKED_BYTES, _DATA, _DATA_V2, _COUNT = 2, 3, 5, 8, 1
# Fields of the footer, of its row groups, and of the columns in them.
_ROWS, _GROUPS = 3, 4
_CHUNKS, _GROUP_ROWS, _COLUMN = 1, 3, 3
_PATH, _TOTAL_BYTES, _DATA_OFFSET, _DICTIONARY_OFFSET = 3, 7, 9, 11


class PageSizes(NamedTuple):
    """Declared sizes of one page: bytes with and without compression, and the values of its column."""

    unpacked_bytes: int
    packed_bytes: int
    values: int


def read_footer(data: bytes) -> Fields:
    """Return the fields of the footer of a Parquet file.

    Raises:
        ValueError: the bytes are no Parquet file, or its footer cannot be read.
    """
    if len(data) < 12 or data[:4] != b"PAR1":
        raise ValueError("it does not begin with PAR1")
    length, magic = TAIL.unpack(data[-TAIL.size :])
    start = len(data) - TAIL.size - length
    if magic != b"PAR1" or start < 4:
        raise ValueError("it does not end with a footer and PAR1")
    return read_structure(data, start, len(data) - TAIL.size)[0]


def rows_of(footer: Fields) -> int:
    """Return the rows of the file. Raise ValueError if the footer does not state them."""
    return number_at(footer, _ROWS)


def check_pages(data: bytes, footer: Fields, columns: Collection[str], max_rows: int, max_bytes: int) -> None:
    """Refuse a file whose pages of ``columns`` hold other rows than its footer states, or over ``max_bytes`` unpacked.

    Raises:
        InputError: ``too_many_rows``, ``too_large``, ``bad_parquet``.
        ValueError: the footer or the header of a page lacks a field.
    """
    if rows_of(footer) > max_rows:
        raise too_many(max_rows)
    pages = unpacked_bytes = 0
    for group, name, chunk in _chunks(footer):
        if name not in columns:
            continue
        rows = 0
        for page in _pages(data, chunk):
            pages, rows, unpacked_bytes = pages + 1, rows + page.values, unpacked_bytes + page.unpacked_bytes
            if pages > MAX_PAGES or unpacked_bytes > max_bytes:
                message = f"the decompressed file has over {max_bytes} bytes or {MAX_PAGES} pages"
                raise refusal("too_large", message, "send fewer rows, or only the columns that are read")
        if rows != number_at(group, _GROUP_ROWS):
            message = f"its pages hold {rows} rows of {name}, its footer states {number_at(group, _GROUP_ROWS)}"
            raise refusal("bad_parquet", message, "write the file again")


def _chunks(footer: Fields) -> Iterator[tuple[Fields, str, Fields]]:
    """Yield each column of each row group: the group, the name of the column, and its facts."""
    for group in _list_at(footer, _GROUPS):
        for chunk in _list_at(group, _CHUNKS):
            column = chunk.get(_COLUMN)
            if not isinstance(column, dict):
                raise ValueError("the footer lacks the facts of a column")
            path = column.get(_PATH)
            if not isinstance(path, list) or not all(isinstance(part, bytes) for part in path):
                raise ValueError("the footer lacks the name of a column")
            yield group, b".".join(path).decode(errors="replace"), column


def _pages(data: bytes, chunk: Fields) -> Iterator[PageSizes]:
    offsets = [number_at(chunk, field) for field in (_DATA_OFFSET, _DICTIONARY_OFFSET) if chunk.get(field)]
    at = min(offsets, default=0)  # a chunk without rows has no data page
    end = at + number_at(chunk, _TOTAL_BYTES)
    if not 0 < at <= end <= len(data):
        raise ValueError("a column is not within the file")
    while at < end:
        fields, at = read_structure(data, at, end)
        page = PageSizes(number_at(fields, _UNPACKED_BYTES), number_at(fields, _PACKED_BYTES), _values(fields))
        at += page.packed_bytes
        yield page


def _values(fields: Fields) -> int:
    """Return the values of the column in a page; a dictionary and an index hold none."""
    return sum(number_at(fields[kind], _COUNT) for kind in (_DATA, _DATA_V2) if isinstance(fields.get(kind), dict))


def number_at(fields: Fields, field: int) -> int:
    """Return a field that is a number of at least 0. Raise ValueError if it is missing or another."""
    value = fields.get(field)
    if not isinstance(value, int) or value < 0:
        raise ValueError("a size is missing or negative")
    return value


def _list_at(fields: Fields, field: int) -> list[Fields]:
    value = fields.get(field)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("a list of structures is missing")
    return value
