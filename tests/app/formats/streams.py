"""Arrow streams, as people send them and as nobody should."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tests.app.api.tables import Row, columns


def arrow(chunk: int | None = None, **named: Any) -> bytes:
    """An Arrow stream of these columns, ``chunk`` rows in a batch."""
    return stream(pa.table(named), chunk)


def stream(table: Any, chunk: int | None = None, **options: Any) -> bytes:
    """An Arrow stream of ``table``."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=chunk)
    return sink.getvalue()


def as_arrow(rows: Sequence[Row]) -> bytes:
    """The rows as a stream."""
    nothing = {"unique_id": pa.array([], "string"), "ds": pa.array([], "string"), "y": pa.array([], "double")}
    return arrow(**(columns(rows) if rows else nothing))
