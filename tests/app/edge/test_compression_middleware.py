"""Compressed bodies of requests and answers: transparent to the service, and bounded."""

import asyncio
import gzip
import http.client
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from backports import zstd
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge import compression_middleware
from app.edge.compression import Decompressor
from app.edge.compression_middleware import INLINE_BYTES, MIN_BYTES, CompressionMiddleware

from .conftest import GONE, LIMIT_BYTES, READ_KEY, WRITE_KEY, Answer, Wire, guarded, listening, toy_app

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "zstd": zstd.decompress}
CODED = pytest.mark.parametrize("coding", COMPRESS)
BODY = json.dumps({"history": {"y": [1, 2, 3]}}).encode()


@pytest.fixture(params=["around the app", "both as middleware"])
def wire(request: pytest.FixtureRequest) -> Wire:
    """A wire to the toy service with compression inside its guard, composed in either way."""
    app = toy_app()
    if request.param == "both as middleware":
        app.add_middleware(CompressionMiddleware, max_body_bytes=LIMIT_BYTES)
        return guarded(app, inside=True)
    return guarded(CompressionMiddleware(app, LIMIT_BYTES))  # type: ignore[arg-type]


def upload(wire: Wire, coding: str, *pieces: bytes, key: str | None = WRITE_KEY) -> Answer:
    """Send bytes to a route that counts them."""
    return wire.ask("POST", "/v1/datasets", key=key, headers={"content-encoding": coding}, body=pieces)


@CODED
def test_a_compressed_body_is_read_like_a_plain_one(wire: Wire, coding: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": coding}
    data = COMPRESS[coding](BODY)
    for body in ([data], [data[:9], data[9:]], [data[i : i + 1] for i in range(len(data))], [b"", data, b""]):
        answer = wire.ask("POST", "/v1/forecasts", key=READ_KEY, headers=headers, body=body)
        assert (answer.status, answer.json) == (200, {"rows": 3})


@pytest.mark.parametrize("coding", ["identity", "", "GZIP", " gzip ", "x-gzip"])
def test_codings_have_other_names(wire: Wire, coding: str) -> None:
    data = gzip.compress(BODY) if "gzip" in coding.lower() else BODY
    headers = {"content-type": "application/json", "content-encoding": coding}
    assert wire.ask("POST", "/v1/forecasts", key=READ_KEY, headers=headers, body=[data]).json == {"rows": 3}


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "gzip, zstd", "compress", "é" * 3000])
def test_other_codings_are_refused_and_the_supported_ones_listed(wire: Wire, coding: str) -> None:
    answer = upload(wire, coding, b"x")
    assert (answer.status, answer.json["code"], answer.receives) == (415, "unsupported_media_type", 0)
    assert answer.headers["accept-encoding"] == "zstd, gzip"


@CODED
def test_nothing_is_decompressed_before_the_key_is_checked(wire: Wire, coding: str) -> None:
    answer = upload(wire, coding, COMPRESS[coding](BODY), key="wrong")
    assert (answer.status, answer.receives) == (401, 0)
    assert upload(wire, "br", BODY, key="wrong").status == 401


@CODED
def test_the_limit_holds_for_the_decompressed_body(wire: Wire, coding: str) -> None:
    answer = upload(wire, coding, COMPRESS[coding](bytes(LIMIT_BYTES)))
    assert answer.json == {"size_bytes": LIMIT_BYTES}
    answer = upload(wire, coding, COMPRESS[coding](bytes(LIMIT_BYTES + 1)))
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")


@CODED
def test_a_compression_bomb_is_refused_before_it_is_decompressed(
    wire: Wire, coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decompressed_bytes = 0

    class Counting(Decompressor):
        """Decompressor that counts its output in bytes."""

        def read(self, max_bytes: int) -> bytes:
            nonlocal decompressed_bytes
            data = super().read(max_bytes)
            decompressed_bytes += len(data)
            return data

    monkeypatch.setattr(compression_middleware, "Decompressor", Counting)
    bomb = COMPRESS[coding](bytes(256 * LIMIT_BYTES))
    assert len(bomb) < LIMIT_BYTES
    answer = upload(wire, coding, *[bomb[at : at + 65_536] for at in range(0, len(bomb), 65_536)])
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")
    assert decompressed_bytes == LIMIT_BYTES + 1
    assert upload(wire, coding, *[bomb] * 20).status == 413  # over the limit on the wire


@CODED
@pytest.mark.parametrize("path", ["/v1/forecasts", "/v1/datasets"], ids=["a body model", "await request.body()"])
def test_a_body_that_cannot_be_decompressed_is_400(wire: Wire, coding: str, path: str) -> None:
    good = COMPRESS[coding](BODY)
    headers = {"content-type": "application/json", "content-encoding": coding}
    for body, words in [
        ([BODY], f"it is not {coding}"),
        ([good, b"garbage"], f"it is not {coding}"),
        ([good[:-5]], "ends before"),
        ([good, good[:4]], "ends before"),
        ([COMPRESS[coding](b"")] * 1001, "over 1000 parts"),
    ]:
        answer = wire.ask("POST", path, key=WRITE_KEY, headers=headers, body=body)
        assert (answer.status, answer.json["code"]) == (400, "bad_request")
        assert words in answer.json["detail"]


@CODED
def test_an_empty_body_needs_no_compression(wire: Wire, coding: str) -> None:
    assert upload(wire, coding).json == {"size_bytes": 0}
    assert wire.ask("GET", "/v1/jobs", key=READ_KEY, headers={"content-encoding": coding}).json == 10


@CODED
def test_a_client_that_disconnects_in_a_body_is_no_error_of_the_service(
    wire: Wire, coding: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = upload(wire, coding, COMPRESS[coding](BODY)[:9], GONE)
    assert (answer.status, answer.json["code"]) == (400, "incomplete_body")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@CODED
def test_after_its_body_a_request_receives_the_next_message_of_the_server(coding: str) -> None:
    """A streamed answer listens for the disconnect of its client."""
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert dict(scope["headers"]) == {b"x": b"y"}
        while (message := await receive())["type"] == "http.request":
            seen.append(message)
        seen.append(message)

    messages = iter([{"type": "http.request", "body": COMPRESS[coding](BODY)}, {"type": "http.disconnect"}])
    headers = [(b"content-encoding", coding.encode()), (b"content-length", b"9"), (b"x", b"y")]

    async def receive() -> Message:
        return next(messages)

    async def send(_: Message) -> None:
        raise AssertionError("there is no answer")

    asyncio.run(CompressionMiddleware(app, LIMIT_BYTES)({"type": "http", "headers": headers}, receive, send))
    assert seen == [{"type": "http.request", "body": BODY, "more_body": False}, {"type": "http.disconnect"}]


@CODED
def test_only_the_beginning_is_processed_in_the_event_loop(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[tuple[bool, int]] = []  # (in the thread of the event loop?, bytes)

    class Watched(Decompressor):
        """Decompressor that records its thread and its output in bytes."""

        def read(self, max_bytes: int) -> bytes:
            data = super().read(max_bytes)
            threads.append((threading.current_thread() is threading.main_thread(), len(data)))
            return data

    monkeypatch.setattr(compression_middleware, "Decompressor", Watched)
    answer = upload(
        guarded(CompressionMiddleware(toy_app(), LIMIT_BYTES)), coding, COMPRESS[coding](bytes(LIMIT_BYTES))
    )  # type: ignore[arg-type]
    assert answer.json == {"size_bytes": LIMIT_BYTES}
    assert sum(size for inside, size in threads if inside) == INLINE_BYTES
    assert sum(size for inside, size in threads if not inside) == LIMIT_BYTES - INLINE_BYTES


def answered(app: ASGIApp, accept: str | None, method: str = "GET") -> tuple[dict[str, str], list[bytes]]:
    """Return headers and body pieces of the answer of ``app`` to a request with this ``Accept-Encoding``."""
    headers = [] if accept is None else [(b"accept-encoding", accept.encode())]
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError("the answer takes too long")

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(
        CompressionMiddleware(app, LIMIT_BYTES)({"type": "http", "method": method, "headers": headers}, receive, send)
    )
    first, *pieces = sent
    answer_headers = {name.decode(): value.decode() for name, value in first["headers"]}
    assert [piece.get("more_body", False) for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    return answer_headers, [piece["body"] for piece in pieces]


TEXT = b"".join(b"%d," % i for i in range(1000))


@CODED
@pytest.mark.parametrize("size", [MIN_BYTES, INLINE_BYTES + 1])
def test_a_long_answer_is_compressed_with_the_preferred_coding(coding: str, size: int) -> None:
    data = (TEXT * 20)[:size]
    headers, pieces = answered(Response(data, media_type="application/json"), coding)
    assert DECOMPRESS[coding](b"".join(pieces)) == data
    assert (headers["content-encoding"], headers["vary"]) == (coding, "Accept-Encoding")
    assert int(headers["content-length"]) == len(b"".join(pieces)) < size


@pytest.mark.parametrize("accept", [None, "", "br", "gzip;q=0", "identity"])
def test_a_client_that_accepts_no_coding_gets_a_plain_answer(accept: str | None) -> None:
    headers, pieces = answered(Response(TEXT, media_type="application/json"), accept)
    assert (b"".join(pieces), headers["content-length"]) == (TEXT, str(len(TEXT)))
    assert "content-encoding" not in headers
    assert headers["vary"] == "Accept-Encoding"  # a cache must not serve it to other clients


@pytest.mark.parametrize(
    ("media_type", "is_compressed"),
    [
        ("application/json", True),
        ("application/problem+json", True),
        ("application/x-ndjson", True),
        ("application/vnd.apache.arrow.stream", True),
        ("text/plain; version=0.0.4; charset=utf-8", True),
        ("Text/CSV", True),
        ("application/vnd.apache.parquet", False),
        ("image/png", False),
        ("application/octet-stream", False),
        ("", False),
    ],
)
def test_only_compressible_media_types_are_compressed(media_type: str, is_compressed: bool) -> None:
    headers, _ = answered(Response(TEXT, headers={"content-type": media_type} if media_type else {}), "gzip")
    assert ("content-encoding" in headers) == ("vary" in headers) == is_compressed


def test_short_and_compressed_answers_are_sent_unchanged() -> None:
    short = PlainTextResponse(TEXT[: MIN_BYTES - 1])
    compressed = PlainTextResponse(gzip.compress(TEXT), headers={"content-encoding": "gzip"})
    part = PlainTextResponse(TEXT, 206)
    for response in (short, compressed, part, Response(status_code=204)):
        headers, pieces = answered(response, "zstd, gzip")
        assert (b"".join(pieces), headers.get("content-length")) == (
            response.body,
            dict(response.headers).get("content-length"),
        )
        assert "zstd" not in headers.values()


def test_a_client_that_refuses_plain_answers_gets_even_short_ones_compressed(wire: Wire) -> None:
    headers, pieces = answered(PlainTextResponse("short"), "gzip, identity;q=0")
    assert (headers["content-encoding"], gzip.decompress(b"".join(pieces))) == ("gzip", b"short")
    assert "content-encoding" not in answered(Response(status_code=204), "gzip, *;q=0")[0]
    refused = wire.ask("GET", "/v1/jobs", key=READ_KEY, headers={"accept-encoding": "br, identity;q=0"})
    assert (refused.status, refused.json["code"]) == (406, "not_acceptable")


@CODED
def test_problem_answers_are_compressed_too(wire: Wire, coding: str) -> None:
    headers = {"accept-encoding": coding}
    long, short = (wire.ask("GET", f"/v1/jobs/{name}", key=READ_KEY, headers=headers) for name in ("faulty", "gone"))
    assert json.loads(DECOMPRESS[coding](long.body))["errors_total"] == 1000
    assert (long.headers["content-encoding"], long.headers["content-type"]) == (coding, "application/problem+json")
    assert short.json["code"] == "not_found"


def pieces_of(*pieces: bytes) -> StreamingResponse:
    async def content() -> Any:
        for piece in pieces:
            yield piece

    return StreamingResponse(content(), media_type="application/x-ndjson")


@CODED
def test_each_piece_of_a_stream_can_be_read_on_arrival(coding: str) -> None:
    whole = [b'{"a": 1}\n', b"", TEXT * 20, b"x"]
    headers, pieces = answered(pieces_of(*whole), coding)
    assert headers["content-encoding"] == coding
    assert "content-length" not in headers
    decompressor = Decompressor(coding)
    for piece, expected in zip(pieces, [*whole, b""], strict=True):
        decompressor.feed(piece)
        assert b"".join(iter(lambda: decompressor.read(10_000), b"")) == expected
    assert decompressor.is_empty
    assert pieces[1] == b""  # an empty piece stays empty


def test_an_answer_that_fails_before_its_body_is_still_a_problem(wire: Wire) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        raise RuntimeError("internal path /srv/secret")

    answer = guarded(CompressionMiddleware(broken, LIMIT_BYTES)).ask("GET", "/v1/jobs", key=READ_KEY)  # type: ignore[arg-type]
    assert (answer.status, answer.json["code"]) == (500, "internal")


def test_a_request_without_compression_passes_unchanged() -> None:
    """Such a request costs only the reading of its headers and of those of its answer."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([scope, receive])

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(_: Message) -> None: ...

    for scope in ({"type": "http", "headers": [(b"host", b"x")]}, {"type": "lifespan"}):
        asyncio.run(CompressionMiddleware(app, LIMIT_BYTES)(scope, receive, send))
        assert seen[-2] is scope
        assert seen[-1] is receive


@pytest.fixture(params=["h11", "httptools"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Port of the toy service behind its guard."""
    with listening(guarded(CompressionMiddleware(toy_app(), LIMIT_BYTES)).app, request.param) as port:  # type: ignore[arg-type]
        yield port


@CODED
def test_the_same_over_the_wire(port: int, coding: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"x-api-key": WRITE_KEY, "content-encoding": coding, "accept-encoding": coding}
    connection.request("POST", "/v1/datasets", COMPRESS[coding](bytes(LIMIT_BYTES)), headers)
    assert json.loads(connection.getresponse().read()) == {"size_bytes": LIMIT_BYTES}
    connection.request("GET", "/v1/jobs/faulty", headers=headers)  # on the same connection
    answer = connection.getresponse()
    assert json.loads(DECOMPRESS[coding](answer.read()))["errors_total"] == 1000
    connection.request("POST", "/v1/datasets", COMPRESS[coding](bytes(LIMIT_BYTES + 1)), headers)
    assert connection.getresponse().status == 413
    connection.close()
