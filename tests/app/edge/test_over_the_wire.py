"""The same through a real server: what is refused is refused while the client is still sending."""

import select
import socket
from collections.abc import Iterator

import pytest

from .conftest import LIMIT_BYTES, READ_KEY, WRITE_KEY, guarded, listening, toy_app

CHUNK = b"10000\r\n" + b" " * 65_536 + b"\r\n"


@pytest.fixture(params=["h11", "httptools"])
def client(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A connection to the guarded toy service under uvicorn."""
    with (
        listening(guarded(toy_app()).app, request.param) as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
    ):
        yield connection


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *headers, "", ""]).encode()


def rest(client: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    received = b""
    try:
        while piece := client.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass  # the server closed with some of our bytes unread
    return received


def send_until_answered(client: socket.socket, chunks: int) -> int:
    """Send chunks until there is an answer to read; the number sent."""
    for number in range(chunks):
        if select.select([client], [], [], 0)[0]:
            return number
        try:
            client.sendall(CHUNK)
        except (BrokenPipeError, ConnectionResetError):
            return number
    return chunks


def test_64_mb_in_chunks_are_refused_while_they_are_sent(client: socket.socket) -> None:
    client.sendall(head("POST", "/v1/datasets", f"x-api-key: {WRITE_KEY}", "transfer-encoding: chunked"))
    sent = send_until_answered(client, 1024)
    assert rest(client).startswith(b"HTTP/1.1 413")
    # The limit, and what fits into the sockets' buffers between the two.
    assert sent * 65_536 < LIMIT_BYTES + 16 * 1024**2


def test_without_a_key_the_answer_comes_before_the_body_is_invited(client: socket.socket) -> None:
    client.sendall(head("POST", "/v1/datasets", "content-length: 900000", "expect: 100-continue"))
    answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()
    assert b"100 Continue" not in answer


def test_escaped_paths_do_not_open_what_needs_a_key(client: socket.socket) -> None:
    client.sendall(head("GET", "/%2e/livez") + head("GET", "/livez%2f..%2fv1/jobs") + head("GET", "//livez"))
    client.sendall(head("GET", "/%6civez", "connection: close"))  # an escaped letter is the letter
    answers = rest(client)
    assert [answers.count(b"HTTP/1.1 401"), answers.count(b"HTTP/1.1 200")] == [3, 1]


def test_a_connection_serves_on_after_a_good_request(client: socket.socket) -> None:
    body = b'{"history": {"y": [1, 2]}}'
    request = head(
        "POST",
        "/v1/forecasts",
        f"x-api-key: {READ_KEY}",
        f"content-length: {len(body)}",
        "content-type: application/json",
    )
    client.sendall(request + body + request + body + head("GET", "/livez", "connection: close"))
    assert rest(client).count(b"HTTP/1.1 200") == 3


def test_after_an_unexpected_error_the_client_has_a_whole_answer(client: socket.socket) -> None:
    client.sendall(head("GET", "/v1/jobs/broken", f"x-api-key: {READ_KEY}", "connection: close"))
    answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 500")
    assert b'"code":"internal"' in answer
