"""Forecasts of many series part by part: none is made before the one before it is sent, and only one is kept."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from app.formats import Stream
from app.formats.forecast_streams import Facts
from models.data.chunks import MAX_SERIES
from models.data.panel import Panel
from models.forecasting.forecast import Forecast

Encode = Callable[[Forecast], bytes]
MakePart = Callable[[Panel, Encode], Awaitable[bytes]]  # forecasts some series and encodes the forecast


@dataclass(frozen=True, slots=True)
class StreamReport:
    """Functions for the parts of a stream besides forecasts: ``head`` makes the first, ``failure`` the one of an error.

    ``over`` receives the outcome of a stream that has begun (``ok``, ``error``, or ``gone`` if the client disconnected
    before the end) and the number of series that were forecast.
    """

    head: Callable[[Forecast], Facts]
    failure: Callable[[Exception], Facts]
    over: Callable[[str, int], None]


def part_series(numbers: tuple[int, int], gflop: tuple[float, float]) -> int:
    """Return how many series may be one part, at least 1; both pairs are the cost of one series and the limit."""
    (numbers_each, max_numbers), (gflop_each, max_gflop) = numbers, gflop
    fitting = min(max_numbers / max(1, numbers_each), max_gflop / max(gflop_each, 1e-9))
    return int(min(MAX_SERIES, max(1, fitting)))


async def stream_parts(
    parts: Iterable[Panel], make: MakePart, stream: Stream, report: StreamReport
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of an answer: one for each part, and a last one with the outcome.

    An error in the first part is raised, for nothing has been sent yet, and is not passed to ``report``; a later one is
    sent as the last piece.

    Raises:
        Exception: ``make`` raised it for the first part.
    """
    outcome, series = "gone", 0

    def first(forecast: Forecast) -> bytes:
        of_all = replace(forecast, notes=tuple(note for note in forecast.notes if note.unique_id is None))
        return stream.begin(report.head(of_all), forecast) + stream.part(forecast)

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
        yield stream.end({"error": report.failure(error)})
    finally:
        if series or outcome != "error":
            report.over(outcome, series)
