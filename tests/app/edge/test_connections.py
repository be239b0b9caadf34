"""Limits of one connection, through a real server: heads, bodies that do not come, and too many connections."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from app.edge.bounded_protocol import MAX_HEADERS, ConnectionLimits
from app.edge.draining_server import DrainingServer

from .conftest import READ_KEY, WRITE_KEY, guarded, toy_app
from .test_over_the_wire import head, rest

WRITER = f"x-api-key: {WRITE_KEY}"


@contextmanager
def limited(limits: ConnectionLimits, app: FastAPI | None = None) -> Iterator[tuple[str, int]]:
    """The guarded toy service, or ``app``, under the server of the product; gives its address."""
    wire = guarded(app or toy_app())
    config = uvicorn.Config(wire.app, port=0, http="httptools", ws="none", log_config=None)
    server = DrainingServer(config, wire.app.drain, lambda: None, 1.0, limits)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[:2]
    finally:
        server.should_exit = True
        thread.join()


def opened(address: tuple[str, int], data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(address, timeout=20)
    connection.sendall(data)
    return connection


def flood(connection: socket.socket, piece: bytes, pieces: int) -> int:
    """Send ``piece`` again and again until the server has closed; the number of bytes that it took."""
    for number in range(pieces):
        try:
            connection.sendall(piece)
        except OSError:
            return number * len(piece)
    return pieces * len(piece)


def answer_to(address: tuple[str, int], data: bytes) -> bytes:
    with opened(address, data) as connection:
        return rest(connection)


def test_a_hundred_headers_are_read_and_one_more_is_refused_before_any_key() -> None:
    others = [f"x-{number}: a" for number in range(MAX_HEADERS - 2)]
    with limited(ConnectionLimits(10)) as address:
        assert answer_to(address, head("GET", "/livez", "connection: close", *others)).startswith(b"HTTP/1.1 200")
        refused = answer_to(address, head("GET", "/v1/jobs", "connection: close", "x-more: a", *others))
    assert refused.startswith(b"HTTP/1.1 431")
    assert b'"code": "head_too_large"' in refused
    assert b"connection: close" in refused


def test_one_header_of_over_64_kib_is_refused() -> None:
    with limited(ConnectionLimits(10)) as address:
        assert answer_to(address, head("GET", "/livez", "x-a: " + "a" * 70_000)).startswith(b"HTTP/1.1 431")
        assert answer_to(address, head("GET", "/livez?" + "a" * 65_600)).startswith(b"HTTP/1.1 4")


def test_a_head_without_end_is_cut_off() -> None:
    beginning = b"GET /livez HTTP/1.1\r\nhost: x\r\n"
    with limited(ConnectionLimits(10)) as address:
        for endless in (b"x-a: " + b"a" * 65_536, b"a:b\r\n" * 10_000):
            with opened(address, beginning + endless[:5]) as connection:
                assert flood(connection, endless[5:], 4000) < 32 * 1024**2
                assert rest(connection)[:12] in (b"HTTP/1.1 431", b"")


def test_trailers_without_end_are_cut_off() -> None:
    chunked = head("POST", "/v1/datasets", WRITER, "transfer-encoding: chunked") + b"0\r\n"
    with limited(ConnectionLimits(10)) as address, opened(address, chunked) as connection:
        assert flood(connection, b"x-t: " + b"a" * 65_000 + b"\r\n", 1000) < 32 * 1024**2


def test_many_requests_on_one_connection_are_no_long_head() -> None:
    request = head("GET", "/v1/jobs", f"x-api-key: {READ_KEY}", "x-filler: " + "a" * 8_000)
    last = head("GET", "/livez", "connection: close")
    with limited(ConnectionLimits(10)) as address:
        assert answer_to(address, request * 20 + last).count(b"HTTP/1.1 200") == 21


def test_a_client_that_does_not_send_its_head_is_answered_408() -> None:
    with limited(ConnectionLimits(10, head_s=0.1)) as address:
        assert answer_to(address, b"") == b""
        assert answer_to(address, b"GET /livez HTTP/1.1\r\nhost: x\r\nx-").startswith(b"HTTP/1.1 408")
        answers = answer_to(address, head("GET", "/livez") + b"GET /l")
    assert answers.startswith(b"HTTP/1.1 200")
    assert answers.count(b"HTTP/1.1 408") == 1


def test_a_body_that_does_not_come_is_answered_408() -> None:
    begun = head("POST", "/v1/datasets", WRITER, "content-length: 1000") + b"{"
    with limited(ConnectionLimits(10, body_s=0.1)) as address:
        assert answer_to(address, begun).startswith(b"HTTP/1.1 408")


def test_a_full_server_closes_the_connections_that_wait_longest_for_a_request() -> None:
    with limited(ConnectionLimits(3)) as address, ExitStack() as stack:
        half = head("POST", "/v1/datasets", WRITER, "content-length: 1000") + b"{"
        uploading = stack.enter_context(opened(address, half))
        silent = [stack.enter_context(opened(address)) for _ in range(2)]
        answer = answer_to(address, head("GET", "/livez", "connection: close"))
        assert answer.startswith(b"HTTP/1.1 200")
        assert rest(silent[0]) == b""
        uploading.sendall(b" " * 999)
        assert uploading.recv(12) == b"HTTP/1.1 200"


def test_a_server_full_of_requests_refuses_more_connections() -> None:
    half = head("POST", "/v1/datasets", WRITER, "content-length: 1000") + b"{"
    with limited(ConnectionLimits(2)) as address, opened(address, half) as one, opened(address, half) as other:
        time.sleep(0.2)  # both are being answered
        refused = answer_to(address, b"")
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after" in refused
        for connection in (one, other):
            connection.sendall(b" " * 999)
            assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_client_that_does_not_read_its_answer_is_dropped_and_the_answer_ends() -> None:
    ended = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
                await asyncio.sleep(0)  # as a stream that waits for its forecasts
        finally:
            ended.set()

    app = toy_app()
    app.add_api_route("/endless", lambda: StreamingResponse(endless()))
    with limited(ConnectionLimits(10, write_s=0.1), app) as address:
        with opened(address, head("GET", "/endless", f"x-api-key: {READ_KEY}")):
            assert ended.wait(20)
        with opened(address, head("GET", "/livez")) as other:
            assert other.recv(12) == b"HTTP/1.1 200"
