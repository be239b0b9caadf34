"""The dispatcher: claims jobs, starts each in an executor, renews their leases, and records their ends."""

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
from app.store.jobs import Fenced, HeldJob, JobChoice, JobStatus
from app.store.tables import Job
from app.work.attempts import TrackedAttempt, put_back, settle
from app.work.executors import Executor, Finished, Unknown
from app.work.executors.local import LocalExecutor
from app.work.loop import poll
from app.work.processes import GRACE_S, current_identity, is_dead
from app.work.runner import ExitStatus

logger = logging.getLogger(__name__)

TICK_S = 0.05  # between two polls of the executor; the table of jobs is read every ``poll_s``
NEIGHBOURS_S = 1.0  # between two searches for dispatchers of this machine that died


class Dispatcher:
    """Runs as many jobs at a time as ``executor`` takes: child processes unless given.

    An attempt that still runs ``grace_s`` seconds after it was asked to stop is killed. With ``only``, the id of a job,
    it claims no other job.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        executor: Executor | None = None,
        grace_s: float = GRACE_S,
        only: str | None = None,
    ) -> None:
        self._database, self._settings = database, settings
        self._executor, self._grace_s = executor or LocalExecutor(settings), grace_s
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._holder = current_identity(uuid4().hex)
        # The setting divides the queue among workers; the caller with ``only`` has chosen its job itself.
        resources = settings.worker_resources.split(",") if only is None else jobs.RESOURCES
        self._choice = JobChoice(resources, only)
        self._attempts: list[TrackedAttempt] = []
        self._looked_s = self._neighbours_s = self._beat_s = self._quiet_until_s = -float("inf")
        self._clock_ahead_s = float("inf")  # the database's clock, of this process's

    @property
    def busy(self) -> bool:
        """Whether any job runs."""
        return bool(self._attempts)

    def run(self, stop: threading.Event) -> None:
        """Run jobs until ``stop`` is set, then put the running ones back into the queue."""
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
        """Record the attempts that have ended, renew the leases of the others, and claim jobs for free slots."""
        ended = [attempt for attempt in self._attempts if self._is_over(attempt)]
        for attempt in ended:
            settle(self._database, attempt)
            self._attempts.remove(attempt)
            logger.info("job ended", extra={"job": attempt.job.id, "exit": attempt.code})
        now_s = time.monotonic()
        if ended or now_s - self._looked_s >= self._settings.poll_s:
            self._looked_s = now_s
            self._renew_leases(now_s)
            self._read_table(now_s)

    def close(self) -> None:
        """Put every job back into the queue and end its process, but leave attempts that outlive this process."""
        try:
            if self._executor.outlives:
                with (
                    self._database.write() as session
                ):  # let the leases expire, so that the next dispatcher adopts them
                    for attempt in self._attempts:
                        jobs.heartbeat(session, *attempt.name, 0.0)
                self._attempts.clear()
            else:
                self._put_back()
        except DatabaseUnreachable as error:
            logger.error(
                "jobs were not put back into the queue; their leases will expire", extra={"reason": error.reason}
            )
        finally:
            self._executor.close()

    def _is_over(self, attempt: TrackedAttempt) -> bool:
        if attempt.code is not None:
            return True  # the database was unreachable when its end was to be recorded
        status, now_s = self._executor.poll(attempt.handle), time.monotonic()
        if isinstance(status, Finished):
            attempt.code = status.code
        elif not isinstance(status, Unknown):
            attempt.known_s = now_s
        elif now_s - attempt.known_s > self._settings.lease_s:
            # Its lease has expired while the executor knows nothing of it: the dispatcher that reaps it takes over.
            attempt.code = ExitStatus.FENCED
        return attempt.code is not None

    def _renew_leases(self, now_s: float) -> None:
        """Renew the leases of the attempts that run, or whose end is not recorded yet, in one transaction."""
        every_s = self._settings.lease_s / 3
        if not self._attempts or now_s - self._beat_s < every_s:
            return
        with self._database.write() as session:
            for attempt in self._attempts:
                if now_s - attempt.known_s < every_s:
                    jobs.heartbeat(session, *attempt.name, self._settings.lease_s)
        self._beat_s = now_s

    def _read_table(self, now_s: float) -> None:
        """Read the table of jobs once and act on it, so that an idle worker writes nothing and locks nothing."""
        is_search_due = now_s - self._neighbours_s >= NEIGHBOURS_S
        with self._database.read() as session:
            signs = jobs.statuses(session, [attempt.job.id for attempt in self._attempts], self._settings.max_job_s)
            held = jobs.list_held(session) if is_search_due else []
            calls = jobs.pending_work(session, self._choice)
        for attempt in self._attempts:
            self._check(attempt, signs.get(attempt.job.id), now_s)
        if is_search_due:
            self._neighbours_s = now_s
            self._take_back_dead(held)
        self._watch_clock(calls.moment.timestamp() - now_s, now_s)
        if calls.to_reap and now_s >= self._quiet_until_s:
            self._reap()
        if self._executor.free() > 0 and (calls.to_claim or calls.to_reap):
            self._claim()

    def _watch_clock(self, ahead_s: float, now_s: float) -> None:
        """Reap nothing for one lease if the database's clock was set forward: holders renew their leases meanwhile."""
        if ahead_s - self._clock_ahead_s > self._settings.lease_s / 3:
            logger.warning("the clock of the database was set forward; no job is taken over for one lease")
            self._quiet_until_s = now_s + self._settings.lease_s
        self._clock_ahead_s = ahead_s

    def _check(self, attempt: TrackedAttempt, sign: JobStatus | None, now_s: float) -> None:
        """Stop an attempt that has lost its job, is late, or does not react to its cancellation."""
        if sign is None or sign.token != attempt.job.token or sign.state == "queued":
            logger.info("the attempt has lost its job", extra={"job": attempt.job.id})
            self._executor.stop(attempt.handle, 0.0)
            return
        attempt.is_late = attempt.is_late or (sign.is_late and sign.state == "running")
        if attempt.unwanted_s is None and (sign.cancel_requested or sign.state != "running"):
            attempt.unwanted_s = now_s
        # A cancelled attempt stops by itself at its next report; one that does not has used half of its grace by then.
        # An attempt that has recorded its end exits at once, unless another process ended its job while it was frozen.
        patience_s = self._grace_s / 2 if sign.state == "running" else self._grace_s
        is_slow = attempt.unwanted_s is not None and now_s - attempt.unwanted_s > patience_s
        if (is_slow or attempt.is_late) and not attempt.is_stopped:
            self._executor.stop(attempt.handle, self._grace_s / 2)
            attempt.is_stopped = True

    def _take_back_dead(self, others: list[HeldJob]) -> None:
        """Take back the jobs of dead dispatchers of this machine without waiting for their leases."""
        known = {attempt.name for attempt in self._attempts}
        for other in others:
            if other.holder is None or (other.id, other.token) in known:
                continue
            # A job under our own name that we do not know was claimed here, and the answer to the claim was lost.
            is_lost = other.holder["name"] == self._holder["name"] or is_dead(other.holder)
            if not is_lost or self._adopt(other):
                continue
            with suppress(Fenced):  # another dispatcher was faster
                with self._database.write() as session:
                    jobs.take_back(session, other.id, other.token)
                logger.info("job taken back from a worker that died", extra={"job": other.id})

    def _reap(self) -> None:
        with self._database.read() as session:
            lost = jobs.list_lost(session) if self._executor.outlives else []
        for other in lost:
            self._adopt(other)
        with self._database.write() as session:
            jobs.reap(session)

    def _adopt(self, other: HeldJob) -> bool:
        """Track an attempt that has outlived its dispatcher; return False if there is none."""
        if not self._executor.outlives:
            return False
        with self._database.read() as session:
            job = jobs.find_running(session, other.id, other.token)
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
                    choice=self._choice,
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
            # Fenced: the failed start has taken longer than the lease.
            with suppress(Fenced), self._database.write() as session:
                jobs.fail(session, job.id, job.token, "not_started", str(error), retry=True)
            return False
        logger.info("job started", extra={"job": job.id, "attempt": job.attempt})
        self._attempts.append(TrackedAttempt(job, handle, time.monotonic()))
        return True

    def _put_back(self) -> None:
        for attempt in self._attempts:
            self._executor.stop(attempt.handle, self._grace_s)
        end_s = time.monotonic() + self._grace_s + 1.0  # the executor kills after the grace
        while self._attempts and time.monotonic() < end_s:
            for attempt in [attempt for attempt in self._attempts if self._is_over(attempt)]:
                self._attempts.remove(attempt)
                is_back = put_back(self._database, attempt)
                logger.info("job put back into the queue" if is_back else "job ended", extra={"job": attempt.job.id})
            time.sleep(TICK_S if self._attempts else 0)
