"""The desk of a running job: all that it asks of the service and tells it, with the database or over HTTP behind it."""

import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from typing import Any, BinaryIO, Protocol, TypeVar, cast

from sqlalchemy.orm import Session

from app.store import artifacts, checkpoints, datasets, jobs, outcomes, panels, registry, tasks
from app.store.artifacts import PART_BYTES
from app.store.db import Database, DatabaseUnreachable
from app.store.jobs import Fenced
from app.store.outcomes import Outcome
from app.store.tables import Job, State
from app.store.tasks import Task, VersionFacts
from models.data.panel import Panel
from models.training.parallel import ParallelMap, run_sequentially

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 300.0  # with a database that does not answer; whoever takes the job over meanwhile fences this one out
RETRY_S = 1.0


class JobContext(Protocol):
    """What a job's work is given. Every method that writes raises ``Fenced`` once another attempt has the job."""

    @property
    def job(self) -> Task:
        """What is to be done."""

    @property
    def parallel_map(self) -> ParallelMap:
        """Does independent pieces of the work: here, or on other machines."""

    def load_panel(self, revision_id: int) -> Panel:
        """The whole content of a data set at a revision. Raise NotFound."""

    def load_version(self, version_id: int) -> VersionFacts:
        """What is known of a version. Raise NotFound."""

    def load_champion(self) -> VersionFacts | None:
        """The champion of the job's model, as it is now."""

    def load_bundle(self, version_id: int) -> bytes:
        """A version's bytes. Raise NotFound, CorruptBundle."""

    def report_progress(self, progress: Mapping[str, Any]) -> bool:
        """Say how far the work is (JSON values); True where the job is to be cancelled."""

    def log(self, line: str) -> None:
        """A line for who watches the job."""

    def load_checkpoint(self) -> bytes | None:
        """What was kept last, by this attempt or one before it."""

    def save_checkpoint(self, data: bytes) -> None:
        """Keep the state of the work, in place of what was kept before."""

    def open_artifact(self, name: str, media_type: str) -> AbstractContextManager[BinaryIO]:
        """A file that the job leaves behind, to be written from its beginning to its end; complete with the block."""

    def finish(self, outcome: Outcome) -> None:
        """The work is done: what it came to and the job's end become visible together."""

    def fail(self, code: str, message: str) -> None:
        """The job cannot be done; trying again would not help."""

    def mark_cancelled(self) -> None:
        """The work was stopped, for the job is to be cancelled."""


JobFunction = Callable[[JobContext], Outcome]


class DatabaseJobContext:
    """A ``JobContext`` with the database behind it; waits ``patience_s`` for one that does not answer."""

    def __init__(self, database: Database, job: Task, patience_s: float = PATIENCE_S) -> None:
        self._database, self._job, self._patience_s = database, job, patience_s
        self._stop = False

    @property
    def job(self) -> Task:
        """See ``JobContext``."""
        return self._job

    @property
    def parallel_map(self) -> ParallelMap:
        """See ``JobContext``; here, one by one."""
        return run_sequentially

    def load_panel(self, revision_id: int) -> Panel:
        """See ``JobContext``."""

        def load(session: Session) -> Panel:
            revision = datasets.revision_by_id(session, self._job.tenant_id, revision_id)
            return panels.load(session, self._job.tenant_id, revision)

        return self._read(load)

    def load_version(self, version_id: int) -> VersionFacts:
        """See ``JobContext``."""
        return self._read(lambda session: tasks.version(session, self._job.tenant_id, version_id))

    def load_champion(self) -> VersionFacts | None:
        """See ``JobContext``."""
        return self._read(lambda session: tasks.champion(session, self._job.tenant_id, self._job.model))

    def load_bundle(self, version_id: int) -> bytes:
        """See ``JobContext``."""
        return self._read(lambda session: registry.bundle(session, self._job.tenant_id, version_id))

    def report_progress(self, progress: Mapping[str, Any]) -> bool:
        """See ``JobContext``; a database that does not answer is not waited for: the next report says more."""
        try:
            with self._database.write() as session:
                self._stop = jobs.report(session, self._job.id, self._job.token, dict(progress))
        except DatabaseUnreachable as error:
            logger.warning("a report was lost", extra={"job": self._job.id, "reason": error.reason})
        return self._stop

    def log(self, line: str) -> None:
        """See ``JobContext``."""
        logger.info(line, extra={"job": self._job.id})
        self._write(lambda session: jobs.log(session, self._job.id, self._job.token, line))

    def load_checkpoint(self) -> bytes | None:
        """See ``JobContext``."""
        return self._read(lambda session: checkpoints.newest(session, self._job.id))

    def save_checkpoint(self, data: bytes) -> None:
        """See ``JobContext``."""
        self._write(lambda session: checkpoints.keep(session, self._hold(session), data))

    @contextmanager
    def open_artifact(self, name: str, media_type: str) -> Iterator[BinaryIO]:
        """See ``JobContext``."""
        begun = self._write(lambda session: artifacts.begin(session, self._hold(session), name, media_type))

        def send(number: int, data: bytes) -> None:
            self._write(lambda session: artifacts.add_part(session, self._hold(session), begun, number, data))

        parts = ArtifactWriter(send)
        yield cast(BinaryIO, parts)
        parts.end()
        facts = parts.size_bytes, parts.sha256
        self._write(lambda session: artifacts.complete(session, self._hold(session), begun, *facts))

    def finish(self, outcome: Outcome) -> None:
        """See ``JobContext``."""
        self._end("succeeded", lambda session: outcomes.settle(session, self._job, outcome))

    def fail(self, code: str, message: str) -> None:
        """See ``JobContext``."""
        own = self._job.id, self._job.token
        self._end("failed", lambda session: jobs.fail(session, *own, code, message, retry=False))

    def mark_cancelled(self) -> None:
        """See ``JobContext``."""
        self._end("cancelled", lambda session: jobs.mark_cancelled(session, self._job.id, self._job.token))

    def _end(self, state: State, end: Callable[[Session], None]) -> None:
        try:
            self._write(end)
        except Fenced:
            # Where only the answer of a commit was lost, the job is not running any more, for it ended here.
            if self._read(lambda session: jobs.ended_by(session, self._job.id, self._job.token)) != state:
                raise

    def _hold(self, session: Session) -> Job:
        return jobs.hold(session, self._job.id, self._job.token)

    def _read(self, use: Callable[[Session], T]) -> T:
        return self._patiently(self._database.read, use)

    def _write(self, use: Callable[[Session], T]) -> T:
        return self._patiently(self._database.write, use)

    def _patiently(self, begin: Callable[[], AbstractContextManager[Session]], use: Callable[[Session], T]) -> T:
        """``use`` in one transaction, again while the database does not answer."""
        end_s = time.monotonic() + self._patience_s
        while True:
            try:
                with begin() as session:
                    return use(session)
            except DatabaseUnreachable as error:
                if time.monotonic() > end_s:
                    raise
                logger.warning("the database does not answer", extra={"job": self._job.id, "reason": error.reason})
                time.sleep(RETRY_S)


class ArtifactWriter(io.RawIOBase):
    """A file to be written, sent in parts of ``PART_BYTES``; ``send`` is given their numbers, from 1, and bytes."""

    def __init__(self, send: Callable[[int, bytes], None]) -> None:
        super().__init__()
        self._send, self._buffer, self._number, self._hash = send, bytearray(), 0, sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Of all that was written, hex."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Take all of ``data``; whole parts are sent at once."""
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self.size_bytes += len(view)
        self._buffer += view
        while len(self._buffer) >= PART_BYTES:
            self._part()
        return len(view)

    def tell(self) -> int:
        """How many bytes were written."""
        return self.size_bytes

    def end(self) -> None:
        """Send what is left; not so by closing, which also happens to a file that was given up."""
        if self._buffer:
            self._part()

    def _part(self) -> None:
        self._number += 1
        self._send(self._number, bytes(self._buffer[:PART_BYTES]))
        del self._buffer[:PART_BYTES]
