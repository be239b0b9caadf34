"""HTTP requests to checked addresses outside: one connection to exactly the address that was checked, no redirects."""

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from app.addresses import ResolvedAddress


class OutboundRequest(NamedTuple):
    """Method, body and headers of a request; of the answer at most ``max_answer_bytes`` are read."""

    method: str
    body: bytes | None
    headers: Mapping[str, str]
    max_answer_bytes: int = 0


class OutboundAnswer(NamedTuple):
    """Status of an answer, and the first bytes of its body."""

    status: int
    body: bytes


def send(
    target: ResolvedAddress, context: ssl.SSLContext, timeout_s: float, request: OutboundRequest
) -> OutboundAnswer:
    """Send a request and return the answer; ``timeout_s`` is for the whole exchange.

    Raises:
        TimeoutError, OSError, HTTPException
    """
    is_timed_out = threading.Event()
    with socket.create_connection((target.ip, target.port), timeout_s) as plain, plain.dup() as other:
        # The timeout of a socket is per read: a receiver that sends a byte now and then would never time out.

        def cut() -> None:
            is_timed_out.set()
            with suppress(OSError):  # the receiver has closed the connection already
                other.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(timeout_s, cut)
        timer.start()
        try:
            return _exchange(target, context, plain, request)
        except (OSError, HTTPException) as error:
            raise TimeoutError if is_timed_out.is_set() else error from None
        finally:
            timer.cancel()
            timer.join()


def _exchange(
    target: ResolvedAddress, context: ssl.SSLContext, plain: socket.socket, request: OutboundRequest
) -> OutboundAnswer:
    connection = HTTPConnection(target.host, target.port)
    connection.sock = context.wrap_socket(plain, server_hostname=target.host) if target.tls else plain
    try:
        headers = {"Host": target.authority, "Connection": "close", **request.headers}
        connection.request(request.method, target.path, request.body, headers)
        with connection.getresponse() as answer:
            return OutboundAnswer(answer.status, answer.read(request.max_answer_bytes))
    finally:
        connection.close()
