"""Requests that are framed in two ways or in none, byte by byte on a real connection: one answer each, never two."""

import socket

import pytest

from tests.app.api.conftest import House
from tests.trust.conftest import Address

CHUNKED = "Transfer-Encoding: chunked"
SECOND = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\n\r\n"


def post(*headers: str, body: bytes = b"") -> bytes:
    """A POST with a good key (KEY stands for it), these headers and this body."""
    lines = ["POST /v1/forecasts HTTP/1.1", "Host: x", "Authorization: Bearer KEY", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def get(head: str) -> bytes:
    return head.encode("latin-1") + b"\r\nAuthorization: Bearer KEY\r\n\r\n"


SMUGGLED = {
    "length and chunks": post("Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + SECOND),
    "chunks and length": post(CHUNKED, "Content-Length: 5", body=b"0\r\n\r\n" + SECOND),
    "two lengths": post("Content-Length: 0", "Content-Length: 5", body=b"abcde" + SECOND),
    "a list of lengths": post("Content-Length: 5, 5", body=b"abcde"),
    "a signed length": post("Content-Length: +5", body=b"abcde"),
    "a negative length": post("Content-Length: -1"),
    "a length of 2**64": post("Content-Length: 18446744073709551616"),
    "another coding": post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SECOND),
    "chunked is not the last coding": post("Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SECOND),
    "a chunk of 2**68": post(CHUNKED, body=b"fffffffffffffffff\r\n"),
    "a space before the colon": get("GET /v1/models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked"),
    "a bare CR": get("GET /v1/models HTTP/1.1\r\nHost: x\rX: y"),
    "a NUL": get("GET /v1/models HTTP/1.1\r\nHost: x\r\nX: a\0b"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "a tunnel": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n",
}


def statuses(address: Address, request: bytes, is_end: bool = True) -> list[int]:
    """Send ``request``, and the end of the sender's side if it ``is_end``; return the statuses of all answers."""
    received = b""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request)
        if is_end:
            connection.shutdown(socket.SHUT_WR)
        try:
            while piece := connection.recv(65_536):
                received += piece
        except ConnectionResetError:
            pass  # the server closed with some of our bytes unread
    return [int(answer[:3]) for answer in received.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("request_bytes", SMUGGLED.values(), ids=SMUGGLED)
def test_a_request_with_two_ends_has_one_answer_and_no_second_request(
    shared_house: House, address: Address, request_bytes: bytes
) -> None:
    key = shared_house.acme.key.encode()
    answers = statuses(address, request_bytes.replace(b"KEY", key))
    assert len(answers) <= 1
    assert set(answers) <= {400, 401, 413, 415, 501}


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host", "X-Original-URL"])
def test_no_header_of_a_proxy_changes_the_sender_or_the_route(
    shared_house: House, address: Address, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level("INFO")
    path = f"/nowhere-{name}"
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\n{name}: 203.0.113.7\r\nConnection: close\r\n\r\n"
    assert statuses(address, head.encode()) == [401]
    assert shared_house.acme.ask("GET", path, headers={name.lower(): "/livez"}).status_code == 404
    assert "203.0.113.7" not in caplog.text


@pytest.mark.parametrize("where", ["?api_key=KEY", "?access_token=KEY", "?key=KEY"])
def test_a_key_in_the_address_is_no_key(shared_house: House, address: Address, where: str) -> None:
    target = "/v1/models" + where.replace("KEY", shared_house.acme.key)
    assert statuses(address, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()) == [401]


def test_thousands_of_requests_on_one_connection_are_answered_one_by_one(address: Address) -> None:
    pipelined = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 1_999
    assert statuses(address, pipelined + b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", False) == [200] * 2_000
