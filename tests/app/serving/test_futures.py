"""Futures with several waiting callers: none can cancel for the others, and the first outcome counts."""

import asyncio
from concurrent.futures import Future

import pytest

from app.serving.futures import fail, failed, resolve, resolved, run_into, shared_future


def test_a_task_that_stops_waiting_does_not_cancel_the_future_for_others() -> None:
    given: Future[int] = shared_future()

    async def scene() -> int:
        hasty, patient = (asyncio.create_task(_wait(given)) for _ in range(2))
        await asyncio.sleep(0)
        hasty.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hasty
        resolve(given, 5)
        return await patient

    assert asyncio.run(scene()) == 5
    assert not shared_future().cancel()
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
    given: Future[int] = shared_future()
    resolve(given, 1)
    resolve(given, 2)
    fail(given, ValueError("too late"))
    assert given.result(0) == 1
    lost: Future[int] = shared_future()
    fail(lost, KeyError("first"))
    resolve(lost, 1)
    with pytest.raises(KeyError, match="first"):
        lost.result(0)


def test_a_resolved_and_a_failed_future_have_their_outcome_at_once() -> None:
    assert resolved("now").result(0) == "now"
    error = ValueError("never")
    assert failed(error).exception(0) is error


def test_the_result_or_the_error_of_a_function_reaches_its_future() -> None:
    given: Future[float] = shared_future()
    run_into(given, lambda: 1 / 4)
    assert given.result(0) == 0.25
    lost: Future[float] = shared_future()
    run_into(lost, lambda: 1 / 0)
    assert isinstance(lost.exception(0), ZeroDivisionError)


def test_a_system_exit_reaches_the_future_too() -> None:
    given: Future[None] = shared_future()

    def leave() -> None:
        raise SystemExit(3)

    run_into(given, leave)
    assert isinstance(given.exception(0), SystemExit)
