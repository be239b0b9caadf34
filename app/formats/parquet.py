"""Parquet into a panel."""

import io
from typing import Any

from app.formats import arrays
from app.formats.columnar import Table, panel_of
from app.formats.refusals import refusal, too_many
from models.data.panel import Panel
from models.errors import excerpt


def panel_from_parquet(data: bytes, freq: str | None, max_rows: int) -> Panel:
    """The panel in a Parquet file.

    Raises:
        InputError: it is no Parquet file of at most ``max_rows`` rows, or one of other columns; see
            ``models.data.panel.panel_from_columns``.
    """
    pa = arrays.load_arrow()
    try:
        table = _read(data, max_rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"the body is not a Parquet file that can be read: {excerpt(str(error), 80)}"
        raise refusal("bad_parquet", message, "write it anew, times in microseconds") from error
    return panel_of(table, freq)


def _read(data: bytes, max_rows: int) -> Table:
    import pyarrow.parquet as pq  # noqa: PLC0415 - see ``arrays.load_arrow``

    file = pq.ParquetFile(io.BytesIO(data))
    if file.metadata.num_rows > max_rows:
        raise too_many(max_rows)
    _check_size(file)
    kinds = arrays.kinds_of(file.schema_arrow)
    arrays.check_cells(file.metadata.num_rows, len(kinds))
    # Texts stay in the file's dictionary, whatever their number.
    texts = [name for name, kind in kinds.items() if arrays.is_text(kind)]
    table = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts).read(columns=list(kinds))
    table.validate(full=True)
    return arrays.table_of({name: table[name].chunks for name in kinds}, kinds)


def _check_size(file: Any) -> None:
    size_bytes = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
    if size_bytes > arrays.MAX_UNPACKED_BYTES:
        hint = "send fewer rows, or only the columns that are read"
        raise refusal("too_large", f"unpacked, the file has over {arrays.MAX_UNPACKED_BYTES} bytes", hint)
