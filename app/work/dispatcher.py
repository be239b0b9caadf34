"""The dispatcher: claims jobs, has an executor run each, keeps their leases, and settles how they ended."""

import hashlib
import logging
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from uuid import uuid4

from app.settings import Settings
from app.store import jobs
from app.store.db import Database, DatabaseUnreachable
from app.store.jobs import Fenced, Held, Sign
from app.store.tables import Job
from app.work.attempts import TrackedAttempt, give_back, settle
from app.work.executors import Executor, Finished, Unknown
from app.work.executors.local import LocalExecutor
from app.work.loop import poll
from app.work.processes import GRACE_S, current_identity, is_dead
from app.work.runner import ExitStatus

logger = logging.getLogger(__name__)

TICK_S = 0.05  # between two looks at the attempts; at the table it looks every ``poll_s``
NEIGHBOURS_S = 1.0  # between two looks for dispatchers of this machine that died


class Dispatcher:
    """As many jobs at a time as ``executor`` takes; ``run`` steps until it is told to stop.

    ``executor``: child processes unless given. What goes on ``grace_s`` after it was to stop is killed.
    """

    def __init__(
        self, database: Database, settings: Settings, executor: Executor | None = None, grace_s: float = GRACE_S
    ) -> None:
        self._database, self._settings = database, settings
        self._executor, self._grace_s = executor or LocalExecutor(settings), grace_s
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._holder = current_identity(uuid4().hex)
        self._resources = settings.worker_resources.split(",")
        self._attempts: list[TrackedAttempt] = []
        self._looked_s = self._neighbours_s = self._beat_s = self._quiet_until_s = -float("inf")

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return bool(self._attempts)

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; running jobs are then given back to the queue."""
        logger.info("worker started", extra={"worker": self._name})

        def step() -> float | None:
            try:
                self.step()
            except DatabaseUnreachable:
                # Every lease looks expired after an outage: give their holders one lease's time to renew it.
                self._quiet_until_s = time.monotonic() + self._settings.lease_s
                raise
            return min(TICK_S, self._settings.poll_s) if self.busy else None

        poll(step, stop, self._settings.poll_s)
        self.close()

    def step(self) -> None:
        """Look once: settle what has ended, see to what runs, claim what there is room for."""
        ended = [attempt for attempt in self._attempts if self._is_over(attempt)]
        for attempt in ended:
            settle(self._database, attempt)
            self._attempts.remove(attempt)
            logger.info("job ended", extra={"job": attempt.job.id, "exit": attempt.code})
        now_s = time.monotonic()
        if ended or now_s - self._looked_s >= self._settings.poll_s:
            self._looked_s = now_s
            self._beat(now_s)
            self._look(now_s)

    def close(self) -> None:
        """Give every job back and end what runs them; attempts that outlive this process are left to the next."""
        try:
            if self._executor.outlives:
                self._let_go()
            else:
                self._give_back()
        except DatabaseUnreachable as error:
            logger.error("jobs could not be given back; their leases will run out", extra={"reason": error.reason})
        finally:
            self._executor.close()

    def _is_over(self, attempt: TrackedAttempt) -> bool:
        if attempt.code is not None:
            return True  # its end could not be recorded yet
        status, now_s = self._executor.poll(attempt.handle), time.monotonic()
        if isinstance(status, Finished):
            attempt.code = status.code
        elif not isinstance(status, Unknown):
            attempt.known_s = now_s
        elif now_s - attempt.known_s > self._settings.lease_s:
            # Its lease has run out with nobody to say how it is: who finds the job lost does what is to be done.
            attempt.code = ExitStatus.FENCED
        return attempt.code is not None

    def _beat(self, now_s: float) -> None:
        """Keep the leases of what is known to run or waits to be settled, in one transaction."""
        every_s = self._settings.lease_s / 3
        if not self._attempts or now_s - self._beat_s < every_s:
            return
        with self._database.write() as session:
            for attempt in self._attempts:
                if now_s - attempt.known_s < every_s:
                    jobs.heartbeat(session, *attempt.name, self._settings.lease_s)
        self._beat_s = now_s

    def _look(self, now_s: float) -> None:
        """One read of the table, and what follows from it: an idle worker writes nothing and locks nothing."""
        looks_around = now_s - self._neighbours_s >= NEIGHBOURS_S
        with self._database.read() as session:
            signs = jobs.signs(session, [attempt.job.id for attempt in self._attempts])
            others = jobs.held(session) if looks_around else []
            calls = jobs.calls(session, self._resources)
        for attempt in self._attempts:
            self._attend(attempt, signs.get(attempt.job.id), now_s)
        if looks_around:
            self._neighbours_s = now_s
            self._look_around(others)
        if calls.to_reap and now_s >= self._quiet_until_s:
            self._reap()
        if self._executor.free() > 0 and (calls.to_claim or calls.to_reap):
            self._claim()

    def _attend(self, attempt: TrackedAttempt, sign: Sign | None, now_s: float) -> None:
        if sign is None or sign.token != attempt.job.token or sign.state == "queued":
            logger.info("job not held any more", extra={"job": attempt.job.id})
            self._executor.stop(attempt.handle, 0.0)
            return
        attempt.is_late = attempt.is_late or (sign.is_late and sign.state == "running")
        if attempt.unwanted_s is None and (sign.cancel_requested or sign.state != "running"):
            attempt.unwanted_s = now_s
        # What is cancelled stops by itself at its next report; for what does not, half of the grace is gone then.
        # What has recorded its end is over in a moment, unless others have ended its job while it was frozen.
        patience_s = self._grace_s / 2 if sign.state == "running" else self._grace_s
        is_slow = attempt.unwanted_s is not None and now_s - attempt.unwanted_s > patience_s
        if (is_slow or attempt.is_late) and not attempt.is_stopped:
            self._executor.stop(attempt.handle, self._grace_s / 2)
            attempt.is_stopped = True

    def _look_around(self, others: list[Held]) -> None:
        """Take back what dead dispatchers of this machine had: nobody needs to wait for their leases."""
        known = {attempt.name for attempt in self._attempts}
        for other in others:
            if other.holder is None or (other.id, other.token) in known:
                continue
            # What is ours without our knowledge was claimed, and the answer to that was lost.
            if other.holder["name"] == self._holder["name"] or is_dead(other.holder):
                self._take_back(other)

    def _take_back(self, other: Held) -> None:
        if self._adopt(other):
            return
        try:
            with self._database.write() as session:
                jobs.take_back(session, other.id, other.token)
        except Fenced:
            return  # somebody else was faster
        logger.info("job taken back from a worker that died", extra={"job": other.id})

    def _reap(self) -> None:
        with self._database.read() as session:
            lost = jobs.lost(session) if self._executor.outlives else []
        for other in lost:
            self._adopt(other)
        with self._database.write() as session:
            jobs.reap(session)

    def _adopt(self, other: Held) -> bool:
        """Go on with an attempt that has outlived its dispatcher; False where there is none."""
        if not self._executor.outlives:
            return False
        with self._database.read() as session:
            job = jobs.running(session, other.id, other.token)
        handle = None if job is None else self._executor.adopt(job)
        if job is None or handle is None:
            return False
        try:
            with self._database.write() as session:
                jobs.adopt(session, job, self._name, self._settings.lease_s, self._holder)
        except Fenced:
            return False
        logger.info("job adopted", extra={"job": job.id, "attempt": job.attempt})
        self._attempts.append(TrackedAttempt(job, handle, time.monotonic()))
        return True

    def _claim(self) -> None:
        while self._executor.free() > 0:
            secret = secrets.token_urlsafe(32)
            with self._database.write() as session:
                job = jobs.claim(
                    session,
                    self._name,
                    self._settings.lease_s,
                    resources=self._resources,
                    holder=self._holder,
                    runner_sha256=hashlib.sha256(secret.encode()).hexdigest(),
                )
            if job is None or not self._start(job, secret):
                return

    def _start(self, job: Job, secret: str) -> bool:
        try:
            handle = self._executor.start(job, secret)
        except OSError as error:
            logger.error("the job could not be started", extra={"job": job.id, "reason": str(error)})
            # It is not ours any more where finding out has taken longer than its lease.
            with suppress(Fenced), self._database.write() as session:
                jobs.fail(session, job.id, job.token, "not_started", str(error), retry=True)
            return False
        logger.info("job started", extra={"job": job.id, "attempt": job.attempt})
        self._attempts.append(TrackedAttempt(job, handle, time.monotonic()))
        return True

    def _give_back(self) -> None:
        for attempt in self._attempts:
            self._executor.stop(attempt.handle, self._grace_s)
        end_s = time.monotonic() + self._grace_s + 1.0  # the executor kills after the grace
        while self._attempts and time.monotonic() < end_s:
            for attempt in [attempt for attempt in self._attempts if self._is_over(attempt)]:
                self._attempts.remove(attempt)
                is_back = give_back(self._database, attempt)
                logger.info("job given back" if is_back else "job ended", extra={"job": attempt.job.id})
            time.sleep(TICK_S if self._attempts else 0)

    def _let_go(self) -> None:
        """Leave the attempts to whoever adopts them first."""
        with self._database.write() as session:
            for attempt in self._attempts:
                jobs.heartbeat(session, *attempt.name, 0.0)
        self._attempts.clear()
