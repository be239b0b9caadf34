"""Sender of a forecast request, as far as a forecast depends on it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple


async def wait_for(future: "asyncio.Future[bytes]") -> bytes:
    """Return the result of ``future``."""
    return await future


def charge_nothing(series: int, points: int) -> None:
    """Take nothing: the client's use is not limited."""


class Client(NamedTuple):
    """Sender of a forecast request.

    ``wait`` awaits a queued forecast, and may cancel it before it is computed. ``charge`` takes the series and points
    of a forecast out of the client's rates, before it is computed; it raises RateExceeded if there is not enough left.
    """

    tenant_id: int
    wait: Callable[["asyncio.Future[bytes]"], Awaitable[bytes]] = wait_for
    charge: Callable[[int, int], None] = charge_nothing
