"""Where jobs run: the seam between a dispatcher, which holds the leases, and whatever starts and stops processes."""

from dataclasses import dataclass
from typing import Protocol

from app.store.tables import Job

Handle = str  # an executor's own name for one attempt that it has started


@dataclass(frozen=True, slots=True)
class Running:
    """The attempt goes on."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The attempt is over, for the reason that ``code`` gives: see ``app.work.runner.ExitStatus``."""

    code: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say at the moment; its lease decides."""


Status = Running | Finished | Unknown


class Executor(Protocol):
    """Runs attempts, one ``app.work.runner`` each; called from one thread, and never waits for an attempt."""

    @property
    def outlives(self) -> bool:
        """Whether attempts go on without their dispatcher, so that the next one may adopt them."""

    def start(self, job: Job, secret: str) -> Handle:
        """Start an attempt at ``job``, as it was claimed; ``secret`` is what its runner may prove itself with.

        Starting the same attempt twice is starting it once. Raise OSError where it cannot be started.
        """

    def poll(self, handle: Handle) -> Status:
        """How the attempt is; asked some twenty times a second, and no more after it has ended."""

    def stop(self, handle: Handle, grace_s: float) -> None:
        """Ask the attempt to end, and make it end ``grace_s`` seconds later; harmless when repeated."""

    def adopt(self, job: Job) -> Handle | None:
        """The attempt under the job's token that another dispatcher has started, if it is there still."""

    def free(self) -> int:
        """How many more attempts may be started; asked at every look, so that what is kept ready can be ended, too."""

    def close(self) -> None:
        """End whatever was kept ready for further attempts."""
