"""The dispatcher: claims jobs, runs each in a fresh child process, keeps its lease, and settles how it ended."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError

from app.settings import Settings
from app.store import jobs
from app.store.db import Database
from app.store.jobs import Fenced
from app.store.tables import Job

logger = logging.getLogger(__name__)

GRACE_S = 10.0  # between asking a child to stop and killing it

Launch = Callable[[Job, Settings], "subprocess.Popen[bytes]"]


@dataclass(slots=True, eq=False)
class Running:
    """A job and its child process."""

    job: Job
    process: subprocess.Popen[bytes]
    beat_s: float  # when the lease was last extended, monotonic
    cancel_s: float | None = None  # when its cancellation was first seen


class Dispatcher:
    """One job at a time, one step at a time; ``run`` steps until it is told to stop.

    ``launch`` starts the child process of a job; one that goes on ``grace_s`` after it was to stop is killed.
    """

    def __init__(
        self, database: Database, settings: Settings, launch: Launch | None = None, grace_s: float = GRACE_S
    ) -> None:
        self._database, self._settings = database, settings
        self._launch, self._grace_s = launch or start, grace_s
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._running: Running | None = None
        self._quiet_until_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; a running job is then given back to the queue."""
        logger.info("worker started", extra={"worker": self._name})
        away = False
        while not stop.is_set():
            try:
                self.step()
                away = False
            except OperationalError as error:
                # Every lease looks expired after an outage: give their holders one lease's time to show up.
                self._quiet_until_s = time.monotonic() + self._settings.lease_s
                if not away:  # said once for each outage
                    logger.error("the database does not answer", extra={"reason": str(error.orig)})
                away = True
            stop.wait(self._settings.poll_s)
        self._give_back()

    def step(self) -> None:
        """Look once: claim a job if idle, else see to the one that runs."""
        if self._running is None:
            self._claim()
        elif self._running.process.poll() is None:
            self._attend(self._running)
        else:
            self._settle(self._running)
            close(self._running.process)
            self._running = None
            self._claim()

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._running is not None

    def _claim(self) -> None:
        if time.monotonic() < self._quiet_until_s:
            return
        with self._database.write() as session:
            jobs.reap(session)
            job = jobs.claim(session, self._name, self._settings.lease_s)
        if job is not None:
            logger.info("job started", extra={"job": job.id, "attempt": job.attempt})
            self._running = Running(job, self._launch(job, self._settings), time.monotonic())

    def _attend(self, running: Running) -> None:
        now_s = time.monotonic()
        if now_s - running.beat_s >= self._settings.lease_s / 3:
            with self._database.write() as session:
                held = jobs.heartbeat(session, running.job.id, running.job.token, self._settings.lease_s)
            running.beat_s = now_s
            if not held:
                # Taken over, or finished this very moment.
                logger.info("job not held any more", extra={"job": running.job.id})
                running.process.kill()
        if running.cancel_s is None and self._cancel_requested(running.job):
            running.cancel_s = now_s
        # The child stops by itself at its next report; one that hangs is killed.
        if running.cancel_s is not None and now_s - running.cancel_s > self._grace_s:
            running.process.kill()

    def _cancel_requested(self, job: Job) -> bool:
        with self._database.read() as session:
            return jobs.get(session, job.tenant_id, job.id).cancel_requested

    def _settle(self, running: Running) -> None:
        """Record the end of a child that did not record it itself; a fenced or finished job is left alone."""
        code = running.process.returncode
        ended = "by signal " + str(-code) if code < 0 else f"with exit status {code}"
        message = f"the training process ended {ended}; see the worker's log"
        try:
            with self._database.write() as session:
                if running.cancel_s is not None:
                    jobs.mark_cancelled(session, running.job.id, running.job.token)
                else:
                    jobs.fail(session, running.job.id, running.job.token, "crashed", message, retry=True)
        except Fenced:
            pass
        logger.info("job ended", extra={"job": running.job.id, "exit": code})

    def _give_back(self) -> None:
        if self._running is None:
            return
        running, self._running = self._running, None
        end(running.process, self._grace_s)
        try:
            with self._database.write() as session:
                jobs.release(session, running.job.id, running.job.token)
        except Fenced:
            return  # it ended in the meantime
        logger.info("job given back", extra={"job": running.job.id})


def start(job: Job, settings: Settings) -> subprocess.Popen[bytes]:
    """The child process that runs ``job``; it ends when this process does."""
    # -P: the working folder is the user's, and may hold an app.py or a models folder of its own.
    command = [sys.executable, "-P", "-m", "app.work.runner", str(job.tenant_id), job.id, str(job.token)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment(settings))  # noqa: S603 - our own module


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which a child process reads the same settings."""
    own = {f"FORECASTLE_{name.upper()}": str(value) for name, value in settings if value is not None}
    return {**os.environ, **own, "FORECASTLE_DATA_DIR": str(settings.data_dir.absolute())}


def end(process: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """Ask ``process`` to end, and kill it if it does not."""
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    close(process)


def close(process: subprocess.Popen[bytes]) -> None:
    """Close this side of the pipe to a process that has ended."""
    if process.stdin is not None:
        process.stdin.close()
