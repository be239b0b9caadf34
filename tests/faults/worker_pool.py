"""Real worker processes on a real database, and jobs for them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from app.store import jobs
from app.store.db import Database
from app.store.jobs import NewJob
from app.store.tables import Artifact, Job, JobAttempt, Revision, Version
from tests.app.work.small_jobs import environment, eventually, keep, look, put_away, weeks

ROOT = Path(__file__).parents[2]
GRACE_S = 1.0


class WorkerPool:
    """A database with a data set, and the worker processes that were started on it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.revision: Revision = keep(database, weeks(20))
        self.workers: list[psutil.Popen] = []

    def start_worker(self, slots: int = 1, lease_s: float = 60.0) -> psutil.Popen:
        """Start a worker with so many slots."""
        url = self.database.url.render_as_string(hide_password=False)
        env = environment(database_url=url, lease_s=lease_s, poll_s=0.1, worker_slots=slots)
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process compiles all that it imports
        self.workers.append(
            psutil.Popen([sys.executable, "-m", "tests.faults.worker_process", str(GRACE_S)], env=env, cwd=ROOT)
        )
        return self.workers[-1]

    def queue(self, kind: str, request: dict[str, Any] | None = None, **changes: Any) -> Job:
        """Enqueue a job; ``changes``: more of its fields."""
        fields: dict[str, Any] = {"model": "demand", "max_attempts": 3, "created_by": "cli"}
        new = NewJob(
            tenant_id=self.revision.tenant_id,
            revision_id=self.revision.id,
            kind=kind,
            request=request or {},
            **(fields | changes),
        )
        with self.database.write() as session:
            return jobs.enqueue(session, new)

    def look(self, job: Job) -> Job:
        return look(self.database, job)

    def ended(self, job: Job) -> Job:
        """Return the job once it has ended."""
        return eventually(lambda: (found := self.look(job)).finished_at and found)

    def reached(self, job: Job, step: int) -> psutil.Process:
        """Return the process of the job, once it has done so many steps."""

        def there() -> int | None:
            progress = self.look(job).progress
            return int(progress["phase"]) if progress.get("done", 0) >= step else None

        return psutil.Process(eventually(there))

    def attempts(self, job: Job) -> list[JobAttempt]:
        with self.database.read() as session:
            return jobs.list_attempts(session, job.tenant_id, job.id, 0, 100)

    def outcomes(self, job: Job) -> list[str | None]:
        return [attempt.outcome for attempt in self.attempts(job)]

    def versions(self, *of: Job) -> list[Version]:
        with self.database.read() as session:
            return list(session.scalars(select(Version).where(Version.job_id.in_([job.id for job in of]))))

    def artifacts(self, job: Job) -> list[int]:
        """Return the tokens of the attempts whose artifacts are stored."""
        with self.database.read() as session:
            return list(session.scalars(select(Artifact.token).where(Artifact.job_id == job.id)))

    def assert_one_version(self, *of: Job) -> None:
        """Assert that each job has succeeded with a version of its own, and with the artifacts of one attempt."""
        assert sorted(version.job_id for version in self.versions(*of)) == sorted(job.id for job in of)
        for job in of:
            done = self.look(job)
            assert (done.state, done.error) == ("succeeded", None)
            assert len(self.artifacts(job)) <= 1

    def stop_all(self) -> None:
        """Kill every worker and its children."""
        for worker in self.workers:
            children = worker.children() if worker.is_running() else []
            put_away(worker)
            for child in children:
                if child.is_running():
                    child.kill()
        self.workers.clear()


@contextmanager
def worker_pool(database: Database) -> Iterator[WorkerPool]:
    """Make a pool, and stop its processes at the end of the block."""
    pool = WorkerPool(database)
    try:
        yield pool
    finally:
        pool.stop_all()
        database.dispose()


def log_of(file: Path, word: str = "begin") -> Sequence[str]:
    """Return the jobs that the log of the job functions names with ``word``."""
    lines = [line.split() for line in file.read_text().splitlines()]
    return [job for said, job, *_ in lines if said == word]
