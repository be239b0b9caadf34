"""Reader of Parquet files."""

import io
from typing import Any

from app.formats import arrow_columns
from app.formats.columns import Table, panel_of
from app.formats.errors import refusal, too_many
from app.formats.parquet_pages import check_pages
from models.data.frequency_choice import FreqChoice
from models.data.panel import Panel
from models.errors import excerpt


def panel_from_parquet(data: bytes, freq: FreqChoice, max_rows: int) -> Panel:
    """Return the panel in a Parquet file.

    Raises:
        InputError: the file is not Parquet, has more than ``max_rows`` rows, or has other columns; also every fault
            that ``models.data.panel.panel_from_columns`` raises.
    """
    pa = arrow_columns.load_arrow()
    try:
        table = _read(data, max_rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"the body is not a Parquet file that can be read: {excerpt(str(error), 80)}"
        raise refusal("bad_parquet", message, "write it again with timestamps in microseconds") from error
    return panel_of(table, freq)


def _read(data: bytes, max_rows: int) -> Table:
    import pyarrow.parquet as pq  # noqa: PLC0415 - loaded on first use, as PyArrow is

    file = pq.ParquetFile(io.BytesIO(data))
    if file.metadata.num_rows > max_rows:
        raise too_many(max_rows)
    _check_size(file)
    kinds = arrow_columns.kinds_of(file.schema_arrow)
    arrow_columns.check_cells(file.metadata.num_rows, len(kinds))
    check_pages(data, file.metadata, kinds, arrow_columns.MAX_UNPACKED_BYTES)
    # Read texts as dictionaries, so that a repeated text is stored once.
    texts = [name for name, kind in kinds.items() if arrow_columns.is_text(kind)]
    table = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts).read(columns=list(kinds))
    table.validate(full=True)
    return arrow_columns.table_of({name: table[name].chunks for name in kinds}, kinds)


def _check_size(file: Any) -> None:
    size_bytes = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
    if size_bytes > arrow_columns.MAX_UNPACKED_BYTES:
        hint = "send fewer rows, or only the columns that are read"
        raise refusal("too_large", f"the decompressed file has over {arrow_columns.MAX_UNPACKED_BYTES} bytes", hint)
