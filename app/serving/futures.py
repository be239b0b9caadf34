"""Futures that several callers wait for: no caller can cancel one for the others, and the first outcome counts."""

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def shared_future() -> "Future[T]":
    """Return a future that cannot be cancelled: an ``asyncio`` task that stops waiting would cancel it for all."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    return future


def resolved(value: T) -> "Future[T]":
    """Return a future that has the result ``value`` already."""
    future: Future[T] = shared_future()
    future.set_result(value)
    return future


def failed(error: BaseException) -> "Future[T]":
    """Return a future that raises ``error``."""
    future: Future[T] = shared_future()
    future.set_exception(error)
    return future


def resolve(future: "Future[T]", value: T) -> None:
    """Set the result of ``future``, unless it has an outcome already."""
    with suppress(InvalidStateError):
        future.set_result(value)


def fail(future: "Future[T]", error: BaseException) -> None:
    """Set the exception of ``future``, unless it has an outcome already."""
    with suppress(InvalidStateError):
        future.set_exception(error)


def run_into(future: "Future[T]", make: Callable[[], T]) -> None:
    """Call ``make`` and give its result or its exception to ``future``."""
    try:
        value = make()
    except BaseException as error:  # also SystemExit: no caller may wait for ever
        fail(future, error)
    else:
        resolve(future, value)
    finally:
        del future, make  # asyncio's futures keep the traceback, and with it this frame: it would be a reference cycle
