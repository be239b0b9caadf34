"""The load generator of ``make bench-serving``: what it asks, what it counts, and from when."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from benchmarks.serving.load import arrive, closed, once, percentile_ms, poisson, request_bytes
from benchmarks.serving.measure import in_turn

Answer = Callable[["Site"], Awaitable[list[bytes]]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


@dataclass
class Site:
    """A server that says what a test wants it to: pieces of an answer to each request, in turn."""

    answer: Answer
    answers: int  # after so many, a connection is closed
    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(self.answers):
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length is not None
                self.asked.append(await reader.readexactly(int(length[1])))
                pieces = await self.answer(self)
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if not pieces:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side has gone
        finally:
            writer.close()


@contextmanager
def site(answer: Answer, answers: int = 1_000_000) -> Iterator[Site]:
    """A ``Site`` in a thread of its own."""
    served, loop = Site(answer, answers), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(served.serve, "127.0.0.1", 0))
    served.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def stop() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield served
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def at_once(site: Site) -> list[bytes]:
    return [OK]


def ask(body: bytes = b"{}") -> bytes:
    return request_bytes("/x", body)


def test_a_closed_load_asks_anew_when_it_is_answered_and_waits_for_the_last_answers() -> None:
    async def slowly(site: Site) -> list[bytes]:
        await asyncio.sleep(0.02)
        return [OK]

    with site(slowly) as served:
        load = closed(served.port, in_turn([ask(b"1"), ask(b"22")]), connections=3, seconds=0.3)
    assert load.answers == len(served.asked) == load.in_time + 3
    assert 3 <= load.in_time <= 3 * 15
    assert load.errors == 0
    assert load.per_s == pytest.approx(load.in_time / 0.3)
    kinds = Counter(served.asked)
    assert abs(kinds[b"1"] - kinds[b"22"]) <= 1


def test_an_answer_is_whole_when_its_content_length_has_come_in_whatever_pieces() -> None:
    async def in_pieces(site: Site) -> list[bytes]:
        return [b"HTTP/1.1 200 OK\r\nCONTENT-", b"LENGTH: 6\r\nx: y\r\n\r", b"\n12", b"345", b"6"]

    with site(in_pieces) as served:
        load = closed(served.port, in_turn([ask()]), connections=1, seconds=0.05)
    assert load.answers == len(served.asked) == load.in_time + 1
    assert load.errors == 0


def test_answers_that_are_no_forecasts_are_counted() -> None:
    async def every_other(site: Site) -> list[bytes]:
        return [OK if len(site.asked) % 2 else b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"]

    with site(every_other) as served:
        load = closed(served.port, in_turn([ask()]), connections=1, seconds=0.05)
        arrivals = arrive(served.port, np.zeros(4), [ask()] * 4, connections=1)
    assert load.errors == load.answers // 2
    assert sorted(arrivals.status.tolist()) == [200, 200, 503, 503]


def test_latency_counts_from_the_moment_that_was_meant_not_from_when_there_was_room_to_ask() -> None:
    async def one_at_a_time(site: Site) -> list[bytes]:
        await asyncio.sleep(0.05)
        return [OK]

    with site(one_at_a_time) as served:
        found = arrive(served.port, np.array([0.0, 0.01, 0.02, 0.3]), [ask()] * 4, connections=1)
    # Answered at 50, 100, 150 and 350 ms, if not later.
    meant = np.array([0.05, 0.09, 0.13, 0.05])
    assert (found.latency_s >= meant - 0.002).all()
    assert (found.latency_s[:3].argsort() == [0, 1, 2]).all()
    assert found.latency_s[2] - found.latency_s[0] >= 0.06
    assert (found.late_s >= 0).all()


def test_each_request_of_an_open_load_is_asked_once() -> None:
    with site(at_once) as served:
        found = arrive(served.port, np.linspace(0, 0.05, 20), [ask(b"%d" % i) for i in range(20)], connections=4)
    assert Counter(served.asked) == Counter(b"%d" % i for i in range(20))
    assert (found.status == 200).all()
    assert (found.latency_s > 0).all()


def test_a_server_that_hangs_up_before_it_answers_ends_the_load() -> None:
    async def hang_up(site: Site) -> list[bytes]:
        return []

    with site(hang_up) as served, pytest.raises(ConnectionError, match="before it had answered"):
        closed(served.port, in_turn([ask()]), connections=2, seconds=5)


def test_an_answer_without_a_length_ends_the_load() -> None:
    async def endless(site: Site) -> list[bytes]:
        return [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]

    with site(endless) as served, pytest.raises(ConnectionError, match="without Content-Length"):
        arrive(served.port, np.zeros(1), [ask()], connections=1)


def test_a_connection_that_was_closed_while_idle_is_not_asked_again() -> None:
    with site(at_once, answers=1) as served:
        found = arrive(served.port, np.array([0.0, 0.1, 0.2]), [ask()] * 3, connections=3)
    assert (found.status == 200).all()


def test_one_request_may_be_asked_by_itself() -> None:
    with site(at_once) as served:
        assert once(served.port, ask(b"[1]")) == (200, b"hi")
    assert served.asked == [b"[1]"]
    with pytest.raises(ConnectionError):
        once(served.port, ask())


def test_arrivals_are_random_and_as_many_as_they_should_be() -> None:
    at_s = poisson(np.random.default_rng(0), per_s=1_000, seconds=5)
    assert len(at_s) == 5_000
    assert (np.diff(at_s) > 0).all()
    assert at_s[-1] == pytest.approx(5, rel=0.1)
    gaps = np.diff(at_s)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1)  # as of an exponential distribution
    assert len(poisson(np.random.default_rng(0), per_s=0.1, seconds=1)) == 1


def test_percentiles_are_in_milliseconds() -> None:
    assert percentile_ms(np.arange(101) / 1e3, 99) == pytest.approx(99)
