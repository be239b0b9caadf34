"""The batcher: forecasts of many requests, made by one pass of the networks wherever they can be.

What waits is taken all at once -- never waiting for more --, what one forecaster is asked is put together, and each
request is answered by itself. There are three ways, so that a large request holds up no small one:

- what takes a millisecond is made in the event loop, after all requests that came in with it were read: two threads
  that compute share one interpreter lock, and with a thread for it half as many requests a second were answered;
- the small lane, a thread, puts together what takes longer; the large lane, another, takes one after the other.
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
from models.forecasting.forecaster import ForecastInput, forecast_together

logger = logging.getLogger(__name__)

# A core does some 20 GFLOP a second in passes of a few windows, and each pass has its own cost.
QUICK_GFLOP, QUICK_PASSES = 0.01, 2
SMALL_GFLOP, SMALL_POINTS = 0.1, 10_000
MAX_TOGETHER_GFLOP = 0.2
MAX_AT_ONCE_GFLOP = 0.05  # in the event loop, before it reads on
STOP_TIMEOUT_S = 10.0

Finish = Callable[[Forecast], bytes]


class Work(NamedTuple):
    """One forecast to be made: ``ask`` of ``loaded``, ``gflop`` of arithmetic, turned into an answer by ``finish``.

    ``answer`` belongs to the event loop ``loop``; who no longer waits has cancelled it, and who waited beyond
    ``deadline_s`` is told so.
    """

    loaded: LoadedModel
    ask: ForecastInput
    gflop: float
    finish: Finish
    passes: int  # how often the network that says the fewest steps has to be run
    deadline_s: float
    answer: "asyncio.Future[bytes]"
    loop: asyncio.AbstractEventLoop

    @property
    def kind(self) -> tuple[Any, ...]:
        """Work of the same kind can be put together: one forecaster, as many passes of its networks."""
        return (id(self.loaded), self.passes, self.ask.panel.freq)


class Result(NamedTuple):
    """What came of some work: its bytes or an error."""

    work: Work
    content: bytes | None
    error: Exception | None


class Batcher:
    """The three ways; ``capacity`` is how much may wait in each."""

    def __init__(self, capacity: int, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quick = Quick(capacity, telemetry)
        self._small = Lane("small", capacity, together, telemetry, clock)
        self._large = Lane("large", capacity, one_by_one, telemetry, clock)

    def put(
        self, loaded: LoadedModel, ask: ForecastInput, gflop: float, finish: Finish, timeout_s: float
    ) -> "asyncio.Future[bytes]":
        """The answer to be that ``finish`` makes of the forecast, which takes ``gflop`` of arithmetic; asked in a loop.

        What is cancelled before its turn comes is not made. The future raises DeadlinePassed where ``timeout_s`` was
        over before then, or whatever the forecaster or ``finish`` raised for this request alone.

        Raises:
            TooManyRequests, Unavailable: too much waits already, or the service is being stopped.
        """
        loop, deadline_s = asyncio.get_running_loop(), self._clock() + timeout_s
        passes = max(-(-ask.horizon // network.member.spec.outputs) for network in loaded.networks)
        work = Work(loaded, ask, gflop, finish, passes, deadline_s, loop.create_future(), loop)
        self._way(work).put(work)
        return work.answer

    def _way(self, work: Work) -> "Quick | Lane":
        if work.gflop > SMALL_GFLOP or len(work.ask.panel.y) > SMALL_POINTS or work.ask.panel.covariates:
            return self._large
        quick = work.gflop <= QUICK_GFLOP and work.passes <= QUICK_PASSES and work.loaded.device == "cpu"
        return self._quick if quick else self._small

    def stop(self) -> None:
        """Answer all that waits -- what cannot be made in time with Unavailable -- and end the threads."""
        for way in (self._quick, self._small, self._large):
            way.stop()


class Quick:
    """What is made in the event loop: all that came in since it last turned."""

    def __init__(self, capacity: int, telemetry: Telemetry) -> None:
        self._capacity, self._telemetry = capacity, telemetry
        self._waiting: deque[Work] = deque()
        self._stopped = False

    def put(self, work: Work) -> None:
        """Let ``work`` wait until what came in with it has been read."""
        check_room(self._stopped, len(self._waiting), self._capacity)
        self._waiting.append(work)
        if len(self._waiting) == 1:
            work.loop.call_soon(self._turn)

    def stop(self) -> None:
        """Take on no more; what waits is made at the loop's next turn."""
        self._stopped = True

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
    """One thread and a bounded queue, first in, first out."""

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
        self._stopped = False

    def put(self, work: Work) -> None:
        """Let ``work`` wait for its turn; the thread is started by the first."""
        check_room(self._stopped, self._waiting.qsize(), self._capacity)
        if self._thread is None:
            self._start()
        self._waiting.put(work)

    def stop(self) -> None:
        """End the thread once it has answered what waits."""
        with self._starting:
            self._stopped = True
            thread = self._thread
        self._waiting.put(None)
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)
        self._turn_away()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._serve, name=f"forecasts-{self._name}", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while (taken := self._take()) is not None:
            self._telemetry.batch_taken(self._name, len(taken))
            for results in self._made(self._living(taken)):
                deliver(results)

    def _take(self) -> list[Work] | None:
        """All that waits, at least one; None at the end."""
        first = self._waiting.get()
        if first is None:
            return None
        taken = [first]
        for _ in range(self._waiting.qsize()):
            work = self._waiting.get()
            if work is None:
                self._waiting.put(None)  # the end comes after what was taken
                break
            taken.append(work)
        return taken

    def _living(self, taken: Iterable[Work]) -> list[Work]:
        """Those that somebody still waits for and whose time is not over."""
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

    def _made(self, living: Sequence[Work]) -> Iterator[list[Result]]:
        """The results, as many at a time as were made together."""
        for group in grouped(living):
            yield list(self._make(group))

    def _turn_away(self) -> None:
        while not self._waiting.empty():
            work = self._waiting.get()
            if work is not None:
                deliver([Result(work, None, Unavailable("the service was stopped; try again in a few seconds"))])


def check_room(stopped: bool, waiting: int, capacity: int) -> None:
    """Refuse what cannot be taken on."""
    if stopped:
        raise Unavailable("the service is being stopped; ask another process, or again in a few seconds")
    if waiting >= capacity:
        raise TooManyRequests(f"{capacity} forecasts are waiting already; try again in a second")


def grouped(works: Iterable[Work]) -> Iterator[list[Work]]:
    """Work of one kind, up to ``MAX_TOGETHER_GFLOP``; the kind that came first is first."""
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
    """All in one pass; where that cannot be, one by one, so that what is wrong with one is no other's trouble."""
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
    """Each in a pass of its own."""
    for work in works:
        yield from together([work])


def finished(work: Work, forecast: Forecast) -> Result:
    """The answer, or what went wrong in making it."""
    try:
        return Result(work, work.finish(forecast), None)
    except Exception as error:
        return Result(work, None, error)


def deliver(results: Sequence[Result]) -> None:
    """Hand the results over to the event loops that wait for them: each loop is woken once for all of its own."""
    loops = {id(result.work.loop): result.work.loop for result in results}
    for key, loop in loops.items():
        own = [result for result in results if id(result.work.loop) == key]
        try:
            loop.call_soon_threadsafe(set_results, own)
        except RuntimeError:  # the loop is closed: nobody waits any more
            logger.warning("%d forecasts were made for a loop that is closed", len(own))


def set_results(results: Sequence[Result]) -> None:
    """Wake those who wait for ``results``, in their event loop."""
    for work, content, error in results:
        if work.answer.done():
            continue  # cancelled meanwhile
        if error is not None:
            work.answer.set_exception(error)
        else:
            assert content is not None
            work.answer.set_result(content)
