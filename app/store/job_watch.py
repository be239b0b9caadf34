"""Watchers of jobs: one query every half second reads the updates of all watched jobs of a process."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio.to_thread import run_sync

from app.principal import Principal
from app.store import jobs, keys
from app.store.db import Database, DatabaseUnreachable
from app.store.jobs import JobUpdate
from app.tenant_slots import TenantSlots

logger = logging.getLogger(__name__)

EVERY_S = 0.5
NO_EVENTS = 2**62  # above the id of every event: for watchers of the state alone

StateAndAttempt = tuple[str, int]


@dataclass(eq=False)
class JobWatcher:
    """One reader of a job's events after the id ``after``; ``known`` is the last state that ``next`` returned.

    ``update`` holds one update until ``next`` returns it. Until then nothing more is read for this watcher, so a slow
    reader makes no queue grow. ``is_refused``: the key ``key_id`` of the reader is no longer valid.
    """

    job_id: str
    after: int
    known: StateAndAttempt | None
    key_id: str
    is_refused: bool = False
    update: JobUpdate | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, found: JobUpdate) -> None:
        """Keep the part of an update that is new to this watcher, if any, and wake its reader."""
        events = tuple(event for event in found.events if event.id > self.after)
        if events or (found.state, found.attempt) != self.known:
            self.update = JobUpdate(found.state, found.attempt, events)
            self.known = (found.state, found.attempt)
            self.after = events[-1].id if events else self.after
            self.woken.set()

    async def next(self, timeout_s: float) -> JobUpdate | None:
        """Wait for an update and return it; None after ``timeout_s`` seconds, if refused, or if the service stops."""
        try:
            await asyncio.wait_for(self.woken.wait(), timeout_s)
        except TimeoutError:
            return None
        update, self.update = self.update, None
        self.woken.clear()
        return update


class JobWatch:
    """Watchers of the jobs that clients of this process follow. Without watchers there are no queries.

    ``slots`` bounds the requests that may wait at the same time. A watcher whose key is revoked or has expired is
    refused at the next poll.
    """

    def __init__(self, database: Database, slots: TenantSlots) -> None:
        self._database, self._watchers = database, set[JobWatcher]()
        self._task: asyncio.Task[None] | None = None
        self.slots = slots
        self.is_stopping = False

    @contextmanager
    def watching(
        self, job_id: str, after: int, key_id: str, known: StateAndAttempt | None = None
    ) -> Iterator[JobWatcher]:
        """Return a context manager that yields a watcher of a job and removes it at the end of the block."""
        watcher = JobWatcher(job_id, after, known, key_id)
        self._watchers.add(watcher)
        if self._task is None:
            self._task = asyncio.create_task(self._poll())
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def changed(self, caller: Principal, job_id: str, known: StateAndAttempt, timeout_s: float) -> None:
        """Wait until the state or the attempt of a job differs from ``known``, at most ``timeout_s`` seconds.

        Raises:
            TooManyRequests: as many requests wait as may.
        """
        with (
            self.slots.hold(caller.tenant_id),
            self.watching(job_id, NO_EVENTS, caller.key_id, known) as watcher,
        ):
            if not self.is_stopping:
                await watcher.next(timeout_s)

    def stop(self) -> None:
        """Wake all watchers, because the service is about to stop."""
        self.is_stopping = True
        if self._task is not None:
            self._task.cancel()
        for watcher in self._watchers:
            watcher.woken.set()

    async def _poll(self) -> None:
        try:
            while self._watchers:
                await self._poll_once()
                await asyncio.sleep(EVERY_S)
        finally:
            self._task = None

    async def _poll_once(self) -> None:
        waiting = [watcher for watcher in self._watchers if watcher.update is None]
        known: dict[str, int] = {}
        for watcher in waiting:
            known[watcher.job_id] = min(watcher.after, known.get(watcher.job_id, NO_EVENTS))
        key_ids = {watcher.key_id for watcher in self._watchers}
        try:
            found, valid = await run_sync(self._read, known, key_ids)
        except DatabaseUnreachable as error:
            logger.warning("jobs cannot be read for their watchers", extra={"reason": error.reason})
            return
        for watcher in waiting:
            if watcher.job_id in found:
                watcher.offer(found[watcher.job_id])
        for watcher in self._watchers:
            if watcher.key_id in key_ids - valid:
                watcher.is_refused = True
                watcher.woken.set()

    def _read(self, known: dict[str, int], key_ids: set[str]) -> tuple[dict[str, JobUpdate], set[str]]:
        """Return the updates of the jobs ``known``, and the valid ones of the keys."""
        with self._database.read() as session:
            return jobs.updates_since(session, known), keys.valid_ids(session, key_ids)
