"""Who waits for jobs: however many they are, a process asks the database once in half a second for all of them."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio import CapacityLimiter, WouldBlock
from anyio.to_thread import run_sync

from app.problems import TooManyRequests
from app.store import jobs
from app.store.db import Database, DatabaseUnreachable
from app.store.jobs import News

logger = logging.getLogger(__name__)

EVERY_S = 0.5
NO_EVENTS = 2**62  # an id that no event reaches: for who wants to know the state only

Standing = tuple[str, int]  # state and attempt of a job


@dataclass(eq=False)
class Watcher:
    """Somebody who follows a job after the event ``after``; ``standing`` is what they know of it.

    What is new waits in ``news`` until it is taken. Who does not take it is not asked for again: nobody's reading too
    slowly makes anything grow.
    """

    job_id: str
    after: int
    standing: Standing | None
    news: News | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, found: News) -> None:
        """Take what is new to this watcher."""
        events = tuple(event for event in found.events if event.id > self.after)
        if events or (found.state, found.attempt) != self.standing:
            self.news = News(found.state, found.attempt, events)
            self.standing = (found.state, found.attempt)
            self.after = events[-1].id if events else self.after
            self.woken.set()

    async def next(self, timeout_s: float) -> News | None:
        """What is new; None where nothing is in ``timeout_s`` seconds, or the service is about to stop."""
        try:
            await asyncio.wait_for(self.woken.wait(), timeout_s)
        except TimeoutError:
            return None
        news, self.news = self.news, None
        self.woken.clear()
        return news


class JobWatch:
    """The watchers of one process, at most ``most``; nothing is asked while there are none."""

    def __init__(self, database: Database, most: int) -> None:
        self._database, self._watchers = database, set[Watcher]()
        self._task: asyncio.Task[None] | None = None
        self.slots = CapacityLimiter(most)
        self.is_stopping = False

    @contextmanager
    def watching(self, job_id: str, after: int, standing: Standing | None = None) -> Iterator[Watcher]:
        """A watcher of a job, from the beginning to the end of the block."""
        watcher = Watcher(job_id, after, standing)
        self._watchers.add(watcher)
        if self._task is None:
            self._task = asyncio.create_task(self._ask())
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def changed(self, job_id: str, standing: Standing, timeout_s: float) -> None:
        """Wait until state or attempt of a job are others than those in ``standing``, at most ``timeout_s`` seconds.

        Raises:
            TooManyRequests: too many wait already.
        """
        me = object()
        try:
            self.slots.acquire_on_behalf_of_nowait(me)
        except WouldBlock as error:
            raise TooManyRequests(
                f"{int(self.slots.total_tokens)} requests wait for jobs; ask without 'wait'"
            ) from error
        try:
            with self.watching(job_id, NO_EVENTS, standing) as watcher:
                if not self.is_stopping:
                    await watcher.next(timeout_s)
        finally:
            self.slots.release_on_behalf_of(me)

    def stop(self) -> None:
        """Wake everybody: the service is about to stop."""
        self.is_stopping = True
        if self._task is not None:
            self._task.cancel()
        for watcher in self._watchers:
            watcher.woken.set()

    async def _ask(self) -> None:
        try:
            while self._watchers:
                await self._ask_once()
                await asyncio.sleep(EVERY_S)
        finally:
            self._task = None

    async def _ask_once(self) -> None:
        waiting = [watcher for watcher in self._watchers if watcher.news is None]
        known: dict[str, int] = {}
        for watcher in waiting:
            known[watcher.job_id] = min(watcher.after, known.get(watcher.job_id, NO_EVENTS))
        try:
            found = await run_sync(self._look, known) if known else {}
        except DatabaseUnreachable as error:
            logger.warning("nobody could be told of jobs", extra={"reason": error.reason})
            return
        for watcher in waiting:
            if watcher.job_id in found:
                watcher.offer(found[watcher.job_id])

    def _look(self, known: dict[str, int]) -> dict[str, News]:
        with self._database.read() as session:
            return jobs.news(session, known)
