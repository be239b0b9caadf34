"""Server that answers, when it is stopped, every request that the kernel had accepted before, and resets none.

A socket that is closed with unread bytes, or with connections that nobody has accepted, sends a reset, and a reset may
destroy an answer on its way. So the server accepts all waiting connections before it stops listening, answers what they
send, and closes each connection only after the client has, or after ``LINGER_S``.
"""

import asyncio
import functools
import logging
import os
import select
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.edge.drain import Drain
from app.edge.problem_json import RETRY_AFTER_S

logger = logging.getLogger(__name__)

SETTLE_S = 0.5  # for requests on their way on connections without one
BODY_S = 5.0  # for the rest of a request that the client is still sending
FINISH_S = 1.0  # after the deadline, for last lines and refusals
LINGER_S = 1.0  # between the end of the last answer on a connection and its end
TICK_S = 0.05
MAX_ACCEPT_TURNS = 10_000  # of the event loop; each accepts all connections that wait
REFUSAL = (
    f"HTTP/1.1 503 Service Unavailable\r\nretry-after: {RETRY_AFTER_S}\r\n"
    "connection: close\r\ncontent-length: 0\r\n\r\n"
).encode()


class Discard(asyncio.Protocol):
    """Protocol that drops all bytes; ``ended`` is called when the connection is lost."""

    def __init__(self, ended: Callable[[Exception | None], None]) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol that this one has replaced."""
        self._ended(exc)


class LingeringTransport:
    """Transport that, while ``drain`` stops the service, closes only its own direction until the client closes too."""

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
        if not self._drain.is_stopping or self._transport.is_closing():
            self._transport.close()
        elif not self._is_closing:
            self._is_closing = True
            self._transport.set_protocol(Discard(self._protocol.connection_lost))
            self._transport.resume_reading()
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)


class LingeringProtocol(HttpToolsProtocol):
    """HTTP protocol of uvicorn whose connection is a ``LingeringTransport``."""

    def __init__(self, drain: Drain, **parts: Any) -> None:
        super().__init__(**parts)
        self._drain = drain

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        """Begin to read requests."""
        super().connection_made(LingeringTransport(transport, self, self._drain))  # type: ignore[arg-type]

    @property
    def is_idle(self) -> bool:
        """Return whether every request that has begun is answered; a head that is not complete is no request yet."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def awaits_head(self) -> bool:
        """Return whether the client has sent a part of the head of its next request."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)


class DrainingServer(uvicorn.Server):
    """uvicorn that drains before it stops; a second signal ends the process at once.

    ``timeout_s`` after the signal ``refuse`` is called, which lets streams end, and soon after that every request
    without an answer gets a 503.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, refuse: Callable[[], None], timeout_s: float) -> None:
        config.load()
        config.http_protocol_class = functools.partial(LingeringProtocol, drain)  # type: ignore[assignment]
        super().__init__(config)
        self._drain, self._refuse, self._timeout_s = drain, refuse, timeout_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; at the second signal, end the process."""
        if self.should_exit:
            os._exit(128 + sig)
        self._drain.is_stopping = True  # now, not at the next tick: /readyz and connections know at once
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer all requests that were sent before the signal, then close the connections and the service."""
        self._drain.is_stopping = True
        began_s = asyncio.get_running_loop().time()
        await self._stop_listening()
        await asyncio.sleep(SETTLE_S)
        await self._finish(began_s)
        await self.lifespan.shutdown()

    async def _stop_listening(self) -> None:
        """Accept the connections that wait in the kernel, and close the sockets before another can arrive."""
        poll = select.poll()
        for server in self.servers:
            for listening in server.sockets:
                with socket.socket(fileno=os.dup(listening.fileno())) as same:
                    same.listen(0)  # no queue: who connects from now on tries again, and finds no listener
                poll.register(listening.fileno(), select.POLLIN)
        for _ in range(MAX_ACCEPT_TURNS):
            if not poll.poll(0):
                break
            await asyncio.sleep(0)  # the loop accepts
        for server in self.servers:
            server.close()

    async def _finish(self, began_s: float) -> None:
        """Wait until every connection is closed, at most ``FINISH_S`` + ``LINGER_S`` beyond the deadline."""
        is_refusing, clock = False, asyncio.get_running_loop().time
        while self.server_state.connections or self.server_state.tasks:
            waited_s = clock() - began_s
            is_late = waited_s >= min(BODY_S, self._timeout_s)
            for connection in list(self.server_state.connections):
                self._close_idle(connection, is_late)
            if is_late:
                self._drain.end(only_bodies=True)
            if waited_s >= self._timeout_s and not is_refusing:
                is_refusing = True
                self._refuse()
            if waited_s >= self._timeout_s + FINISH_S:
                self._drain.end(only_bodies=False)
            if waited_s >= self._timeout_s + FINISH_S + LINGER_S:
                logger.warning("%d connections are cut off", len(self.server_state.connections))
                return
            await asyncio.sleep(TICK_S)

    @staticmethod
    def _close_idle(connection: Any, is_late: bool) -> None:
        """Close a connection without a request; a half-sent head is refused when it ``is_late``."""
        if not connection.is_idle or connection.transport.is_closing() or (connection.awaits_head and not is_late):
            return
        if connection.awaits_head:
            connection.transport.write(REFUSAL)
        connection.transport.close()
