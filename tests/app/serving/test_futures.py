"""What many wait for: nobody takes it from the others, and the first outcome counts."""

import asyncio
from concurrent.futures import Future

import pytest

from app.serving.futures import fail, failed, fulfil, keep, kept, promise


def test_who_gives_up_waiting_takes_nothing_from_those_who_still_wait() -> None:
    given: Future[int] = promise()

    async def scene() -> int:
        hasty, patient = (asyncio.create_task(_wait(given)) for _ in range(2))
        await asyncio.sleep(0)
        hasty.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hasty
        keep(given, 5)
        return await patient

    assert asyncio.run(scene()) == 5
    assert not promise().cancel()
    assert asyncio.run(_wait_for_plain_future()) == "cancelled for all"  # which is what this is for


async def _wait(given: "Future[int]") -> int:
    return await asyncio.wrap_future(given)


async def _wait_for_plain_future() -> str:
    plain: Future[int] = Future()
    task = asyncio.create_task(_wait(plain))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return "cancelled for all" if plain.cancelled() else "untouched"


def test_the_first_outcome_counts() -> None:
    given: Future[int] = promise()
    keep(given, 1)
    keep(given, 2)
    fail(given, ValueError("too late"))
    assert given.result(0) == 1
    lost: Future[int] = promise()
    fail(lost, KeyError("first"))
    keep(lost, 1)
    with pytest.raises(KeyError, match="first"):
        lost.result(0)


def test_what_is_known_already_need_not_be_waited_for() -> None:
    assert kept("now").result(0) == "now"
    error = ValueError("never")
    assert failed(error).exception(0) is error


def test_whoever_makes_it_returns_or_raises_to_all_who_wait() -> None:
    given: Future[float] = promise()
    fulfil(given, lambda: 1 / 4)
    assert given.result(0) == 0.25
    lost: Future[float] = promise()
    fulfil(lost, lambda: 1 / 0)
    assert isinstance(lost.exception(0), ZeroDivisionError)


def test_even_an_exit_in_a_thread_leaves_nobody_waiting() -> None:
    given: Future[None] = promise()

    def leave() -> None:
        raise SystemExit(3)

    fulfil(given, leave)
    assert isinstance(given.exception(0), SystemExit)
