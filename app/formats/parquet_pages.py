"""Checks of the pages of a Parquet file before any is decompressed.

A footer may lie about rows and sizes; Parquet readers allocate what the header of each page declares. So the headers
are read first; ``parquet.thrift`` defines their fields, and the compact protocol of Thrift their bytes.
"""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from app.formats.errors import refusal

MAX_PAGES = 100_000
MAX_DEPTH = 4  # of structures in the header of a page
MAX_FIELDS = 100  # of one structure
# Types of the compact protocol.
_STOP, _TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, 6, 7, 8, 12
# Fields of a page header, and of the headers of its kinds.
_UNPACKED_BYTES, _PACKED_BYTES, _DATA, _DATA_V2, _COUNT = 2, 3, 5, 8, 1


class PageSizes(NamedTuple):
    """Declared sizes of one page: bytes with and without compression, and the values of its column."""

    unpacked_bytes: int
    packed_bytes: int
    values: int


def check_pages(data: bytes, metadata: Any, columns: Collection[str], max_bytes: int) -> None:
    """Refuse a file whose pages of ``columns`` hold other rows than its footer states, or over ``max_bytes`` unpacked.

    Raises:
        InputError: ``too_large``, ``bad_parquet``.
        ValueError: the header of a page cannot be read.
    """
    pages = unpacked_bytes = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = (group.column(column) for column in range(group.num_columns))
        for chunk in (chunk for chunk in chunks if chunk.path_in_schema in columns):
            rows = 0
            for page in _pages(data, chunk):
                pages, rows, unpacked_bytes = pages + 1, rows + page.values, unpacked_bytes + page.unpacked_bytes
                if pages > MAX_PAGES or unpacked_bytes > max_bytes:
                    message = f"the decompressed file has over {max_bytes} bytes or {MAX_PAGES} pages"
                    raise refusal("too_large", message, "send fewer rows, or only the columns that are read")
            if rows != group.num_rows:
                message = f"its pages hold {rows} rows of {chunk.path_in_schema}, its footer states {group.num_rows}"
                raise refusal("bad_parquet", message, "write the file again")


def _pages(data: bytes, chunk: Any) -> Iterator[PageSizes]:
    dictionary = chunk.dictionary_page_offset if chunk.has_dictionary_page else 0
    at = min(start for start in (chunk.data_page_offset, dictionary) if start)  # a chunk without rows has no data page
    end = at + chunk.total_compressed_size
    if not 0 <= at <= end <= len(data):
        raise ValueError("a column is not within the file")
    while at < end:
        fields, at = _Reader(data, at, end).structure()
        page = PageSizes(_size(fields, _UNPACKED_BYTES), _size(fields, _PACKED_BYTES), _values(fields))
        at += page.packed_bytes
        yield page


def _values(fields: dict[int, Any]) -> int:
    """Return the values of the column in a page; a dictionary and an index hold none."""
    return sum(_size(fields[kind], _COUNT) for kind in (_DATA, _DATA_V2) if isinstance(fields.get(kind), dict))


def _size(fields: dict[int, Any], field: int) -> int:
    value = fields.get(field)
    if not isinstance(value, int) or value < 0:
        raise ValueError("the header of a page lacks a size")
    return value


class _Reader:
    """Reader of one structure of the compact protocol in ``data[at:end]``."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data, self._at, self._end = data, at, end

    def structure(self, depth: int = 0) -> tuple[dict[int, Any], int]:
        """Return the numbers and structures by field, and the position after them.

        Raises:
            ValueError: the bytes are no such structure.
        """
        if depth > MAX_DEPTH:
            raise ValueError("the header of a page is too deep")
        fields: dict[int, Any] = {}
        field = 0
        for _ in range(MAX_FIELDS):
            head = self._byte()
            if head == _STOP:
                return fields, self._at
            field = field + (head >> 4) if head >> 4 else self._signed()
            fields[field] = self._value(head & 15, depth)
        raise ValueError("the header of a page has too many fields")

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return None
        if kind == _STRUCT:
            return self.structure(depth + 1)[0]
        if _BYTE < kind <= _I64:
            return self._signed()
        lengths = {_BYTE: 1, _DOUBLE: 8}
        if kind != _BINARY and kind not in lengths:
            raise ValueError("the header of a page has a list")
        length = self._unsigned() if kind == _BINARY else lengths[kind]
        self._at += length  # not in one line: the position moves while the length is read
        return None

    def _byte(self) -> int:
        if self._at >= self._end:
            raise ValueError("the header of a page is cut off")
        self._at += 1
        return self._data[self._at - 1]

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("the header of a page has a number that does not end")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
