"""One attempt at a job, and the exit status for each way in which it ends."""

import pytest

from app.problems import CorruptBundle, NotFound
from app.store import jobs
from app.store.db import Database
from app.store.outcomes import Outcome
from app.store.tables import Job, Revision
from app.work.job_context import JobContext
from app.work.runner import ExitStatus, code_of
from models.errors import (
    BundleError,
    Cancelled,
    Diverged,
    EngineMismatch,
    Fault,
    ForecastError,
    InputError,
    ModelBroken,
    SpecError,
)
from tests.app.work.small_jobs import claim, look, queue, work_on

FAULT = Fault(code="too_short", message="the longest series has 9 points", hint="send longer series")


class FaultyJob:
    """A job function that raises ``error``, or succeeds; with ``stolen`` another worker takes the job over first."""

    def __init__(self, error: Exception | None = None, *, stolen: bool = False) -> None:
        self.error, self.stolen = error, stolen

    def do(self, database: Database, job: Job) -> ExitStatus:
        def work(context: JobContext) -> Outcome:
            if self.stolen:
                with database.write() as session:
                    jobs.release(session, job.id, job.token)
                claim(database, "w2")
            if self.error is not None:
                raise self.error
            return Outcome(result={"found": 7})

        return work_on(database, job, work)


@pytest.fixture(name="job")
def job_fixture(database: Database, sales: Revision) -> Job:
    queue(database, sales)
    return claim(database)


def test_the_result_of_a_function_is_stored_with_its_job(database: Database, job: Job) -> None:
    assert FaultyJob().do(database, job) == ExitStatus.DONE
    done = look(database, job)
    assert (done.state, done.result, done.version_id) == ("succeeded", {"found": 7}, None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError([FAULT]), "invalid_input"),
        (SpecError([FAULT]), "invalid_input"),
        (Diverged("the loss became nan in epoch 3; lower learning_rate"), "diverged"),
        (EngineMismatch("the engines differ by 1.00e-03"), "engine_mismatch"),
        (BundleError("the bundle's header cannot be read"), "failed"),
        (ModelBroken("the network gave NaN"), "failed"),
    ],
)
def test_each_error_has_its_code(error: ForecastError, code: str) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize("error", [InputError([FAULT]), Diverged("the loss became nan")], ids=["input", "diverged"])
def test_an_error_of_the_job_itself_fails_it_at_once(database: Database, job: Job, error: ForecastError) -> None:
    assert FaultyJob(error).do(database, job) == ExitStatus.REFUSED
    failed = look(database, job)
    assert (failed.state, failed.attempt, failed.max_attempts) == ("failed", 1, 3)
    assert failed.error == {"code": code_of(error), "message": str(error), "class": "job"}


@pytest.mark.parametrize(
    ("error", "code"),
    [(NotFound("no version with the id 7"), "not_found"), (CorruptBundle("version 7 is damaged"), "corrupt_bundle")],
)
def test_a_missing_or_damaged_input_fails_the_job_at_once(
    database: Database, job: Job, error: Exception, code: str
) -> None:
    assert FaultyJob(error).do(database, job) == ExitStatus.REFUSED
    failed = look(database, job)
    assert (failed.state, failed.error) == ("failed", {"code": code, "message": str(error), "class": "job"})


def test_cancelled_work_ends_its_job(database: Database, job: Job) -> None:
    assert FaultyJob(Cancelled("asked")).do(database, job) == ExitStatus.CANCELLED
    assert look(database, job).state == "cancelled"


@pytest.mark.parametrize("error", [None, Cancelled("asked"), Diverged("nan")], ids=["done", "cancelled", "diverged"])
def test_a_job_taken_over_is_left_alone_however_the_work_ended(
    database: Database, job: Job, error: Exception | None
) -> None:
    assert FaultyJob(error, stolen=True).do(database, job) == ExitStatus.FENCED
    theirs = look(database, job)
    assert (theirs.state, theirs.worker, theirs.token, theirs.error) == ("running", "w2", 2, None)


def test_an_unexpected_error_leaves_the_job_running_for_the_dispatcher(database: Database, job: Job) -> None:
    with pytest.raises(ZeroDivisionError):
        FaultyJob(ZeroDivisionError()).do(database, job)
    assert look(database, job).state == "running"
