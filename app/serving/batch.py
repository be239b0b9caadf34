"""One pass of the networks for many requests: work of one kind is grouped, and each request gets its own result."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from app.serving.model_cache import LoadedModel
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import forecast_together
from models.forecasting.split import ForecastInput

logger = logging.getLogger(__name__)

MAX_TOGETHER_GFLOP = 0.2

Finish = Callable[[Forecast], bytes]


class Work(NamedTuple):
    """A forecast that waits since ``put_s``: ``ask`` for ``loaded``, its cost in ``gflop``, and the encoder ``finish``.

    ``answer`` belongs to the event loop ``loop``. It is cancelled if its client is gone, and fails if its turn comes
    after ``deadline_s``.
    """

    loaded: LoadedModel
    ask: ForecastInput
    gflop: float
    finish: Finish
    passes: int  # of the network with the fewest steps in a pass
    put_s: float
    deadline_s: float
    answer: "asyncio.Future[bytes]"
    loop: asyncio.AbstractEventLoop

    @property
    def kind(self) -> tuple[Any, ...]:
        """Return the key of work that can share a pass: same forecaster, number of passes and frequency."""
        return (id(self.loaded), self.passes, self.ask.panel.freq)


class Result(NamedTuple):
    """Outcome of some work: the encoded answer or an error."""

    work: Work
    content: bytes | None
    error: Exception | None


def grouped(works: Iterable[Work]) -> Iterator[list[Work]]:
    """Yield work of one kind, up to ``MAX_TOGETHER_GFLOP`` at a time, in the order of arrival."""
    kinds: dict[tuple[Any, ...], list[Work]] = {}
    for work in works:
        kinds.setdefault(work.kind, []).append(work)
    for some in kinds.values():
        group, gflop = list[Work](), 0.0
        for work in some:
            if group and gflop + work.gflop > MAX_TOGETHER_GFLOP:
                yield group
                group, gflop = [], 0.0
            group.append(work)
            gflop += work.gflop
        yield group


def together(works: Sequence[Work]) -> Iterator[Result]:
    """Yield the results of one pass for all; if it fails, of a pass for each, so that only the faulty request fails."""
    loaded = works[0].loaded
    try:
        forecasts = forecast_together(loaded.networks, loaded.forecaster.calibration, [work.ask for work in works])
    except Exception as error:
        if len(works) == 1:
            yield Result(works[0], None, error)
        else:
            yield from one_by_one(works)
        return
    for work, forecast in zip(works, forecasts, strict=True):
        yield finished(work, forecast)


def one_by_one(works: Sequence[Work]) -> Iterator[Result]:
    """Yield the results; each forecast has a pass of its own."""
    for work in works:
        yield from together([work])


def finished(work: Work, forecast: Forecast) -> Result:
    """Return the encoded answer, or the error of its encoder."""
    try:
        return Result(work, work.finish(forecast), None)
    except Exception as error:
        return Result(work, None, error)


def deliver(results: Sequence[Result]) -> None:
    """Pass the results to their event loops; each loop is woken once for all of its own."""
    loops = {id(result.work.loop): result.work.loop for result in results}
    for key, loop in loops.items():
        own = [result for result in results if id(result.work.loop) == key]
        try:
            loop.call_soon_threadsafe(set_results, own)
        except RuntimeError:  # the loop is closed: nobody waits any more
            logger.warning("%d forecasts were discarded: their event loop is closed", len(own))


def set_results(results: Sequence[Result]) -> None:
    """Set the futures of ``results``, in their event loop."""
    for work, content, error in results:
        if work.answer.done():
            continue  # cancelled meanwhile
        if error is not None:
            work.answer.set_exception(error)
        else:
            assert content is not None
            work.answer.set_result(content)
