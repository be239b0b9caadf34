"""Memory of refused requests: it is free as soon as they are answered, without the garbage collector."""

import gc
import itertools
import statistics
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from backports import zstd

from tests.app.api.conftest import Caller, House
from tests.app.api.tables import CSV, JSON, body

MIB = 1024**2
REFUSALS = 6
LONG_TEXT = b'{"model":"demand","x":"' + b"x" * MIB + b'"}'
WRONG_TABLE = b"unique_id,ds,y\n" + b"a,b,c\n" * 100_000
WRONG_HISTORY = b'{"model":"demand","history":{"ds":[' + b'"2026-01-01",' * 75_000 + b'"x"],"y":[1]}}'


@contextmanager
def without_collector() -> Iterator[None]:
    """No garbage collection: reference cycles stay in memory."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def packed(data: bytes) -> dict[str, object]:
    return {"content": zstd.compress(data), "headers": {"content-type": JSON, "content-encoding": "zstd"}}


REQUESTS = {
    "a long text in a forecast": ("/v1/forecasts", body(LONG_TEXT, JSON)),
    "the same, compressed": ("/v1/forecasts", packed(LONG_TEXT)),
    "a history with a wrong timestamp": ("/v1/forecasts", body(WRONG_HISTORY, JSON)),
    "JSON that is cut off": ("/v1/forecasts", body(LONG_TEXT[:-2], JSON)),
    "compressed data over the limit": ("/v1/forecasts", packed(b" " * 5 * MIB)),
    "a long text in a job": ("/v1/jobs", body(LONG_TEXT, JSON)),
    "a schedule that is cut off": ("/v1/schedules", body(LONG_TEXT[:-2], JSON)),
    "a wrong CSV table": ("/v1/datasets?name=wrong", body(WRONG_TABLE, CSV)),
    "a JSON table that is cut off": ("/v1/datasets?name=wrong", body(LONG_TEXT[:-2], JSON)),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_refused_body_leaves_memory_with_its_answer(house: House, acme: Caller, kind: str) -> None:
    path, request = REQUESTS[kind]
    assert house.acme.ask("POST", path, **request).status_code in (400, 413, 422)
    held_bytes = []
    with without_collector():
        tracemalloc.start()
        try:
            for _ in range(REFUSALS):
                house.acme.ask("POST", path, **request)
                house.acme.get("/livez")  # by now the task of the refused request has ended
                held_bytes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    # The median, as a thread may keep the variables of its last call.
    assert statistics.median(after - before for before, after in itertools.pairwise(held_bytes)) < MIB / 10


def test_json_of_many_values_is_read_as_regular_series_only(acme: Caller) -> None:
    ones = b"1," * 200_000
    history = b'{"model":"demand","history":{"ds":[],"y":[' + ones + b"1]}}"
    assert acme.refused("POST", "/v1/forecasts", **body(history, JSON)) == (422, "invalid_request", "too_many_values")
    series = b'{"model":"demand","series":[{"start":"2026-01-01","y":[' + ones + b'"x"]}]}'
    wrong = acme.ask("POST", "/v1/forecasts", **body(series, JSON)).json()
    assert wrong["errors"][0]["code"] == "too_many_values"
    assert "$.series[0].y[200000]" in wrong["errors"][0]["message"]
