"""Work for a client that may close its connection before the answer is ready."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from app.problems import CallerGone

PATIENCE_S = 0.25  # an answer that takes longer is worth a look at whether the client is still connected


class Disconnected(ClientDisconnect, CallerGone):
    """The client closed its connection before the answer was ready."""


async def while_connected(http: Request, future: "asyncio.Future[bytes]") -> bytes:
    """Return the result of ``future``; cancel it where the client disconnects first. The body must be read already.

    Raises:
        Disconnected: the client has disconnected.
    """
    if future.done():
        return future.result()
    loop = asyncio.get_running_loop()
    watches: list[asyncio.Task[None]] = []
    timer = loop.call_later(PATIENCE_S, lambda: watches.append(loop.create_task(_cancel_at_disconnect(http, future))))
    try:
        return await future
    except asyncio.CancelledError:
        if watches and watches[0].done():
            raise Disconnected from None
        raise
    finally:
        timer.cancel()
        for watch in watches:
            watch.cancel()


async def _cancel_at_disconnect(http: Request, future: "asyncio.Future[bytes]") -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
    future.cancel()
