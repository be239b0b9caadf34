"""Threads for one kind of blocking work, shared fairly between tenants.

Routes that share one pool of threads can take it from each other: eighty requests that wait for a slow name server, or
for a lock of the database, would leave no thread for lists and health checks.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import TypeVar

from app.problems import TooManyRequests, Unavailable
from app.serving.futures import run_into, shared_future

T = TypeVar("T")


class FairThreads:
    """Threads for one kind of work, with a queue for each tenant; for one event loop.

    ``threads`` calls run at a time, ``share`` of them for one tenant. Up to ``max_waiting`` calls of a tenant wait for
    their turn, ``patience_s`` seconds at most, without a thread; tenants take turns. ``work`` names it in refusals.
    """

    def __init__(self, work: str, threads: int, share: int, max_waiting: int, patience_s: float) -> None:
        self._work, self._threads, self._share = work, threads, share
        self._max_waiting, self._patience_s = max_waiting, patience_s
        self._running: Counter[int] = Counter()  # by tenant
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}  # by tenant, in the order of their turns

    async def run(self, tenant_id: int, function: Callable[..., T], *arguments: object) -> T:
        """Return the result of ``function(*arguments)``, called in one of the threads.

        A caller that is cancelled leaves the call running, and its thread taken until the call ends.

        Raises:
            TooManyRequests: the tenant has ``max_waiting`` calls waiting already.
            Unavailable: no thread was free within ``patience_s`` seconds.
        """
        await self._wait_for_turn(tenant_id)
        made: Future[T] = shared_future()
        # A thread for each call takes 0.1 ms to start; as a daemon it does not delay the end of the process.
        Thread(
            target=run_into,
            args=(made, partial(copy_context().run, function, *arguments)),
            name=self._work,
            daemon=True,
        ).start()
        call = asyncio.wrap_future(made)
        call.add_done_callback(partial(self._end, tenant_id))
        return await asyncio.shield(call)

    async def _wait_for_turn(self, tenant_id: int) -> None:
        if tenant_id not in self._waiting and self._has_thread(tenant_id):
            self._running[tenant_id] += 1
            return
        queue = self._waiting.setdefault(tenant_id, deque())
        if len(queue) >= self._max_waiting:
            raise TooManyRequests(f"{len(queue)} requests wait for {self._work} already; wait for their answers")
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except BaseException as error:
            if turn.cancelled():
                self._leave(tenant_id, turn)
            else:  # its turn came at the same moment
                self._release(tenant_id)
            if not isinstance(error, TimeoutError):
                raise
            message = f"no thread was free for {self._work} within {self._patience_s:g} s; try again in a few seconds"
            raise Unavailable(message) from None

    def _has_thread(self, tenant_id: int) -> bool:
        return self._running.total() < self._threads and self._running[tenant_id] < self._share

    def _leave(self, tenant_id: int, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(tenant_id, deque())
        if turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[tenant_id]

    def _end(self, tenant_id: int, call: "asyncio.Future[object]") -> None:
        if not call.cancelled():
            call.exception()  # read, because its caller may have left
        self._release(tenant_id)

    def _release(self, tenant_id: int) -> None:
        self._running[tenant_id] -= 1
        if not self._running[tenant_id]:
            del self._running[tenant_id]
        while (tenant := next(filter(self._has_thread, self._waiting), None)) is not None:
            queue = self._waiting.pop(tenant)
            turn = queue.popleft()
            if queue:
                self._waiting[tenant] = queue  # behind the other tenants
            if not turn.cancelled():
                self._running[tenant] += 1
                turn.set_result(None)
