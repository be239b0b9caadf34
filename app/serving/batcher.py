"""Batcher: joins the forecasts of many requests into few passes of the networks.

All waiting forecasts are taken at once, without waiting for more; those of one forecaster share a pass, and each
request gets its own answer. Three lanes keep a large request from delaying small ones:

- the quick lane runs in the event loop, for forecasts of about a millisecond: with a thread for these, which shares
  the interpreter lock, half as many requests per second were answered;
- the small lane, a thread, joins longer forecasts; the large lane, another thread, runs one after the other.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from app.problems import DeadlinePassed, TooManyRequests, Unavailable
from app.serving.model_cache import LoadedModel
from app.telemetry import Telemetry
from models.forecasting.forecast import Forecast
from models.forecasting.forecaster import forecast_together
from models.forecasting.split import ForecastInput

logger = logging.getLogger(__name__)

# A core does about 20 GFLOP per second in passes of a few windows, and each pass has a fixed cost.
QUICK_GFLOP, QUICK_PASSES = 0.01, 2
SMALL_GFLOP, SMALL_POINTS = 0.1, 10_000
MAX_TOGETHER_GFLOP = 0.2
MAX_AT_ONCE_GFLOP = 0.05  # in the event loop, before it reads more requests
STOP_TIMEOUT_S = 10.0

Finish = Callable[[Forecast], bytes]


class Work(NamedTuple):
    """One waiting forecast: the input ``ask`` for ``loaded``, its cost in ``gflop``, and the encoder ``finish``.

    ``answer`` belongs to the event loop ``loop``. It is cancelled if its client is gone, and fails if its turn comes
    after ``deadline_s``.
    """

    loaded: LoadedModel
    ask: ForecastInput
    gflop: float
    finish: Finish
    passes: int  # of the network with the fewest steps in a pass
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


class Batcher:
    """Three lanes with room for ``capacity`` waiting forecasts each."""

    def __init__(self, capacity: int, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quick = Quick(capacity, telemetry)
        self._small = Lane("small", capacity, together, telemetry, clock)
        self._large = Lane("large", capacity, one_by_one, telemetry, clock)

    def put(
        self, loaded: LoadedModel, ask: ForecastInput, gflop: float, finish: Finish, timeout_s: float
    ) -> "asyncio.Future[bytes]":
        """Return a future of the answer that ``finish`` encodes; called in an event loop.

        A future that is cancelled before its turn costs nothing. It raises DeadlinePassed if its turn comes after
        ``timeout_s``, or the error of the forecaster or of ``finish`` for this request alone.

        Raises:
            TooManyRequests, Unavailable: the lane is full, or the service is being stopped.
        """
        loop, deadline_s = asyncio.get_running_loop(), self._clock() + timeout_s
        passes = max(-(-ask.horizon // network.member.spec.outputs) for network in loaded.networks)
        work = Work(loaded, ask, gflop, finish, passes, deadline_s, loop.create_future(), loop)
        if gflop > SMALL_GFLOP or len(ask.panel.y) > SMALL_POINTS or ask.panel.covariates:
            self._large.put(work)
        elif gflop <= QUICK_GFLOP and passes <= QUICK_PASSES and loaded.device == "cpu":
            self._quick.put(work)
        else:
            self._small.put(work)
        return work.answer

    def refuse(self) -> None:
        """Refuse new requests from now on; those that wait already are still forecast."""
        self._quick.stopped = self._small.stopped = self._large.stopped = True

    def stop(self) -> None:
        """Answer all waiting requests, with Unavailable if there is no time to compute, and end the threads."""
        self.refuse()
        for way in (self._small, self._large):
            way.stop()


class Quick:
    """Lane in the event loop: one turn takes all forecasts of the requests that were read before it."""

    def __init__(self, capacity: int, telemetry: Telemetry) -> None:
        self._capacity, self._telemetry = capacity, telemetry
        self._waiting: deque[Work] = deque()
        self.stopped = False

    def put(self, work: Work) -> None:
        """Add ``work`` to the next turn.

        Raises:
            TooManyRequests, Unavailable: the queue is full, or the service is stopping.
        """
        check_room(self.stopped, len(self._waiting), self._capacity)
        self._waiting.append(work)
        if len(self._waiting) == 1:
            # Two turns of the loop: requests read in between join this pass (34 to 40 of 64 instead of 24).
            work.loop.call_soon(work.loop.call_soon, self._turn)

    def _turn(self) -> None:
        taken, gflop = list[Work](), 0.0
        while self._waiting and gflop <= MAX_AT_ONCE_GFLOP:
            work = self._waiting.popleft()
            gflop += work.gflop
            taken.append(work)
        if self._waiting:
            self._waiting[0].loop.call_soon(self._turn)
        self._telemetry.batch_taken("quick", len(taken))
        for group in grouped(work for work in taken if not work.answer.cancelled()):
            set_results(list(together(group)))


class Lane:
    """Lane with one thread and a bounded queue, first in, first out."""

    def __init__(
        self,
        name: str,
        capacity: int,
        make: Callable[[Sequence[Work]], Iterator[Result]],
        telemetry: Telemetry,
        clock: Callable[[], float],
    ) -> None:
        self._name, self._capacity, self._make = name, capacity, make
        self._telemetry, self._clock = telemetry, clock
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self.stopped = False

    def put(self, work: Work) -> None:
        """Add ``work`` to the queue; the first starts the thread. Raise what ``Batcher.put`` raises."""
        check_room(self.stopped, self._waiting.qsize(), self._capacity)
        if self._thread is None:
            self._start()
        self._waiting.put(work)

    def stop(self) -> None:
        """End the thread once the queue is empty."""
        with self._starting:
            self.stopped = True
            thread = self._thread
        self._waiting.put(None)
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)
        while not self._waiting.empty():
            work = self._waiting.get()
            if work is not None:
                deliver([Result(work, None, Unavailable("the service was stopped; try again in a few seconds"))])

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self.stopped:
                self._thread = threading.Thread(target=self._serve, name=f"forecasts-{self._name}", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while (taken := self._take()) is not None:
            self._telemetry.batch_taken(self._name, len(taken))
            for group in grouped(self._living(taken)):
                deliver(list(self._make(group)))

    def _take(self) -> list[Work] | None:
        """Return all waiting work, at least one; None at the end."""
        first = self._waiting.get()
        if first is None:
            return None
        taken = [first]
        for _ in range(self._waiting.qsize()):
            work = self._waiting.get()
            if work is None:
                self._waiting.put(None)  # for the next turn
                break
            taken.append(work)
        return taken

    def _living(self, taken: Iterable[Work]) -> list[Work]:
        """Return the work that is neither cancelled nor late; answer the late ones."""
        living, late, now_s = [], [], self._clock()
        for work in taken:
            if work.answer.cancelled():
                continue
            if now_s > work.deadline_s:
                late.append(Result(work, None, DeadlinePassed("the forecast's turn did not come in time; try again")))
            else:
                living.append(work)
        deliver(late)
        return living


def check_room(stopped: bool, waiting: int, capacity: int) -> None:
    """Raise Unavailable for a lane that is stopped, TooManyRequests for one that is full."""
    if stopped:
        raise Unavailable("the service is being stopped; use another process or try again later")
    if waiting >= capacity:
        raise TooManyRequests(f"{capacity} forecasts are waiting already; try again in a second")


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
