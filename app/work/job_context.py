"""The context of a running job: the job itself, the data it reads, and its reports to the service.

``DatabaseJobContext`` works beside the database; ``HttpJobContext``, in its own module, over the service's API.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, Protocol, TypeVar, cast

from sqlalchemy.orm import Session

from app.store import artifacts, checkpoints, datasets, jobs, outcomes, panels, registry, tasks
from app.store.db import Database, DatabaseUnreachable
from app.store.job_limits import DEFAULT_LIMITS, JobLimits
from app.store.jobs import Fenced, JobProgress
from app.store.outcomes import Outcome
from app.store.tables import Job, State
from app.store.tasks import Task, VersionFacts
from app.work.artifact_writer import ArtifactWriter
from app.work.loop import retry
from models.data.lengths import SeriesLengths
from models.data.panel import Panel
from models.training.parallel import ParallelMap, run_sequentially

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 300.0  # with an unreachable database; an attempt that takes the job over meanwhile fences this one
RETRY_S = 1.0


class JobContext(Protocol):
    """The view that a job's function has of the service; every method that writes raises ``Fenced`` once another
    attempt has the job."""

    @property
    def job(self) -> Task:
        """The job and the attempt at it."""

    @property
    def limits(self) -> JobLimits:
        """The limits of the job's output and arithmetic."""

    @property
    def parallel_map(self) -> ParallelMap:
        """The function that runs independent pieces of the work, here or on other machines."""

    def load_panel(self, revision_id: int) -> Panel:
        """Return the whole content of a data set at a revision. Raise NotFound."""

    def series_lengths(self, revision_id: int) -> SeriesLengths:
        """Return the lengths of the series of a data set at a revision, which is loaded once. Raise NotFound."""

    def load_version(self, version_id: int) -> VersionFacts:
        """Return a version without its bytes. Raise NotFound."""

    def load_champion(self) -> VersionFacts | None:
        """Return the present champion of the job's model; None if it has none."""

    def load_bundle(self, version_id: int) -> bytes:
        """Return the bytes of a version. Raise NotFound, CorruptBundle."""

    def report_progress(self, progress: JobProgress) -> bool:
        """Store the progress of the job, and return whether its cancellation was requested.

        Does not wait for an unreachable service: the report is lost, and the next one replaces it.
        """

    def log(self, line: str) -> None:
        """Append a line to the job's events."""

    def load_checkpoint(self) -> bytes | None:
        """Return the newest checkpoint, of this attempt or an earlier one; None if there is none."""

    def save_checkpoint(self, data: bytes) -> None:
        """Store the state of the work in place of the previous checkpoint."""

    def open_artifact(self, name: str, media_type: str) -> AbstractContextManager[BinaryIO]:
        """Open a file of the job's result, to be written once from its beginning; the end of the block completes it."""

    def finish(self, outcome: Outcome) -> None:
        """End the job as succeeded and store its outcome, in one transaction."""

    def fail(self, code: str, message: str) -> None:
        """End the job as failed, without another attempt."""

    def mark_cancelled(self) -> None:
        """End the job as cancelled."""


JobFunction = Callable[[JobContext], Outcome]


class DatabaseJobContext:
    """A ``JobContext`` on the database. It waits up to ``patience_s`` seconds for an unreachable one, then raises
    ``DatabaseUnreachable``."""

    def __init__(
        self, database: Database, job: Task, patience_s: float = PATIENCE_S, limits: JobLimits = DEFAULT_LIMITS
    ) -> None:
        self._database, self._job, self._patience_s, self._limits = database, job, patience_s, limits
        self._stop = False
        self._lengths: dict[int, SeriesLengths] = {}

    @property
    def job(self) -> Task:
        return self._job

    @property
    def limits(self) -> JobLimits:
        return self._limits

    @property
    def parallel_map(self) -> ParallelMap:
        return run_sequentially

    def load_panel(self, revision_id: int) -> Panel:
        def load(session: Session) -> Panel:
            revision = datasets.revision_by_id(session, self._job.tenant_id, revision_id)
            return panels.load(session, self._job.tenant_id, revision)

        return self._read(load)

    def series_lengths(self, revision_id: int) -> SeriesLengths:
        if revision_id not in self._lengths:
            self._lengths[revision_id] = SeriesLengths.of(self.load_panel(revision_id))
        return self._lengths[revision_id]

    def load_version(self, version_id: int) -> VersionFacts:
        return self._read(lambda session: tasks.version(session, self._job.tenant_id, version_id))

    def load_champion(self) -> VersionFacts | None:
        return self._read(lambda session: tasks.champion(session, self._job.tenant_id, self._job.model))

    def load_bundle(self, version_id: int) -> bytes:
        return self._read(lambda session: registry.bundle(session, self._job.tenant_id, version_id))

    def report_progress(self, progress: JobProgress) -> bool:
        try:
            with self._database.write() as session:
                self._stop = jobs.report(session, self._job.id, self._job.token, progress.to_json())
        except DatabaseUnreachable as error:
            logger.warning("a progress report was not stored", extra={"job": self._job.id, "reason": error.reason})
        return self._stop

    def log(self, line: str) -> None:
        logger.info(line, extra={"job": self._job.id})
        self._write(lambda session: jobs.log(session, self._job.id, self._job.token, line))

    def load_checkpoint(self) -> bytes | None:
        return self._read(lambda session: checkpoints.load(session, self._job.id))

    def save_checkpoint(self, data: bytes) -> None:
        self._write(lambda session: checkpoints.save(session, self._hold(session), data))

    @contextmanager
    def open_artifact(self, name: str, media_type: str) -> Iterator[BinaryIO]:
        artifact_id = self._write(lambda session: artifacts.begin(session, self._hold(session), name, media_type))

        def send(number: int, data: bytes) -> None:
            part = artifacts.NewPart(artifact_id, number, data)
            self._write(lambda session: artifacts.add_part(session, self._hold(session), part, self._limits))

        writer = ArtifactWriter(send)
        yield cast(BinaryIO, writer)
        writer.end()
        facts = writer.size_bytes, writer.sha256
        self._write(lambda session: artifacts.complete(session, self._hold(session), artifact_id, *facts))

    def finish(self, outcome: Outcome) -> None:
        self._end("succeeded", lambda session: outcomes.finish_job(session, self._job, outcome))

    def fail(self, code: str, message: str) -> None:
        own = self._job.id, self._job.token
        self._end("failed", lambda session: jobs.fail(session, *own, code, message, retry=False))

    def mark_cancelled(self) -> None:
        self._end("cancelled", lambda session: jobs.mark_cancelled(session, self._job.id, self._job.token))

    def _end(self, state: State, end: Callable[[Session], None]) -> None:
        try:
            self._write(end)
        except Fenced:
            # If only the answer to the commit was lost, the job is not running any more, because it ended here.
            if self._read(lambda session: jobs.ended_by(session, self._job.id, self._job.token)) != state:
                raise

    def _hold(self, session: Session) -> Job:
        return jobs.hold(session, self._job.id, self._job.token)

    def _read(self, use: Callable[[Session], T]) -> T:
        return self._transact(self._database.read, use)

    def _write(self, use: Callable[[Session], T]) -> T:
        return self._transact(self._database.write, use)

    def _transact(self, begin: Callable[[], AbstractContextManager[Session]], use: Callable[[Session], T]) -> T:
        """Return the result of ``use`` in one transaction, which is repeated while the database is unreachable."""

        def once() -> T:
            with begin() as session:
                return use(session)

        return retry(once, DatabaseUnreachable, self._patience_s, RETRY_S)
