"""Response that is made while it is sent and holds one of a limited number of slots."""

from collections.abc import AsyncGenerator, AsyncIterator

from anyio import CapacityLimiter, WouldBlock
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.formats import LINES
from app.problems import TooManyRequests


class StreamedResponse(StreamingResponse):
    """Response that is made while it is sent; it holds a slot from before its first piece to after its last.

    It begins with the first piece: an error before that has a status of its own. Once the client has disconnected,
    nothing more is made.
    """

    media_type = LINES  # the default, as OpenAPI documents it

    def __init__(self, pieces: AsyncGenerator[bytes, None], slots: CapacityLimiter, media_type: str) -> None:
        super().__init__(pieces, media_type=media_type)
        self._pieces, self._slots = pieces, slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            TooManyRequests: no slot is free; streams last too long to be waited for.
        """
        try:
            self._slots.acquire_on_behalf_of_nowait(self)
        except WouldBlock as error:
            message = f"{int(self._slots.total_tokens)} streams are being sent already; try again later"
            raise TooManyRequests(message) from error
        try:
            self.body_iterator = _chained(await anext(self._pieces), self._pieces)
            await super().__call__(scope, receive, send)
        finally:
            await self._pieces.aclose()
            self._slots.release_on_behalf_of(self)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
