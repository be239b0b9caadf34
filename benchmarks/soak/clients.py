"""Client threads: each sends one request after another over its own connections and sometimes disconnects early."""

import random
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from itertools import count

import numpy as np

from benchmarks.serving.load import HOST
from benchmarks.soak.answers import Refusal, Said, Unsound, read
from benchmarks.soak.asks import ForecastInput, session_asks
from benchmarks.soak.house import Models
from benchmarks.soak.record import HUNG_UP, Record

PATIENCE_S = 60.0
Asks = Generator[ForecastInput, Said | Refusal | None, None]  # is sent what was answered
IDLE_S = 2.0  # a server may close a connection that nobody has used for longer


class Line:
    """Kept-alive connection to one server."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._connection: HTTPConnection | None = None
        self._used_s = 0.0

    def ask(self, ask: ForecastInput) -> Said | Refusal:
        """Send one request and return the parsed answer.

        Raises:
            OSError, HTTPException, Unsound: there is no answer, or it is not valid.
        """
        connection = self._open()
        try:
            connection.request("POST", ask.path, ask.body, self._headers(ask))
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            self.close()
            raise
        self._used_s = time.monotonic()
        return read(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

    def hang_up(self, ask: ForecastInput, rng: random.Random) -> None:
        """Disconnect during the request, before the answer, or during the answer."""
        with closing(self._new()) as connection, suppress(OSError, HTTPException):  # refused before it was sent
            headers = {**self._headers(ask), "content-length": str(len(ask.body))}
            connection.putrequest("POST", ask.path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            stage = rng.randrange(3)
            connection.send(ask.body if stage else ask.body[: len(ask.body) // 2])
            time.sleep(rng.uniform(0, 0.02))
            if stage == 2:
                connection.getresponse().read(100)

    def close(self) -> None:
        """Close the connection between requests."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> HTTPConnection:
        if time.monotonic() - self._used_s > IDLE_S:
            self.close()
        if self._connection is None:
            self._connection = self._new()
        return self._connection

    def _new(self) -> HTTPConnection:
        return HTTPConnection(HOST, self._port, timeout=PATIENCE_S)

    def _headers(self, ask: ForecastInput) -> dict[str, str]:
        return {**ask.headers, "authorization": f"Bearer {self._key}"}


class Clients:
    """``count`` threads that send the requests of ``asks`` in random order, or the next request of a session, until
    stopped.
    """

    def __init__(self, ports: Sequence[int], key: str, record: Record, pause_s: float) -> None:
        self._ports, self._key, self._record, self._pause_s = ports, key, record, pause_s
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, asks: Sequence[ForecastInput], threads: int, gone: float = 0.0) -> None:
        """Start threads that send these requests in random order to every server; the share ``gone`` disconnects
        early.
        """
        for number in range(threads):
            rng = random.Random(f"{asks[0].kind} {number}")
            self._run(self._any_of(asks, rng), rng, gone, self._ports)

    def start_sessions(self, models: Models, threads: int) -> None:
        """Start threads that continue a session on one server each, and restart it after an eviction."""
        for number in range(threads):
            rng = random.Random(f"session {number}")
            stories = self._stories(models, f"soak-{number}", np.random.default_rng(number))
            self._run(stories, rng, 0.0, [self._ports[number % len(self._ports)]])

    def end(self) -> None:
        """Wait until all threads have ended."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    @staticmethod
    def _any_of(asks: Sequence[ForecastInput], rng: random.Random) -> Asks:
        while True:
            yield rng.choice(asks)

    @staticmethod
    def _stories(models: Models, name: str, rng: np.random.Generator) -> Asks:
        for number in count():
            yield from session_asks(models, f"{name}-{number}", rng)

    def _run(self, asks: Asks, rng: random.Random, gone: float, ports: Sequence[int]) -> None:
        lines = [Line(port, self._key) for port in ports]
        thread = threading.Thread(target=self._work, args=(asks, rng, gone, lines), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, asks: Asks, rng: random.Random, gone: float, lines: Sequence[Line]) -> None:
        answer: Said | Refusal | None = None
        while not self._end.wait(rng.expovariate(1 / self._pause_s)):
            line, ask, answer = rng.choice(lines), asks.send(answer), None
            if rng.random() < gone:
                line.hang_up(ask, rng)
                self._record.count(ask.kind, HUNG_UP)
            else:
                answer = one(line, ask, self._record)
        for line in lines:
            line.close()


def one(line: Line, ask: ForecastInput, record: Record) -> Said | Refusal | None:
    """Send one request and count the outcome; return None if the answer is not valid."""
    began_s = time.monotonic()
    try:
        answer = line.ask(ask)
    except (OSError, HTTPException, Unsound) as error:
        record.fail(ask.kind, f"{ask.model} by {ask.path[:60]}: {type(error).__name__} {error}")
        return None
    record.answered(ask, answer, began_s, time.monotonic())
    return answer
