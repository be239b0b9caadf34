"""Futures that many wait for: nobody who waits can cancel one for the others, and the first outcome counts."""

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def promise() -> "Future[T]":
    """A future that cannot be cancelled: an ``asyncio`` task that gives up waiting would cancel it for all others."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    return future


def kept(value: T) -> "Future[T]":
    """A promise that is kept already."""
    future: Future[T] = promise()
    future.set_result(value)
    return future


def failed(error: BaseException) -> "Future[T]":
    """A promise that cannot be kept, and why."""
    future: Future[T] = promise()
    future.set_exception(error)
    return future


def keep(given: "Future[T]", value: T) -> None:
    """Give ``value`` to all who wait, unless they were told something already."""
    with suppress(InvalidStateError):
        given.set_result(value)


def fail(given: "Future[T]", error: BaseException) -> None:
    """Give ``error`` to all who wait, unless they were told something already."""
    with suppress(InvalidStateError):
        given.set_exception(error)


def fulfil(given: "Future[T]", make: Callable[[], T]) -> None:
    """Give what ``make`` returns, or raises, to all who wait."""
    try:
        value = make()
    except BaseException as error:  # nobody may wait for ever, whatever happened
        fail(given, error)
    else:
        keep(given, value)
