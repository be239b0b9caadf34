"""Load generator: prepared requests over kept connections, answers counted by their Content-Length.

``closed`` sends the next request after each answer, and measures capacity. ``arrive`` sends at given moments, however
slow the server is, and counts latency from the intended moment, so that a slow server cannot hide its queue
(Tene, "How NOT to Measure Latency", 2013). Traffic goes to loopback only, and ends by itself.
"""

import asyncio
import re
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from typing import Any, TypeVar

import numpy as np
import uvloop
from numpy.typing import NDArray

HOST = "127.0.0.1"
PATIENCE_S = 60.0  # for what is under way when no more is asked
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

Floats = NDArray[np.float64]
Source = Callable[[int], bytes]  # the number of a connection -> its next request
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Load:
    """``in_time`` answers came within ``seconds``, ``answers`` in all; ``errors`` of them were not 200.

    ``generator_s``: CPU seconds that asking took.
    """

    in_time: int
    answers: int
    errors: int
    seconds: float
    generator_s: float

    @property
    def per_s(self) -> float:
        """Return answers per second."""
        return self.in_time / self.seconds


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Latency of each request, (N,): seconds from its intended start to the end of its answer, and its status.

    ``late_s``: by how much the generator itself was late; it does not hold the wait for a free connection.
    """

    latency_s: Floats
    status: NDArray[np.int64]
    late_s: Floats


class Connection(asyncio.Protocol):
    """A kept connection with at most one request under way; ``number`` belongs to its user."""

    def __init__(
        self, number: int, answered: Callable[["Connection", int], None], failed: Callable[[Exception], None]
    ) -> None:
        self.number = number
        self._answered, self._failed = answered, failed
        self.is_open = self._waits = False
        self._transport: Any = None
        self._head, self._left, self._status = b"", 0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport, self.is_open = transport, True

    def connection_lost(self, error: Exception | None) -> None:
        """Report a connection that the server closed before its answer; an idle one may be closed."""
        self.is_open = False
        if self._waits:
            self._failed(error or ConnectionError("the server closed a connection before it had answered"))

    def ask(self, request: bytes) -> None:
        """Send one request; ``answered`` is called with the status of its answer."""
        self._head, self._status, self._waits = b"", 0, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of the answer; a large one comes in many pieces."""
        if self._status:
            self._left -= len(data)
        elif not self._read_head(data):
            return
        if self._left == 0:
            self._waits = False
            self._answered(self, self._status)

    def _read_head(self, data: bytes) -> bool:
        """Return whether the head is complete."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return False
        length = LENGTH.search(self._head, 0, end)
        if length is None:
            self._failed(ConnectionError(f"an answer without Content-Length: {self._head[:end]!r}"))
            return False
        self._status = int(self._head[9:12])
        self._left = int(length[1]) - (len(self._head) - end - 4)
        return True

    def close(self) -> None:
        """Close the connection, even before its answer."""
        self._waits = False
        self._transport.close()


def request_bytes(path: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return a whole HTTP/1.1 POST of a JSON body."""
    fields = [("Host", HOST), ("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def once(port: int, request: bytes) -> tuple[int, bytes]:
    """Return status and content of the answer to one request on a connection of its own.

    Raises:
        OSError: nobody listens, or the answer took too long.
    """
    with socket.create_connection((HOST, port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()


def closed(port: int, source: Source, connections: int, seconds: float) -> Load:
    """Send requests over ``connections`` for ``seconds``, on each the next one after every answer.

    Raises:
        ConnectionError: the server closed a connection that waited, or gave no Content-Length.
        TimeoutError: an answer did not come.
    """
    return _run(_closed(port, source, connections, seconds))


async def _closed(port: int, source: Source, connections: int, seconds: float) -> Load:
    in_time = answers = errors = 0
    clock, under_way = time.perf_counter, connections
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answered(connection: Connection, status: int) -> None:
        nonlocal in_time, answers, errors, under_way
        answers += 1
        errors += status != 200
        if clock() < stop:
            in_time += 1
            connection.ask(source(connection.number))
            return
        under_way -= 1
        if under_way == 0:
            _end(ended)

    async with _connections(port, connections, answered, ended) as opened:
        spent_s, stop = time.process_time(), clock() + seconds
        for connection in opened:
            connection.ask(source(connection.number))
        async with asyncio.timeout(seconds + PATIENCE_S):
            await ended
    return Load(in_time, answers, errors, seconds, time.process_time() - spent_s)


def arrive(port: int, at_s: Floats, requests: Sequence[bytes], connections: int) -> Arrivals:
    """Send ``requests[i]`` at ``at_s[i]`` (ascending, from 0) over free connections; the others wait for one.

    Raises:
        ConnectionError: the server closed a connection that waited, or gave no Content-Length.
        TimeoutError: an answer did not come.
    """
    return _run(_arrive(port, at_s, requests, connections))


async def _arrive(port: int, at_s: Floats, requests: Sequence[bytes], connections: int) -> Arrivals:
    count, clock = len(at_s), time.perf_counter
    found = Arrivals(np.zeros(count), np.zeros(count, dtype=np.int64), np.zeros(count))
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting: deque[int] = deque()
    answers = sent = 0

    def answered(connection: Connection, status: int) -> None:
        nonlocal answers
        found.latency_s[connection.number] = clock() - begin - at_s[connection.number]
        found.status[connection.number] = status
        free.append(connection)
        answers += 1
        if answers == count:
            _end(ended)

    async with _connections(port, connections, answered, ended) as opened, asyncio.timeout(at_s[-1] + PATIENCE_S):
        free, begin = deque(opened), clock()
        # Awake all the time, on a core of its own: uvloop's timers are a millisecond coarse.
        while not ended.done():
            now = clock() - begin
            while sent < count and at_s[sent] <= now:
                found.late_s[sent] = now - at_s[sent]
                waiting.append(sent)
                sent += 1
            while waiting and free:
                connection = free.popleft()  # in turn, or a server would close those that are never used
                if connection.is_open:
                    connection.number = waiting.popleft()
                    connection.ask(requests[connection.number])
            await asyncio.sleep(0)
        ended.result()
    return found


def poisson(rng: np.random.Generator, per_s: float, seconds: float) -> Floats:
    """Return the moments of independent arrivals, on average ``per_s`` per second; at least one."""
    return np.cumsum(rng.exponential(1 / per_s, max(1, round(per_s * seconds))))


def percentile_ms(latency_s: Floats, percent: float) -> float:
    """Return the ``percent``-th percentile in milliseconds."""
    return float(1e3 * np.percentile(latency_s, percent))


@asynccontextmanager
async def _connections(
    port: int, count: int, answered: Callable[[Connection, int], None], ended: "asyncio.Future[None]"
) -> AsyncIterator[list[Connection]]:
    """Open ``count`` connections; an error of one ends the load."""
    loop, failed = asyncio.get_running_loop(), partial(_end, ended)
    opened: list[Connection] = []
    try:
        for number in range(count):
            make = partial(Connection, number, answered, failed)
            opened.append((await loop.create_connection(make, HOST, port))[1])
        yield opened
    finally:
        _end(ended)
        for connection in opened:
            connection.close()


def _end(ended: "asyncio.Future[None]", error: Exception | None = None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
