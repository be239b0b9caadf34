"""Writers of forecasts: streams of JSON lines or Arrow record batches, and one forecast as Arrow.

A stream begins with the facts that hold for all series and ends with its outcome, so that a client can tell a
truncated stream from a complete one.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from app.formats.arrow_columns import load_arrow
from app.formats.forecast_rows import series_rows, step_columns, warning_of
from app.formats.media_types import ARROW, LINES
from models.forecasting.forecast import Forecast, Note

Facts = Mapping[str, Any]  # JSON
KEY = "forecastle"  # key of the schema metadata that hold facts as JSON
# A message header without a body: every reader then reports a truncated stream.
TRUNCATION = b"\xff\xff\xff\xff\x08\0\0\0"


class Stream(Protocol):
    """Writer of forecasts with the same levels and steps; the caller sends the bytes that each method returns."""

    def begin(self, facts: Facts, forecast: Forecast) -> bytes:
        """Return the first bytes; every part has the levels and steps of ``forecast``."""

    def part(self, forecast: Forecast) -> bytes:
        """Return the forecasts of some series and their warnings."""

    def end(self, last: Facts) -> bytes:
        """Return the last bytes: ``{"done": true, "series": n}``, or ``{"error": problem}`` after a failure."""


class LineStream:
    """Writer of one JSON line for each series, between a first line of facts and a last line with the outcome."""

    def begin(self, facts: Facts, forecast: Forecast) -> bytes:
        """Return the first line: the facts."""
        return _line(facts)

    def part(self, forecast: Forecast) -> bytes:
        """Return a line for each series: unique_id, ds, median, mean, intervals, quantiles, warnings."""
        warnings = _warnings_by_id(forecast.notes)
        rows = series_rows(forecast)
        return b"".join(_line({**row, "warnings": warnings.get(row["unique_id"], ())}) for row in rows)

    def end(self, last: Facts) -> bytes:
        """Return the last line: the outcome."""
        return _line(last)


class ArrowStream:
    """Writer of record batches with a row for each series and step: unique_id and ``step_columns``.

    JSON under the metadata key ``forecastle`` holds the facts (on the schema), the warnings of the series of a batch
    (on the batch) and the outcome (on an empty last batch). A stream that ends with an error is truncated after that,
    so that readers that ignore the metadata fail too.
    """

    def __init__(self) -> None:
        load_arrow()  # the first import takes a third of a second: call the constructor in a thread
        self._sink = io.BytesIO()

    def begin(self, facts: Facts, forecast: Forecast) -> bytes:
        """Return the schema message."""
        self._schema = _schema(facts, forecast)
        self._writer = load_arrow().ipc.new_stream(self._sink, self._schema)
        return self._drain()

    def part(self, forecast: Forecast) -> bytes:
        """Return one record batch."""
        warnings = [warning for of_one in _warnings_by_id(forecast.notes).values() for warning in of_one]
        self._writer.write_batch(
            _batch(self._schema, forecast), _metadata({"warnings": warnings}) if warnings else None
        )
        return self._drain()

    def end(self, last: Facts) -> bytes:
        """Return an empty record batch with the outcome, then the end marker or a truncation."""
        nothing = _rows(self._schema, (), 0, [np.empty(0)] * (len(self._schema) - 1))
        self._writer.write_batch(nothing, _metadata(last))
        if "error" in last:
            return self._drain() + TRUNCATION
        self._writer.close()
        return self._drain()

    def _drain(self) -> bytes:
        content = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return content


STREAMS: dict[str, Callable[[], Stream]] = {LINES: LineStream, ARROW: ArrowStream}


def forecast_to_arrow(forecast: Forecast, facts: Facts) -> bytes:
    """Return the forecast as an Arrow stream of one record batch with ``facts`` (JSON) in the schema metadata."""
    schema = _schema(facts, forecast)
    sink = io.BytesIO()
    with load_arrow().ipc.new_stream(sink, schema) as writer:
        writer.write_batch(_batch(schema, forecast))
    return sink.getvalue()


def _warnings_by_id(notes: tuple[Note, ...]) -> dict[str, list[dict[str, str | None]]]:
    """Group the notes of single series by unique_id."""
    warnings: dict[str, list[dict[str, str | None]]] = {}
    for note in notes:
        if note.unique_id is not None:
            warnings.setdefault(note.unique_id, []).append(warning_of(note))
    return warnings


def _line(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def _metadata(facts: Facts) -> dict[str, bytes]:
    return {KEY: orjson.dumps(facts)}


def _schema(facts: Facts, forecast: Forecast) -> Any:
    pa = load_arrow()
    numbers = [name for name in step_columns(forecast) if name != "ds"]
    moments = pa.timestamp("us", "UTC" if forecast.utc else None)
    fields = [("unique_id", pa.string()), ("ds", moments), *((name, pa.float64()) for name in numbers)]
    return pa.schema(fields).with_metadata(_metadata(facts))


def _batch(schema: Any, forecast: Forecast) -> Any:
    """Return a record batch with a row for each series and step."""
    return _rows(schema, forecast.ids, forecast.median.shape[1], list(step_columns(forecast).values()))


def _rows(schema: Any, ids: Sequence[str], steps: int, columns: Sequence[NDArray[Any]]) -> Any:
    """Return a record batch of ``ids``, each repeated ``steps`` times, and the other columns of eight-byte values."""
    pa, texts = load_arrow(), [name.encode() for name in ids]
    ends = np.cumsum(np.repeat(np.array([len(text) for text in texts], np.int64), steps))
    offsets, joined = np.concatenate([[0], ends]).astype(np.int32), b"".join([text * steps for text in texts])
    arrays = [pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(joined))]
    for field, values in zip(list(schema)[1:], columns, strict=True):
        held = pa.py_buffer(np.ascontiguousarray(values).view(np.int64))
        arrays.append(pa.Array.from_buffers(field.type, len(ends), [None, held]))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
