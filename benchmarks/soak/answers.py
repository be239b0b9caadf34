"""Parser of answers in every format, and their comparison with the library's forecast."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from backports import zstd

from app.formats import ARROW, LINES
from models.forecasting.forecast import Forecast
from models.types import Floats, JsonObject

JSON = "application/json"
PROBLEM = "application/problem+json"
UNPACK: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "zstd": zstd.decompress}
TOLERANCE = 1e-6  # of the size of a series, as rows of another batch may be summed in another order

Refusal = tuple[int, str]  # status and code
FIRST_AND_LAST = (0, -1)


class Said(NamedTuple):
    """Forecast of an answer: ``median`` (N, H), ``bounds`` lo-L and hi-L, (N, H) each.

    ``stamps`` are the first timestamps of the first and the last series; ``fell_back`` says whether the alias has
    fallen back.
    """

    version: int
    ids: tuple[str, ...]
    median: Floats
    bounds: Mapping[str, Floats]
    stamps: tuple[list[str], ...]
    fell_back: bool


class Unsound(Exception):
    """Answer that is neither a complete forecast nor a problem."""


def read(status: int, headers: Mapping[str, str], content: bytes) -> Said | Refusal:
    """Parse an answer; ``headers`` have lower-case names.

    Raises:
        Unsound: the answer is malformed or truncated.
    """
    body = UNPACK[headers.get("content-encoding", "")](content)
    kind = headers.get("content-type", "").partition(";")[0]
    try:
        if kind == PROBLEM:
            return _refusal(json.loads(body))
        if status != 200:
            raise Unsound(f"status {status} with {body[:200]!r}")
        return {JSON: _of_json, LINES: _of_lines, ARROW: _of_arrow}[kind](body)
    except (KeyError, ValueError, IndexError, OSError) as error:
        raise Unsound(f"{type(error).__name__} {error} in {kind} {body[-200:]!r}") from error


def difference(said: Said, right: Forecast, sizes: Floats) -> float:
    """Return the largest difference to ``right`` relative to the size of each series, ``sizes`` (N, 1); infinite if the
    series or bounds differ.
    """
    bounds = {f"{side}-{level}": getattr(i, side) for level, i in right.intervals.items() for side in ("lo", "hi")}
    count = len(right.ids)
    stamps = tuple(right.stamps(i % count) for i in FIRST_AND_LAST)
    if (said.ids, said.stamps, said.bounds.keys()) != (right.ids, stamps, bounds.keys()):
        return float("inf")
    pairs = [(said.median, right.median), *((said.bounds[name], bounds[name]) for name in bounds)]
    if any(one.shape != other.shape or not np.isfinite(one).all() for one, other in pairs):
        return float("inf")
    return max(float((np.abs(one - other) / sizes).max()) for one, other in pairs)


def _refusal(problem: JsonObject) -> Refusal:
    """Return the code of the problem, followed by a slash and the code of its first error if any."""
    errors = problem["errors"]
    return int(problem["status"]), problem["code"] + (f"/{errors[0]['code']}" if errors else "")


def _of_json(body: bytes) -> Said:
    answer = json.loads(body)
    return _said(answer, answer["forecasts"])


def _of_lines(body: bytes) -> Said | Refusal:
    head, *rows, end = map(json.loads, body.splitlines())
    if "error" in end:
        return _refusal(end["error"])
    if end != {"done": True, "series": len(rows)}:
        raise Unsound(f"a stream of {len(rows)} series ends with {str(end)[:200]}")
    return _said(head, rows)


def _said(head: JsonObject, rows: Sequence[Any]) -> Said:
    levels = list(rows[0]["intervals"])
    bounds = {
        f"{side}-{level}": np.array([row["intervals"][level][side] for row in rows])
        for level in levels
        for side in ("lo", "hi")
    }
    median, stamps = np.array([row["median"] for row in rows]), tuple(rows[i]["ds"] for i in FIRST_AND_LAST)
    ids = tuple(row["unique_id"] for row in rows)
    return Said(head["model"]["version"], ids, median, bounds, stamps, _fell_back(head))


def _of_arrow(body: bytes) -> Said | Refusal:
    """Parse a table, or a stream of tables that ends with its outcome."""
    reader, batches, last = pa.ipc.open_stream(body), [], None
    for batch, facts in _batches(reader):
        batches.append(batch)
        last = json.loads(facts[b"forecastle"]) if facts and batch.num_rows == 0 else None
        if last is not None and "error" in last:
            return _refusal(last["error"])
    table, head = pa.Table.from_batches(batches), json.loads(reader.schema.metadata[b"forecastle"])
    steps = head["horizon"]
    numbers = {name: table[name].to_numpy().reshape(-1, steps) for name in table.schema.names[2:]}
    ids = tuple(table["unique_id"].to_pylist()[::steps])
    if last is not None and last != {"done": True, "series": len(ids)}:
        raise Unsound(f"a stream of {len(ids)} series ends with {last}")
    moments = table["ds"].to_numpy().reshape(-1, steps)
    stamps = tuple(np.datetime_as_string(moments[i], unit="s").tolist() for i in FIRST_AND_LAST)
    median, bounds = numbers["median"], {name: v for name, v in numbers.items() if name not in ("median", "mean")}
    return Said(head["model"]["version"], ids, median, bounds, stamps, _fell_back(head))


def _batches(reader: Any) -> Any:
    """Yield the batches with their metadata up to the end or the truncation."""
    while True:
        try:
            yield reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            return


def _fell_back(head: JsonObject) -> bool:
    return any(warning["code"] == "fell_back" for warning in head["warnings"])
