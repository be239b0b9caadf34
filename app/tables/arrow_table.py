"""Readers of Parquet files and of Arrow streams and files."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from app.formats import arrow_columns
from app.formats.arrow import not_readable, read_columns
from app.formats.arrow_messages import END
from app.formats.columns import Timestamps
from app.formats.errors import refusal
from app.formats.parquet_pages import check_pages, read_footer, rows_of
from app.tables.raw_table import MAX_TABLE_COLUMNS, Flags, RawColumn, RawTable
from app.tables.zones import read_zone, to_days
from models.errors import InputError, excerpt

FILE_START = b"ARROW1\0\0"  # of an Arrow file, which is a stream between this and a footer


def table_from_arrow(data: bytes, max_rows: int) -> RawTable:
    """Return the columns of an Arrow stream or file.

    Raises:
        InputError: the bytes are neither, are truncated, or have more than ``max_rows`` rows.
    """
    if data.startswith(FILE_START) and END in data:
        data = data[len(FILE_START) : data.rindex(END) + len(END)]
    kinds, columns = read_columns(data, _kinds, max_rows)
    try:
        return _table(columns, kinds)
    except (arrow_columns.load_arrow().ArrowException, ValueError) as error:
        raise not_readable(error) from error


def table_from_parquet(data: bytes, max_rows: int) -> RawTable:
    """Return the columns of a Parquet file.

    Raises:
        InputError: the file is not Parquet, or has more than ``max_rows`` rows.
    """
    pa = arrow_columns.load_arrow()
    try:
        return _table(*_read_parquet(data, max_rows))
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"the body is not a Parquet file that can be read: {excerpt(str(error), 80)}"
        raise refusal("bad_parquet", message, "write it again with timestamps in microseconds") from error


def _kinds(schema: Any) -> dict[str, str]:
    return arrow_columns.readable_kinds(schema, MAX_TABLE_COLUMNS)


def _read_parquet(data: bytes, max_rows: int) -> tuple[dict[str, list[Any]], dict[str, str]]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - loaded on first use, as PyArrow is

    footer = read_footer(data)
    schema = pq.read_schema(io.BytesIO(data))
    kinds = _kinds(schema)
    check_pages(data, footer, kinds, max_rows, arrow_columns.MAX_UNPACKED_BYTES)
    arrow_columns.check_cells(rows_of(footer), len(kinds))
    # Read texts as dictionaries, so that a repeated text is stored once.
    texts = [name for name, kind in kinds.items() if arrow_columns.is_text(kind)]
    table = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts).read(columns=list(kinds))
    table.validate(full=True)
    return {name: table[name].chunks for name in kinds}, kinds


def _table(columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, str]) -> RawTable:
    if not columns:
        raise refusal("missing_column", "the table has no column of numbers, texts or timestamps", "send some")
    table = RawTable(
        columns={name: _column(arrays, kinds[name]) for name, arrays in columns.items()},
        text_of=lambda name: arrow_columns.texts_of(columns[name]),
    )
    if not table.rows:
        raise refusal("no_rows", "there are no rows", "send at least one row")
    return table


def _column(arrays: Sequence[Any], kind: str) -> RawColumn:
    if arrow_columns.is_text(kind):
        return arrow_columns.texts_of(arrays)
    if kind == "bool":
        return Flags(arrow_columns.numbers_of(arrays))
    if kind.startswith(("timestamp", "date")):
        return _local_days(arrow_columns.times_of(arrays), kind)
    return arrow_columns.numbers_of(arrays)


def _local_days(column: Timestamps, kind: str) -> Timestamps:
    """Return timestamps that are midnights in the time zone of their type as days without a zone."""
    zone = kind.partition("tz=")[2].rstrip("]")
    if not column.utc or zone in ("", "UTC"):
        return column
    try:
        days = to_days(column.times, read_zone(zone))
    except InputError:  # an offset such as +01:00, which the IANA does not name
        return column
    return column if days is None else Timestamps(days, utc=False)
