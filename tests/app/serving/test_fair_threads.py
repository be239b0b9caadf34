"""Fair threads: a tenant cannot take the threads, or the queue, of another."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from app.problems import TooManyRequests, Unavailable
from app.serving.fair_threads import FairThreads

ACME, RIVAL = 1, 2


class Work:
    """Calls that wait until ``end`` is set; the names of those that began, in order."""

    def __init__(self) -> None:
        self.began, self.end = list[str](), threading.Event()

    def __call__(self, name: str) -> str:
        self.began.append(name)
        assert self.end.wait(10)
        return name


@pytest.fixture(name="work")
def work_fixture() -> Iterator[Work]:
    work = Work()
    yield work
    work.end.set()


async def begin(threads: FairThreads, work: Work, tenant: int, *names: str) -> list["asyncio.Task[str]"]:
    """Start a call for each name, in this order."""
    tasks = [asyncio.create_task(threads.run(tenant, work, name)) for name in names]
    await asyncio.sleep(0.05)
    return tasks


def test_a_tenant_takes_its_share_of_the_threads_and_tenants_take_turns(work: Work) -> None:
    async def scene() -> list[str]:
        threads = FairThreads("work", threads=3, share=2, max_waiting=9, patience_s=10)
        tasks = await begin(threads, work, ACME, "a1", "a2", "a3", "a4", "a5")
        assert work.began == ["a1", "a2"]  # the third thread is for others
        tasks += await begin(threads, work, RIVAL, "r1", "r2")
        assert work.began == ["a1", "a2", "r1"]
        work.end.set()
        return await asyncio.gather(*tasks)

    assert sorted(asyncio.run(scene())) == ["a1", "a2", "a3", "a4", "a5", "r1", "r2"]


def test_of_two_that_wait_the_tenant_that_waited_last_goes_last(work: Work) -> None:
    def one_at_a_time(name: str) -> None:
        work.began.append(name)

    async def scene() -> None:
        threads = FairThreads("work", threads=1, share=1, max_waiting=9, patience_s=10)
        [first] = await begin(threads, work, ACME, "a1")
        rest = [asyncio.create_task(threads.run(ACME, one_at_a_time, name)) for name in ("a2", "a3", "a4")]
        rest += [asyncio.create_task(threads.run(RIVAL, one_at_a_time, name)) for name in ("r1", "r2")]
        await asyncio.sleep(0.05)
        work.end.set()
        await asyncio.gather(first, *rest)

    asyncio.run(scene())
    assert work.began == ["a1", "a2", "r1", "a3", "r2", "a4"]


def test_a_full_queue_refuses_its_own_tenant_only_and_patience_ends(work: Work) -> None:
    async def scene() -> None:
        threads = FairThreads("writes", threads=1, share=1, max_waiting=1, patience_s=0.2)
        [first, late] = await begin(threads, work, ACME, "a1", "a2")
        with pytest.raises(TooManyRequests, match="1 requests wait for writes already"):
            await threads.run(ACME, work, "a3")
        with pytest.raises(Unavailable, match=r"no thread was free for writes within 0\.2 s"):
            await threads.run(RIVAL, work, "r1")
        with pytest.raises(Unavailable):
            await late
        work.end.set()
        assert await first == "a1"
        assert await threads.run(RIVAL, work, "r2") == "r2"

    asyncio.run(scene())
    assert work.began == ["a1", "r2"]


def test_a_call_whose_caller_left_keeps_its_thread_and_one_that_waited_leaves_no_trace(work: Work) -> None:
    async def scene() -> None:
        threads = FairThreads("work", threads=1, share=1, max_waiting=2, patience_s=10)
        tasks = await begin(threads, work, ACME, "a1", "a2")
        for task in tasks:
            task.cancel()
        assert [type(left) for left in await asyncio.gather(*tasks, return_exceptions=True)] == [
            asyncio.CancelledError
        ] * 2
        [third] = await begin(threads, work, ACME, "a3")
        assert work.began == ["a1"]
        work.end.set()
        assert await third == "a3"

    asyncio.run(scene())


def test_an_error_reaches_the_caller_and_frees_the_thread() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def scene() -> None:
        threads = FairThreads("work", threads=1, share=1, max_waiting=1, patience_s=10)
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await threads.run(ACME, fail)

    asyncio.run(scene())
