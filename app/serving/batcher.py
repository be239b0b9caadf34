"""Batcher: joins the forecasts of many requests into few passes of the networks.

All waiting forecasts are taken at once, without waiting for more; those of one forecaster share a pass, and each
request gets its own answer. Three lanes keep a large request from delaying small ones:

- the quick lane runs in the event loop, for forecasts of about a millisecond: with a thread for these, which shares
  the interpreter lock, half as many requests per second were answered;
- the small lane, a thread, joins longer forecasts; the large lane, another thread, runs one after the other.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from app.problems import DeadlinePassed, TooManyRequests, Unavailable
from app.serving.batch import Finish, Result, Work, deliver, grouped, one_by_one, set_results, together
from app.serving.model_cache import LoadedModel
from app.telemetry import Telemetry
from models.forecasting.split import ForecastInput

# A core does about 20 GFLOP per second in passes of a few windows, and each pass has a fixed cost.
QUICK_GFLOP, QUICK_PASSES = 0.01, 2
SMALL_GFLOP, SMALL_POINTS = 0.1, 10_000
MAX_AT_ONCE_GFLOP = 0.05  # in the event loop, before it reads more requests
STOP_TIMEOUT_S = 10.0


class Batcher:
    """Three lanes with room for ``capacity`` waiting forecasts each."""

    def __init__(self, capacity: int, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quick = Quick(capacity, telemetry, clock)
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
        loop, put_s = asyncio.get_running_loop(), self._clock()
        passes = max(-(-ask.horizon // network.member.spec.outputs) for network in loaded.networks)
        work = Work(loaded, ask, gflop, finish, passes, put_s, put_s + timeout_s, loop.create_future(), loop)
        if gflop > SMALL_GFLOP or len(ask.panel.y) > SMALL_POINTS or ask.panel.covariates:
            self._large.put(work)
        elif gflop <= QUICK_GFLOP and passes <= QUICK_PASSES and loaded.device == "cpu":
            self._quick.put(work)
        else:
            self._small.put(work)
        return work.answer

    def waiting(self) -> dict[str, int]:
        """Return the number of forecasts that wait for their turn, by lane."""
        return {"quick": len(self._quick), "small": len(self._small), "large": len(self._large)}

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

    def __init__(self, capacity: int, telemetry: Telemetry, clock: Callable[[], float]) -> None:
        self._capacity, self._telemetry, self._clock = capacity, telemetry, clock
        self._waiting: deque[Work] = deque()
        self.stopped = False

    def __len__(self) -> int:
        """Return the number of forecasts that wait."""
        return len(self._waiting)

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
        began_s = self._clock()
        for group in grouped(work for work in taken if not work.answer.cancelled()):
            set_results(list(together(group)))
        self._telemetry.batch_ended("quick", len(taken), began_s - taken[0].put_s, self._clock() - began_s)


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

    def __len__(self) -> int:
        """Return the number of forecasts that wait."""
        return self._waiting.qsize()

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
            began_s = self._clock()
            for group in grouped(self._living(taken)):
                deliver(list(self._make(group)))
            self._telemetry.batch_ended(self._name, len(taken), began_s - taken[0].put_s, self._clock() - began_s)

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
