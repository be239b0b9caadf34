"""Forecasts of many series part by part: none is made before the one before it is sent, and only one is kept."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from anyio import CapacityLimiter, WouldBlock
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.formats import LINES, Stream
from app.problems import TooManyRequests
from models.data.chunks import MAX_SERIES
from models.data.panel import Panel
from models.forecasting.forecast import Forecast

Facts = Mapping[str, Any]  # JSON
Finish = Callable[[Forecast], bytes]
Make = Callable[[Panel, Finish], Awaitable[bytes]]  # some series, and what their forecast is turned into


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What a stream says besides its forecasts: ``head`` of the first part, ``failure`` of an error in the midst.

    ``over`` is told how a stream went that began -- ok, error, or gone, where the client did not wait for the end --
    and how many series were forecast.
    """

    head: Callable[[Forecast], Facts]
    failure: Callable[[Exception], Facts]
    over: Callable[[str, int], None]


def most_series(numbers: tuple[int, int], gflop: tuple[float, float]) -> int:
    """How many series may be one part, at least 1: ``numbers`` and ``gflop`` are those of one series and the most."""
    (numbers_of_one, most_numbers), (gflop_of_one, most_gflop) = numbers, gflop
    fitting = min(most_numbers / max(1, numbers_of_one), most_gflop / max(gflop_of_one, 1e-9))
    return int(min(MAX_SERIES, max(1, fitting)))


async def pieces_of(
    parts: Iterable[Panel], make: Make, stream: Stream, telling: StreamReport
) -> AsyncGenerator[bytes, None]:
    """The pieces of an answer: one for each part, and one that says how it ended.

    What goes wrong with the first part is raised, for nothing has been said yet, and ``telling`` hears nothing of it;
    what goes wrong later is told.

    Raises:
        Exception: whatever ``make`` raises for the first part.
    """
    outcome, series = "gone", 0

    def first(made: Forecast) -> bytes:
        of_all = replace(made, notes=tuple(note for note in made.notes if note.unique_id is None))
        return stream.begin(telling.head(of_all), made) + stream.part(made)

    try:
        for part in parts:
            piece = await make(part, stream.part if series else first)
            series += len(part)
            yield piece
        outcome = "ok"
        yield stream.end({"done": True, "series": series})
    except Exception as error:
        outcome = "error"
        if not series:
            raise
        yield stream.end({"error": telling.failure(error)})
    finally:
        if series or outcome != "error":
            telling.over(outcome, series)


class StreamedResponse(StreamingResponse):
    """An answer that is made while it is sent; from before its first piece to after its last it holds a slot.

    It begins with the first piece: what is raised before that has a status of its own. Once the client is gone,
    nothing more is made.
    """

    media_type = LINES  # where nothing else is said, as in OpenAPI

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
            self.body_iterator = _after(await anext(self._pieces), self._pieces)
            await super().__call__(scope, receive, send)
        finally:
            await self._pieces.aclose()
            self._slots.release_on_behalf_of(self)


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
