"""Executors: they start and stop the processes of attempts, for a dispatcher that holds the leases."""

from dataclasses import dataclass
from typing import Protocol

from app.store.tables import Job

Handle = str  # an executor's own name for one attempt that it has started


@dataclass(frozen=True, slots=True)
class Running:
    """The status of an attempt that is running."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The status of an attempt that is over; ``code`` is its exit status: see ``app.work.runner.ExitStatus``."""

    code: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """The status of an attempt that the executor cannot reach now; it counts as lost when its lease expires."""


Status = Running | Finished | Unknown


class Executor(Protocol):
    """Starts attempts, each in a process of its own; called from one thread, and never waits for an attempt."""

    @property
    def outlives(self) -> bool:
        """Whether attempts survive the end of their dispatcher, so that the next dispatcher can adopt them."""

    def start(self, job: Job, secret: str) -> Handle:
        """Start an attempt at ``job``, as it was claimed; its process may authenticate itself with ``secret``.

        Starting the same attempt twice starts it once. Raise OSError if it cannot be started.
        """

    def poll(self, handle: Handle) -> Status:
        """Return the status of the attempt; called some twenty times a second, and not again after ``Finished``."""

    def stop(self, handle: Handle, grace_s: float) -> None:
        """Ask the attempt to end, and kill it ``grace_s`` seconds later; harmless when repeated."""

    def adopt(self, job: Job) -> Handle | None:
        """Return the attempt under the job's token that another dispatcher has started; None if it is gone."""

    def free(self) -> int:
        """Return how many more attempts may be started, and end processes that have been idle for too long."""

    def close(self) -> None:
        """End the idle processes."""
