"""Forecasts part by part: as lines of JSON, or as an Arrow stream; and a whole forecast as Arrow.

A stream begins with what holds for all of it, and ends with a word on how it ended, so that one that breaks off cannot
be taken for a whole one.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from app.formats.arrays import load_arrow
from app.formats.media import ARROW, LINES
from models.forecasting.forecast import Forecast, Note

Facts = Mapping[str, Any]  # JSON
KEY = "forecastle"  # of the metadata that hold facts, as JSON
# The head of a message of which nothing follows: no reader takes what came before for all there was.
BROKEN_OFF = b"\xff\xff\xff\xff\x08\0\0\0"


class Stream(Protocol):
    """Writes forecasts of the same levels and steps, one after another; what each call returns is to be sent."""

    def begin(self, facts: Facts, made: Forecast) -> bytes:
        """What comes first; ``made`` is what all parts are like."""

    def part(self, made: Forecast) -> bytes:
        """Some series, and what is to be known of them."""

    def end(self, last: Facts) -> bytes:
        """What comes last: ``{"done": true, "series": n}`` or, where it cannot go on, ``{"error": problem}``."""


class LineStream:
    """A line of JSON for each series, one before and one after them."""

    def begin(self, facts: Facts, made: Forecast) -> bytes:
        """The first line: the facts."""
        return _line(facts)

    def part(self, made: Forecast) -> bytes:
        """A line for each series: unique_id, ds, mean, intervals by level, warnings."""
        bounds = [(str(level), interval.lo, interval.hi) for level, interval in made.intervals.items()]
        warnings = _warnings_by_id(made.notes)
        lines = (
            {
                "unique_id": name,
                "ds": made.stamps(i),
                "mean": made.mean[i],
                "intervals": {level: {"lo": lo[i], "hi": hi[i]} for level, lo, hi in bounds},
                "warnings": warnings.get(name, ()),
            }
            for i, name in enumerate(made.ids)
        )
        return b"".join(map(_line, lines))

    def end(self, last: Facts) -> bytes:
        """The last line."""
        return _line(last)


class ArrowStream:
    """Record batches: unique_id, ds, mean, and lo-L and hi-L for each level L, a row for each series and step.

    The facts are in the schema's metadata, what is to be known of some series in those of their batch (``warnings``),
    how it ended in those of an empty last batch; each as JSON under the key ``forecastle``. A stream that ends with an
    error breaks off after that, so that readers that do not look there fail too.
    """

    def __init__(self) -> None:
        load_arrow()  # which takes a while for the first time: to be called in a thread
        self._sink = io.BytesIO()

    def begin(self, facts: Facts, made: Forecast) -> bytes:
        """The schema."""
        self._schema = _schema(facts, made)
        self._writer = load_arrow().ipc.new_stream(self._sink, self._schema)
        return self._written()

    def part(self, made: Forecast) -> bytes:
        """A record batch."""
        warnings = [warning for of_one in _warnings_by_id(made.notes).values() for warning in of_one]
        self._writer.write_batch(_batch(self._schema, made), _metadata({"warnings": warnings}) if warnings else None)
        return self._written()

    def end(self, last: Facts) -> bytes:
        """An empty record batch, and the mark of the end or of the breaking off."""
        nothing = _rows(self._schema, (), 0, [np.empty(0)] * (len(self._schema) - 1))
        self._writer.write_batch(nothing, _metadata(last))
        if "error" in last:
            return self._written() + BROKEN_OFF
        self._writer.close()
        return self._written()

    def _written(self) -> bytes:
        written = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return written


STREAMS: dict[str, Callable[[], Stream]] = {LINES: LineStream, ARROW: ArrowStream}


def forecast_to_arrow(made: Forecast, facts: Facts) -> bytes:
    """The forecast as a whole Arrow stream of one record batch, ``facts`` (JSON) in the schema's metadata."""
    schema = _schema(facts, made)
    sink = io.BytesIO()
    with load_arrow().ipc.new_stream(sink, schema) as writer:
        writer.write_batch(_batch(schema, made))
    return sink.getvalue()


def warning_of(note: Note) -> dict[str, str | None]:
    """A note as it is told."""
    return {"code": note.code, "message": note.message, "unique_id": note.unique_id}


def _warnings_by_id(notes: tuple[Note, ...]) -> dict[str, list[dict[str, str | None]]]:
    """What is to be known of single series."""
    warnings: dict[str, list[dict[str, str | None]]] = {}
    for note in notes:
        if note.unique_id is not None:
            warnings.setdefault(note.unique_id, []).append(warning_of(note))
    return warnings


def _line(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def _times(made: Forecast) -> NDArray[np.datetime64]:
    """The timestamps of all series, (N, horizon)."""
    return made.freq.after(made.starts[:, None], np.arange(made.mean.shape[1]))


def _metadata(facts: Facts) -> dict[str, bytes]:
    return {KEY: orjson.dumps(facts)}


def _schema(facts: Facts, made: Forecast) -> Any:
    pa = load_arrow()
    numbers = ["mean", *(f"{side}-{level}" for level in made.intervals for side in ("lo", "hi"))]
    moments = pa.timestamp("us", "UTC" if made.utc else None)
    fields = [("unique_id", pa.string()), ("ds", moments), *((name, pa.float64()) for name in numbers)]
    return pa.schema(fields).with_metadata(_metadata(facts))


def _batch(schema: Any, made: Forecast) -> Any:
    """A row for each series and step."""
    bounds = (side for interval in made.intervals.values() for side in (interval.lo, interval.hi))
    return _rows(schema, made.ids, made.mean.shape[1], [_times(made), made.mean, *bounds])


def _rows(schema: Any, ids: Sequence[str], steps: int, columns: Sequence[NDArray[Any]]) -> Any:
    """A record batch of the ``ids``, each ``steps`` times, and of the other columns, of eight bytes for each value."""
    pa, texts = load_arrow(), [name.encode() for name in ids]
    ends = np.cumsum(np.repeat(np.array([len(text) for text in texts], np.int64), steps))
    offsets, joined = np.concatenate([[0], ends]).astype(np.int32), b"".join([text * steps for text in texts])
    arrays = [pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(joined))]
    for field, values in zip(list(schema)[1:], columns, strict=True):
        held = pa.py_buffer(np.ascontiguousarray(values).view(np.int64))
        arrays.append(pa.Array.from_buffers(field.type, len(ends), [None, held]))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
