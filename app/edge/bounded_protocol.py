"""HTTP protocol of one connection: it bounds the head of a request, the time to send it, and the number of connections.

httptools has no such limits: 40 MB of short headers took 1 GB, and half-sent requests stayed open for ever.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.edge.drain import Drain
from app.edge.problem_json import MEDIA_TYPE, RETRY_AFTER_S

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024  # of target and headers; also of all that is no body between two pieces of a body
MAX_HEADERS = 100
MIN_BODY_BYTES_PER_S = 10 * 1024
LINGER_S = 1.0  # between the end of the last answer on a connection and its end
MAX_DROPPED_BYTES = 1024**2  # of a refused request: a reset might destroy the refusal on its way
ROOM_SHARE = 20  # a full server closes one in so many of its connections that wait for a request


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of the connections of one server.

    ``head_s``: seconds for the head of a request, from the connection or its first byte. ``body_s``: seconds for the
    body, and for each 10 KiB of it a second more.
    ``write_s``: seconds in which the client takes nothing of an answer that waits for it.
    """

    max_connections: int
    head_s: float = 10.0
    body_s: float = 20.0
    write_s: float = 30.0


def refusal(status: HTTPStatus, code: str, detail: str) -> bytes:
    """Return a whole answer that refuses a request in front of the service, and closes the connection."""
    problem = {"type": f"/problems/{code}", "title": status.phrase, "status": status.value}
    body = json.dumps({**problem, "detail": detail, "code": code, "errors": [], "errors_total": 0}).encode()
    retry = f"retry-after: {RETRY_AFTER_S}\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
    return f"{head}{retry}connection: close\r\n\r\n".encode() + body


HEAD_TOO_LARGE = refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head_too_large",
    f"The head of a request may have at most {MAX_HEADERS} headers and {MAX_HEAD_BYTES} bytes; send fewer.",
)
TOO_SLOW = refusal(
    HTTPStatus.REQUEST_TIMEOUT, "too_slow", "The request was not complete in time; send it again, without a pause."
)
TOO_MANY = refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "too_many_connections", "Too many connections are open; try again later."
)


class Discard(asyncio.Protocol):
    """Protocol that drops up to ``max_bytes``, then closes; ``ended`` is called when the connection is lost."""

    def __init__(
        self, transport: asyncio.Transport, max_bytes: float, ended: Callable[[Exception | None], None]
    ) -> None:
        self._transport, self._left_bytes, self._ended = transport, max_bytes, ended

    def data_received(self, data: bytes) -> None:
        """Drop the bytes."""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on to the protocol before this one."""
        self._ended(exc)


class LingeringTransport:
    """Transport that can close only its own direction until the client closes too; it does while the service stops.

    A socket that is closed with unread bytes sends a reset, which may destroy the answer on its way.
    """

    def __init__(self, transport: asyncio.Transport, protocol: HttpToolsProtocol, drain: Drain) -> None:
        self.write = transport.write
        self._transport, self._protocol, self._drain = transport, protocol, drain
        self._is_closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether this side is closed or closing."""
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection after the bytes written so far; while the service stops, drop bytes that come later."""
        if self._drain.is_stopping:
            self.linger()
        else:
            self._transport.close()

    def linger(self, max_bytes: float = inf) -> None:
        """Close this side after the bytes written so far, drop up to ``max_bytes`` that come later, and close soon."""
        if not self.is_closing():
            self._is_closing = True
            self._transport.set_protocol(Discard(self._transport, max_bytes, self._protocol.connection_lost))
            self._transport.resume_reading()
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)


class HeadTooLarge(Exception):
    """The head of a request is over a limit; the parser stops at it."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP protocol of uvicorn with limits; its connection is a ``LingeringTransport``."""

    transport: LingeringTransport  # type: ignore[assignment]  # as the base uses it

    def __init__(self, drain: Drain, limits: ConnectionLimits, **parts: Any) -> None:
        super().__init__(**parts)
        self._drain, self._limits = drain, limits
        self._since_s = 0.0  # when the connection, the present head or the present body began
        self._steps = 0  # heads, pieces of bodies and ends of requests that were read
        self._loose_bytes = 0  # read since the last step
        self._body_bytes = 0
        self._is_too_large = False
        self._unread_bytes, self._taken_s = 0, 0.0  # of the answer, and when the client last took some of it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        """Begin to read requests; refuse the connection if too many are open."""
        super().connection_made(LingeringTransport(transport, self, self._drain))  # type: ignore[arg-type]
        self._since_s = self.loop.time()
        if len(self.connections) > self._limits.max_connections and not self._make_room():
            self.transport.write(TOO_MANY)
            self._leave()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; refuse a request with too many of them outside of its body."""
        steps = self._steps
        super().data_received(data)
        self._loose_bytes = self._loose_bytes + len(data) if steps == self._steps else 0
        if self._loose_bytes > MAX_HEAD_BYTES:
            self.refuse(HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._since_s = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin the answer to a request.

        Raises:
            HeadTooLarge: its head is over a limit.
        """
        size_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.headers) > MAX_HEADERS or size_bytes > MAX_HEAD_BYTES:
            self._is_too_large = True
            raise HeadTooLarge
        self._steps += 1
        self._since_s, self._body_bytes = self.loop.time(), 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body for the service to read."""
        self._steps += 1
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body."""
        self._steps += 1
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that the parser cannot read, or whose head is too large."""
        if self._is_too_large:
            self.refuse(HEAD_TOO_LARGE)
        else:
            super().send_400_response(msg)

    def refuse(self, answer: bytes) -> None:
        """Send ``answer`` unless another is being sent, and close the connection."""
        if self.transport.is_closing():
            return
        if self.cycle is None or (not self.pipeline and self.cycle.response_started == self.cycle.response_complete):
            self.transport.write(answer)
            self.transport.linger(MAX_DROPPED_BYTES)
            if self.cycle is not None:  # nothing more is sent for the request under way
                self.cycle.disconnected = True
                self.cycle.message_event.set()
        else:
            self.transport.close()

    def refuse_late(self, now_s: float) -> None:
        """Refuse the request that the client has not sent in time."""
        waited_s = now_s - self._since_s
        if self.awaits_head or self.cycle is None:
            if waited_s > self._limits.head_s and self.scope is None:
                self._leave()  # no request was begun, so none is answered
            elif waited_s > self._limits.head_s:
                self.refuse(TOO_SLOW)
        elif self.cycle.more_body and not self.cycle.response_complete:
            if self.flow.read_paused:  # the service has not read what came: it is not the client that is slow
                self._since_s, self._body_bytes = now_s, 0
            elif waited_s > self._limits.body_s + self._body_bytes / MIN_BODY_BYTES_PER_S:
                self.refuse(TOO_SLOW)

    def abort_unread(self, now_s: float) -> None:
        """Reset the connection if the client has taken nothing of its answer for ``write_s`` seconds."""
        unread_bytes = self.transport.get_write_buffer_size()
        if not self.flow.write_paused or unread_bytes != self._unread_bytes:
            self._unread_bytes, self._taken_s = unread_bytes, now_s
        elif now_s - self._taken_s > self._limits.write_s:
            logger.warning("a client does not read its answer; its connection is reset")
            self.transport.abort()

    @property
    def is_idle(self) -> bool:
        """Return whether every request that has begun is answered; a head that is not complete is no request yet."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def awaits_head(self) -> bool:
        """Return whether the client has sent a part of the head of its next request."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _make_room(self) -> bool:
        """Close some of the connections that have waited longest for a request; return whether there were any."""
        connections = cast("set[BoundedProtocol]", self.connections)  # this protocol is the only one of its server
        others = (one for one in connections if one is not self and one.is_idle)
        longest = sorted(others, key=lambda one: one._since_s)[: len(self.connections) // ROOM_SHARE + 1]
        logger.warning(
            "%d connections are open, more than are allowed; %d that wait for a request are closed",
            len(self.connections),
            len(longest),
        )
        for one in longest:
            one._leave()
        return bool(longest)

    def _leave(self) -> None:
        """Close the connection at once, and count it no more."""
        self.connections.discard(self)
        self.transport.close()
