"""Response that is made while it is sent and holds one of a limited number of slots."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.formats import LINES


class StreamedResponse(StreamingResponse):
    """Response that is made while it is sent; it holds ``slot`` from before its first piece to after its last.

    It begins with the first piece: an error before that has a status of its own. Once the client has disconnected,
    nothing more is made.
    """

    media_type = LINES  # the default, as OpenAPI documents it

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], slot: AbstractContextManager[None], media_type: str
    ) -> None:
        super().__init__(pieces, media_type=media_type)
        self._pieces, self._slot = pieces, slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            TooManyRequests: no slot is free; streams last too long to be waited for.
        """
        with self._slot:
            try:
                self.body_iterator = _chained(await anext(self._pieces), self._pieces)
                await super().__call__(scope, receive, send)
            finally:
                await self._pieces.aclose()


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
