"""Files of jobs: bounded in bytes, by file and by tenant, and kept for a time."""

import pytest
from sqlalchemy import select

from app.problems import NotFound, QuotaExceeded
from app.store import artifacts, jobs
from app.store.artifacts import NewPart
from app.store.db import Database
from app.store.job_limits import JobLimits, stored_bytes
from app.store.tables import Artifact, ArtifactPart, Job, Revision
from models.errors import InputError
from tests.app.store.conftest import new_job

LIMITS = JobLimits(max_file_bytes=10, max_stored_bytes=15)


def begin(database: Database, revision: Revision) -> tuple[Job, int]:
    """Return a running job and the id of the file that it has begun."""
    with database.write() as session:
        jobs.enqueue(session, new_job(revision))
        job = jobs.claim(session, "w1", 60.0)
        assert job is not None
        return job, artifacts.begin(session, job, "forecast.csv", "text/csv")


def add(database: Database, job: Job, file: int, number: int, data: bytes) -> None:
    with database.write() as session:
        artifacts.add_part(session, job, NewPart(file, number, data), LIMITS)


def finish(database: Database, job: Job, file: int, size_bytes: int) -> None:
    with database.write() as session:
        artifacts.complete(session, job, file, size_bytes, "0" * 64)
        jobs.finish(session, job.id, job.token, None)


def test_a_file_grows_to_its_limit_and_a_part_that_is_sent_again_counts_once(
    database: Database, sales: Revision
) -> None:
    job, file = begin(database, sales)
    for _ in range(2):
        add(database, job, file, 1, b"12345678")
    add(database, job, file, 2, b"90")
    with pytest.raises(InputError, match=r"forecast.csv has more than 10 bytes; .*FORECASTLE_MAX_ARTIFACT_BYTES"):
        add(database, job, file, 3, b"1")
    with database.read() as session:
        assert stored_bytes(session, sales.tenant_id) == 10


def test_the_files_of_one_tenant_have_a_limit_that_others_do_not_feel(
    database: Database, sales: Revision, rival: int
) -> None:
    first, second = begin(database, sales), begin(database, sales)
    add(database, *first, 1, b"1234567890")
    add(database, *second, 1, b"12345")
    with pytest.raises(QuotaExceeded, match="have 15 bytes, and 15 are allowed"):
        add(database, *second, 2, b"6")
    with database.read() as session:
        assert stored_bytes(session, rival) == 0


def test_a_deleted_file_makes_room_and_its_job_stays(database: Database, acme: int, sales: Revision) -> None:
    job, file = begin(database, sales)
    add(database, job, file, 1, b"1234567890")
    finish(database, job, file, 10)
    with database.write() as session:
        artifacts.delete_one(session, jobs.get(session, acme, job.id), "forecast.csv", "cli")
    with database.read() as session:
        assert session.scalars(select(ArtifactPart)).all() == []
        assert stored_bytes(session, acme) == 0
        assert jobs.get(session, acme, job.id).state == "succeeded"
        with pytest.raises(NotFound, match="its artifacts: none"):
            artifacts.get(session, jobs.get(session, acme, job.id), "forecast.csv")


def test_files_of_jobs_that_ended_long_ago_are_forgotten_a_few_at_a_time(database: Database, sales: Revision) -> None:
    running, unfinished = begin(database, sales)
    for _ in range(3):
        job, file = begin(database, sales)
        finish(database, job, file, 0)
    with database.write() as session:
        assert artifacts.forget(session, 1e6, 10) == 0
        assert [artifacts.forget(session, -1.0, 2) for _ in range(3)] == [2, 1, 0]
        assert session.scalars(select(Artifact.id)).all() == [unfinished]
    add(database, running, unfinished, 1, b"1")
