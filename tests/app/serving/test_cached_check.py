"""A check that many ask for runs once, and a check that hangs holds up nobody for long."""

import asyncio
import threading

import pytest

from app.serving.cached_check import CachedCheck


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_result_is_kept_for_its_time_and_asked_for_once_by_many() -> None:
    answers, clock = iter(["bad", "ok"]), Clock()

    async def scene() -> None:
        check = CachedCheck(lambda: next(answers), late="late", ttl_s=1.0, clock=clock)
        assert await asyncio.gather(*(check.result() for _ in range(9))) == ["bad"] * 9
        clock.now_s += 0.9
        assert await check.result() == "bad"
        clock.now_s += 0.1
        assert await check.result() == "ok"

    asyncio.run(scene())


def test_while_a_check_hangs_its_callers_get_the_late_result_and_no_other_check_begins() -> None:
    go_on, calls = threading.Event(), list[int]()

    def hang() -> str:
        calls.append(1)
        assert go_on.wait(10)
        return "ok"

    async def scene() -> None:
        check = CachedCheck(hang, late="late", ttl_s=0.0, patience_s=0.05)
        assert [await check.result() for _ in range(3)] == ["late"] * 3
        assert calls == [1]
        go_on.set()
        for _ in range(100):
            if await check.result() == "ok":
                return
            await asyncio.sleep(0.01)  # the thread of the check needs a turn as well
        raise AssertionError("the check ended and its result did not come")

    asyncio.run(scene())


def test_an_error_of_the_check_is_kept_as_its_result() -> None:
    def fail() -> str:
        raise ValueError("no")

    async def scene() -> None:
        check = CachedCheck(fail, late="late")
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await check.result()

    asyncio.run(scene())
