"""The same rows as CSV, JSON, Parquet and Arrow, as people send them."""

import io
import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = tuple[Any, Any, Any]  # unique_id, ds, y

CSV, JSON, PARQUET = "text/csv", "application/json", "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
KINDS = {"csv": CSV, "json": JSON, "parquet": PARQUET, "arrows": ARROW}


def days(count: int, start: str = "2026-01-01") -> list[str]:
    """``count`` days in a row."""
    return [str(date.fromisoformat(start) + timedelta(days=i)) for i in range(count)]


def series(name: str, values: Sequence[Any], start: str = "2026-01-01") -> list[Row]:
    """A daily series."""
    return list(zip([name] * len(values), days(len(values), start), values, strict=True))


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The rows as three columns."""
    ids, ds, y = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return {"unique_id": ids, "ds": ds, "y": y}


def table(rows: Sequence[Row], kind: str) -> dict[str, Any]:
    """The arguments of a request that sends ``rows`` as ``kind`` (csv, json, parquet or arrows)."""
    return body(WRITERS[kind](rows), KINDS[kind])


def body(data: bytes, media_type: str) -> dict[str, Any]:
    """The arguments of a request that sends these bytes."""
    return {"content": data, "headers": {"content-type": media_type}}


def as_csv(rows: Sequence[Row]) -> bytes:
    texts = [["" if value is None else str(value) for value in row] for row in rows]
    return "\n".join(map(",".join, [["unique_id", "ds", "y"], *texts])).encode() + b"\n"


def as_json(rows: Sequence[Row]) -> bytes:
    return json.dumps(columns(rows)).encode()


def as_parquet(rows: Sequence[Row]) -> bytes:
    return parquet(**_arrays(rows))


def as_arrow(rows: Sequence[Row]) -> bytes:
    return arrow(**_arrays(rows))


def _arrays(rows: Sequence[Row]) -> dict[str, Any]:
    nothing = {"unique_id": pa.array([], "string"), "ds": pa.array([], "string"), "y": pa.array([], "double")}
    return columns(rows) if rows else nothing


def parquet(**named: Any) -> bytes:
    """A Parquet file of these columns."""
    file = io.BytesIO()
    pq.write_table(pa.table(named), file)
    return file.getvalue()


def arrow(chunk: int | None = None, **named: Any) -> bytes:
    """An Arrow stream of these columns, ``chunk`` rows in a batch."""
    return stream(pa.table(named), chunk)


def stream(table: Any, chunk: int | None = None, **options: Any) -> bytes:
    """An Arrow stream of ``table``."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=chunk)
    return sink.getvalue()


WRITERS = {"csv": as_csv, "json": as_json, "parquet": as_parquet, "arrows": as_arrow}
