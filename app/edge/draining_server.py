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
import signal
import socket
from collections.abc import Callable
from http import HTTPStatus
from types import FrameType
from typing import Any

import uvicorn

from app.edge.bounded_protocol import LINGER_S, BoundedProtocol, ConnectionLimits, refusal
from app.edge.drain import Drain

logger = logging.getLogger(__name__)

SETTLE_S = 0.5  # for requests on their way on connections without one
BODY_S = 5.0  # for the rest of a request that the client is still sending
FINISH_S = 1.0  # after the deadline, for last lines and refusals
TICK_S = 0.05
MAX_ACCEPT_TURNS = 10_000  # of the event loop; each accepts all connections that wait
TICKS_BETWEEN_SWEEPS = 10  # of uvicorn's loop, which ticks each 0.1 s
REFUSAL = refusal(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "The service is being stopped; try again later.")


class DrainingServer(uvicorn.Server):
    """uvicorn that drains before it stops; a second signal ends the process at once.

    After SIGTERM it serves as before for ``delay_s``, in which load balancers see that it is not ready. ``timeout_s``
    after that ``refuse`` is called, which lets streams end, and soon every request without an answer gets a 503.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Drain,
        refuse: Callable[[], None],
        timeout_s: float,
        limits: ConnectionLimits,
        delay_s: float = 0.0,
    ) -> None:
        config.load()
        config.http_protocol_class = functools.partial(BoundedProtocol, drain, limits)  # type: ignore[assignment]
        super().__init__(config)
        self._drain, self._refuse, self._timeout_s, self._delay_s = drain, refuse, timeout_s, delay_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; at the second signal, end the process."""
        if self.should_exit:
            os._exit(128 + sig)
        if sig == signal.SIGINT:
            self._delay_s = 0.0  # a person at a terminal, not a load balancer
        self._drain.is_stopping = True  # now, not at the next tick: /readyz and connections know at once
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Refuse late requests and drop clients that do not read, once a second; return whether to stop."""
        if counter % TICKS_BETWEEN_SWEEPS == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                connection.refuse_late(now_s)  # type: ignore[union-attr]  # our own protocol
                connection.abort_unread(now_s)  # type: ignore[union-attr]
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve for ``delay_s`` more, then answer all requests that were sent and close the service."""
        self._drain.is_stopping = True
        await asyncio.sleep(self._delay_s)
        await self.finish()

    async def finish(self) -> None:
        """Answer all requests that were sent before, then close the connections and the service."""
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
