"""A stream of Arrow record batches into a panel."""

import struct
from collections.abc import Iterator
from typing import Any

from app.formats import arrays
from app.formats.columnar import Table, panel_of
from app.formats.messages import check_messages
from app.formats.refusals import refusal, too_many, within
from models.data.panel import Panel
from models.errors import excerpt


def panel_from_arrow(data: bytes, freq: str | None, max_rows: int) -> Panel:
    """The panel in a whole Arrow stream (``application/vnd.apache.arrow.stream``): ``unique_id, ds, y``, covariates.

    Texts may be in dictionaries, buffers packed. Every value is checked before it is used.

    Raises:
        InputError: it is no whole stream of at most ``max_rows`` rows, those that are missing between others included,
            or one of other columns; see ``models.data.panel.panel_from_columns``.
    """
    pa = arrays.load_arrow()
    try:
        check_messages(pa, data, arrays.MAX_UNPACKED_BYTES)
        table = _read(pa, data, max_rows)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        message = f"the body is not an Arrow stream that can be read: {excerpt(str(error), 80)}"
        raise refusal("bad_arrow", message, "write it anew, times in microseconds") from error
    return within(panel_of(table, freq), max_rows)


def _read(pa: Any, data: bytes, max_rows: int) -> Table:
    kinds = arrays.kinds_of(pa.ipc.open_stream(data).schema)
    batches = list(_batches(pa, data, kinds, max_rows))
    return arrays.table_of({name: [batch.column(name) for batch in batches] for name in kinds}, kinds)


def _batches(pa: Any, data: bytes, kinds: dict[str, str], max_rows: int) -> Iterator[Any]:
    names = pa.ipc.open_stream(data).schema.names
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=[names.index(name) for name in kinds])
    rows = size_bytes = 0
    for batch in pa.ipc.open_stream(data, options=options):
        batch.validate()  # that the buffers are as long as they must be: before anything looks into them
        rows += batch.num_rows
        size_bytes += batch.get_total_buffer_size() + sum(map(arrays.view_bytes, batch.columns))
        if rows > max_rows:
            raise too_many(max_rows)
        arrays.check_cells(rows, len(kinds))
        # A batch counts with its dictionaries, for they are checked with it; each may be used by every batch.
        if size_bytes > arrays.MAX_UNPACKED_BYTES:
            hint = "send fewer, larger batches, or shorter dictionaries"
            raise refusal("too_large", f"the batches have over {arrays.MAX_UNPACKED_BYTES} bytes", hint)
        batch.validate(full=True)
        yield batch
