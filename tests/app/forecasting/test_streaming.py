"""Streams: made part by part as the client reads, ended when it leaves, and always with a stated outcome."""

import asyncio
import json
import socket
import time
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from app.api.http.streamed_response import StreamedResponse
from app.forecasting.streaming import Encode, StreamReport, part_series, stream_parts
from app.formats import LINES, LineStream
from app.problems import TooManyRequests
from app.tenant_slots import TenantSlots
from models.data.calendar import parse_freq
from models.data.chunks import MAX_SERIES, split_series
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.errors import ModelBroken
from models.forecasting.forecaster import forecast, make_runnable
from tests.app.edge.conftest import listening
from tests.fakes import says


def panel(series: int, points: int = 4) -> Panel:
    """Return daily series ``s0``, ``s1``, …; the values of ``s3`` are 300, 301, …"""
    names = tuple(f"s{i}" for i in range(series))
    values = (np.arange(series)[:, None] * 100.0 + np.arange(points)).ravel()
    starts = np.full(series, np.datetime64("2026-01-01", "us"))
    indptr = np.arange(series + 1) * points
    return Panel(names, starts, values, indptr, parse_freq("D"), covariates={"x": values + 0.5})


@pytest.mark.parametrize(
    ("numbers", "gflop", "most"),
    [
        ((24, 10**6), (1e-4, 500), MAX_SERIES),
        ((24, 240), (1e-4, 500), 10),
        ((24, 263), (1e-4, 500), 10),
        ((24, 10**6), (5, 500), 100),
        ((24, 10**6), (0, 500), MAX_SERIES),
        ((300, 200), (1e-4, 500), 1),
    ],
)
def test_a_part_has_the_largest_size_of_one_answer(
    numbers: tuple[int, int], gflop: tuple[float, float], most: int
) -> None:
    assert part_series(numbers, gflop) == most


class PartMaker:
    """Forecasts last value + 1, 2, -1 spreads, by hand-made weights; counts parts, and fails at ``breaks_at``."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.made = says(1, 2, -1)
        self.networks = make_runnable(self.made.members, OnnxEngine)
        self.parts, self.breaks_at, self.third = 0, breaks_at, asyncio.Event()
        self.outcomes: list[tuple[str, int]] = []
        self.report = StreamReport(
            head=lambda made: {"freq": str(made.freq), "notes": len(made.notes)},
            failure=lambda error: {"detail": str(error)},
            over=lambda outcome, series: self.outcomes.append((outcome, series)),
        )

    async def make(self, part: Panel, encode: Encode) -> bytes:
        self.parts += 1
        if self.parts == 3:
            self.third.set()
        if self.parts == self.breaks_at:
            raise ModelBroken("NaN")
        return await to_thread.run_sync(self._make, part, encode)

    def _make(self, part: Panel, encode: Encode) -> bytes:
        return encode(forecast(self.networks, self.made.calibration, part, 3, [80]))

    def pieces(self, whole: Panel, most: int = 2) -> AsyncGenerator[bytes, None]:
        return stream_parts(split_series(whole, most), self.make, LineStream(), self.report)


async def lines_of(pieces: AsyncGenerator[bytes, None]) -> list[Any]:
    return [json.loads(line) for line in b"".join([piece async for piece in pieces]).splitlines()]


def test_a_stream_holds_the_same_forecasts_as_one_answer_and_ends_with_done() -> None:
    maker = PartMaker()
    head, *series, end = asyncio.run(lines_of(maker.pieces(panel(5))))
    whole = forecast(maker.networks, maker.made.calibration, panel(5), 3, [80])
    assert (head, end) == ({"freq": "D", "notes": 0}, {"done": True, "series": 5})
    assert [line["unique_id"] for line in series] == ["s0", "s1", "s2", "s3", "s4"]
    assert [line["mean"] for line in series] == whole.median.tolist()
    assert [line["intervals"]["80"]["hi"] for line in series] == whole.intervals[80].hi.tolist()
    # Level 3, and the spread of 0, 1, 2, 3 around it is 1.5.
    assert series[0]["mean"] == [4.5, 6, 1.5]
    assert (maker.parts, maker.outcomes) == (3, [("ok", 5)])


def test_an_error_in_the_first_part_is_raised_and_a_later_one_is_sent() -> None:
    at_first, later = PartMaker(breaks_at=1), PartMaker(breaks_at=3)
    with pytest.raises(ModelBroken):
        asyncio.run(lines_of(at_first.pieces(panel(6))))
    assert at_first.outcomes == []  # the HTTP status states the error
    head, *series, end = asyncio.run(lines_of(later.pieces(panel(6))))
    assert (head["freq"], len(series), end) == ("D", 4, {"error": {"detail": "NaN"}})
    assert (later.parts, later.outcomes) == (3, [("error", 4)])


def test_no_part_is_made_before_it_is_read_or_after_the_stream_is_closed() -> None:
    maker = PartMaker()

    async def read_two() -> None:
        pieces = maker.pieces(panel(10))
        assert maker.parts == 0
        for count in (1, 2):
            await anext(pieces)
            assert maker.parts == count
        await pieces.aclose()

    asyncio.run(read_two())
    assert (maker.parts, maker.outcomes) == (2, [("gone", 4)])


def test_memory_does_not_grow_with_the_number_of_series() -> None:
    async def size_bytes(whole: Panel) -> int:
        return sum([len(piece) async for piece in PartMaker().pieces(whole, 100)])

    def peak_bytes(series: int) -> int:
        whole = panel(series)
        tracemalloc.start()
        try:
            assert asyncio.run(size_bytes(whole)) > 150 * series
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(100)  # what is made once
    few, many = peak_bytes(500), peak_bytes(10_000)
    assert many < few + 100_000  # of the 2 MB that it is in all


TENANT = 1


def app_of(maker: PartMaker, slots: TenantSlots, whole: Panel, most: int = 2) -> Starlette:
    """Return an app that streams forecasts of the whole panel."""

    async def answer(_: Request) -> StreamedResponse:
        return StreamedResponse(maker.pieces(whole, most), slots.hold(TENANT), LINES)

    return Starlette(routes=[Route("/", answer)])


def ask(app: Starlette, receive: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Return the messages that the app sends for one request."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent


async def forever() -> Any:
    await asyncio.sleep(60)


def test_a_stream_holds_a_slot_and_gives_it_back() -> None:
    slots, maker = TenantSlots(1, 1, "streams"), PartMaker()
    head, *pieces = ask(app_of(maker, slots, panel(4)), forever)
    assert head["headers"] == [(b"content-type", b"application/x-ndjson")]
    assert b"".join(piece["body"] for piece in pieces).count(b"\n") == 6
    assert slots.used == 0
    with pytest.raises(ModelBroken):
        ask(app_of(PartMaker(breaks_at=1), slots, panel(4)), forever)
    assert slots.used == 0


def test_without_a_free_slot_a_stream_is_refused_at_once() -> None:
    slots, first, second = TenantSlots(1, 1, "streams"), PartMaker(), PartMaker()

    async def another_comes() -> Any:
        with pytest.raises(TooManyRequests, match="1 streams are in progress"):
            await StreamedResponse(second.pieces(panel(4), 2), slots.hold(2), LINES)({"type": "http"}, forever, forever)
        await asyncio.sleep(60)

    assert len(ask(app_of(first, slots, panel(4)), another_comes)) == 5
    assert (first.outcomes, second.outcomes, second.parts) == ([("ok", 4)], [], 0)


def test_after_the_client_disconnects_no_part_is_made() -> None:
    slots, maker = TenantSlots(1, 1, "streams"), PartMaker()

    async def gone_at_the_third() -> Any:
        await maker.third.wait()
        return {"type": "http.disconnect"}

    ask(app_of(maker, slots, panel(100)), gone_at_the_third)
    assert (maker.parts, maker.outcomes) == (3, [("gone", 4)])  # the third had begun
    assert slots.used == 0


def until(is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_client_that_does_not_read_pauses_its_stream_and_one_that_disconnects_ends_it() -> None:
    """Over a real connection: the stream has 40 MB, of which some kilobytes fit into the buffers."""
    slots, maker, whole = TenantSlots(1, 1, "streams"), PartMaker(), panel(200_000)
    with listening(app_of(maker, slots, whole, 256), "httptools") as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        seen = [-1, 0]
        while seen[-1] != seen[-2]:
            time.sleep(0.3)
            seen.append(maker.parts)
        assert 0 < seen[-1] < 200  # of 782
        assert slots.used == 1
        client.close()
        until(lambda: maker.outcomes != [])
        assert maker.outcomes[0][0] == "gone"
        assert maker.parts <= seen[-1] + 1
        until(lambda: slots.used == 0)
