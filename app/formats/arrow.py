"""Reader of Arrow streams."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

from app.formats import arrow_columns
from app.formats.arrow_messages import check_messages
from app.formats.columns import panel_of
from app.formats.errors import check_size, refusal, too_many
from models.data.frequency_choice import FreqChoice
from models.data.panel import Panel
from models.errors import InputError, excerpt


def panel_from_arrow(data: bytes, freq: FreqChoice, max_rows: int) -> Panel:
    """Return the panel in an Arrow stream with the columns ``unique_id, ds, y`` and covariates.

    Dictionary-encoded texts and compressed buffers are accepted. Every value is checked before it is used.

    Raises:
        InputError: the stream is truncated, has other columns, or has more than ``max_rows`` rows (gaps within series
            count as rows); also every fault that ``models.data.panel.panel_from_columns`` raises.
    """
    kinds, columns = read_columns(data, arrow_columns.kinds_of, max_rows)
    try:
        table = arrow_columns.table_of(columns, kinds)
    except (arrow_columns.load_arrow().ArrowException, ValueError) as error:
        raise not_readable(error) from error
    return check_size(panel_of(table, freq), max_rows)


def read_columns(
    data: bytes, kinds_of: Callable[[Any], dict[str, str]], max_rows: int
) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Return the types and the arrays of the columns that ``kinds_of`` selects from the schema of an Arrow stream.

    Raises:
        InputError: the stream cannot be read, is too large, or has more than ``max_rows`` rows.
    """
    pa = arrow_columns.load_arrow()
    try:
        check_messages(pa, data, arrow_columns.MAX_UNPACKED_BYTES)
        kinds = kinds_of(pa.ipc.open_stream(data).schema)
        batches = list(_batches(pa, data, kinds, max_rows))
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise not_readable(error) from error
    return kinds, {name: [batch.column(name) for batch in batches] for name in kinds}


def not_readable(error: Exception) -> InputError:
    """Return the error for bytes that Arrow cannot read."""
    message = f"the body is not an Arrow stream that can be read: {excerpt(str(error), 80)}"
    return refusal("bad_arrow", message, "write it again with timestamps in microseconds")


def _batches(pa: Any, data: bytes, kinds: dict[str, str], max_rows: int) -> Iterator[Any]:
    names = pa.ipc.open_stream(data).schema.names
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=[names.index(name) for name in kinds])
    rows = size_bytes = 0
    for batch in pa.ipc.open_stream(data, options=options):
        batch.validate()  # check buffer lengths before reading any buffer
        rows += batch.num_rows
        size_bytes += batch.get_total_buffer_size() + sum(map(arrow_columns.view_bytes, batch.columns))
        if rows > max_rows:
            raise too_many(max_rows)
        arrow_columns.check_cells(rows, len(kinds))
        # Count the dictionaries with each batch: they are validated with it, and every batch may use them.
        if size_bytes > arrow_columns.MAX_UNPACKED_BYTES:
            hint = "send fewer, larger batches, or shorter dictionaries"
            raise refusal("too_large", f"the batches have over {arrow_columns.MAX_UNPACKED_BYTES} bytes", hint)
        batch.validate(full=True)
        yield batch
