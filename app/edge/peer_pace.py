"""Pace of requests that anybody can send: probes, and requests without a key that was ever valid.

Each address has a turn for one of them in every ``gap_s`` seconds, and the others wait. So a flood from one address
takes a bounded part of the process, however many connections it has, and a client that sends one after another notices
nothing. Requests with a key that is or was valid do not wait.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from app.problems import TooManyRequests

MAX_WAIT_S = 2.0
MAX_PEERS = 10_000


class PeerPace:
    """Turns of each address, one in ``gap_s`` seconds after a burst of ``burst``; for one event loop."""

    def __init__(
        self,
        gap_s: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._gap_s, self._burst_s, self._clock, self._sleep = gap_s, burst * gap_s, clock, sleep
        self._next_s: dict[str, float] = {}  # turn of each address

    async def wait(self, peer: str) -> None:
        """Wait for the next turn of an address.

        Raises:
            TooManyRequests: it would come in over ``MAX_WAIT_S`` seconds.
        """
        now_s = self._clock()
        turn_s = max(self._next_s.get(peer, 0.0), now_s - self._burst_s)
        if turn_s - now_s > MAX_WAIT_S:
            raise TooManyRequests("too many requests without a valid key come from your address; try again later")
        self._next_s[peer] = turn_s + self._gap_s
        if len(self._next_s) > MAX_PEERS:
            self._forget(now_s)
        if turn_s > now_s:
            await self._sleep(turn_s - now_s)

    def _forget(self, now_s: float) -> None:
        """Forget the addresses without a queue; if all have one, the oldest."""
        waiting = {peer: turn_s for peer, turn_s in self._next_s.items() if turn_s > now_s}
        if len(waiting) > MAX_PEERS:
            del waiting[next(iter(waiting))]
        self._next_s = waiting
