"""The job context on the database: artifacts in parts, checkpoints, and outages of the database."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import sha256

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.store import artifacts, checkpoints, jobs
from app.store.artifacts import PART_BYTES
from app.store.db import Database, DatabaseUnreachable
from app.store.jobs import Fenced, JobProgress
from app.store.outcomes import Outcome
from app.store.tables import Artifact, ArtifactPart, Job, JobCheckpoint, JobEvent, Revision
from app.work.checkpoints import SAVE_EVERY_S, CheckpointSchedule, open_checkpoint
from app.work.job_context import DatabaseJobContext
from app.work.runner import ExitStatus
from app.work.train import train
from models.training.checkpoint import CheckpointEntry
from tests.app.work.small_jobs import cancel, claim, context_of, keep, look, queue, versions, weeks, work_on
from tests.postgres import read_only, stopped


def counts(database: Database) -> tuple[int, int, int]:
    """Return the numbers of artifacts, of their parts, and of checkpoints."""
    with database.read() as session:
        tables = (Artifact, ArtifactPart, JobCheckpoint)
        return tuple(session.scalars(select(func.count()).select_from(table)).one() for table in tables)  # type: ignore[return-value]


def take_over(database: Database, job: Job) -> Job:
    """Have another worker claim the job."""
    with database.write() as session:
        jobs.release(session, job.id, job.token)
    return claim(database, "w2")


def test_an_artifact_is_stored_in_parts_and_visible_when_its_job_is_done(database: Database, sales: Revision) -> None:
    queue(database, sales)
    job = claim(database)
    context = context_of(database, job)
    data = bytes(range(256)) * (PART_BYTES // 256) + b"the end"
    with context.open_artifact("all.bin", "application/octet-stream") as file:
        for begin in range(0, len(data), 1_000_000):
            file.write(data[begin : begin + 1_000_000])
    with database.read() as session:
        assert artifacts.list_of_job(session, jobs.get(session, job.tenant_id, job.id)) == []
    context.finish(Outcome(result={"files": 1}))
    with database.read() as session:
        [row] = artifacts.list_of_job(session, jobs.get(session, job.tenant_id, job.id))
        parts = [artifacts.read_part(session, row.id, number) for number in (1, 2, 3)]
    assert (row.name, row.size_bytes, row.sha256) == ("all.bin", len(data), sha256(data).hexdigest())
    assert parts == [data[:PART_BYTES], b"the end", None]


def test_only_the_artifacts_of_the_last_attempt_are_kept(database: Database, sales: Revision) -> None:
    queue(database, sales)
    first = claim(database)
    lost = context_of(database, first)
    with lost.open_artifact("a.csv", "text/csv") as file:
        file.write(b"first")
    second = context_of(database, take_over(database, first))
    with pytest.raises(Fenced), lost.open_artifact("b.csv", "text/csv"):
        pass
    with second.open_artifact("a.csv", "text/csv") as file:
        file.write(b"second")
    with suppress(ZeroDivisionError), second.open_artifact("half.csv", "text/csv") as file:
        file.write(b"x" * 1_000)
        raise ZeroDivisionError
    assert counts(database) == (3, 2, 0)
    second.finish(Outcome())
    assert counts(database) == (1, 1, 0)
    with database.read() as session:
        row = artifacts.get(session, jobs.get(session, first.tenant_id, first.id), "a.csv")
        assert artifacts.read_part(session, row.id, 1) == b"second"


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_failed_or_cancelled_job_leaves_no_bytes(database: Database, sales: Revision, end: str) -> None:
    queue(database, sales)
    job = claim(database)
    context = context_of(database, job)
    with context.open_artifact("a.csv", "text/csv") as file:
        file.write(b"1")
    context.save_checkpoint(b"state")
    assert counts(database) == (1, 1, 1)
    if end == "failed":
        context.fail("invalid_input", "too short")
    else:
        cancel(database, job)
        context.mark_cancelled()
    assert look(database, job).state == end
    assert counts(database) == (0, 0, 0)


def test_the_next_attempt_finds_the_newest_checkpoint(database: Database, sales: Revision) -> None:
    queue(database, sales)
    first = claim(database)
    context = context_of(database, first)
    assert context.load_checkpoint() is None
    context.save_checkpoint(b"epoch 1")
    context.save_checkpoint(b"epoch 2")
    second = context_of(database, take_over(database, first))
    assert second.load_checkpoint() == b"epoch 2"
    with pytest.raises(Fenced):
        context.save_checkpoint(b"epoch 3, by one that was thought dead")
    assert second.load_checkpoint() == b"epoch 2"
    second.finish(Outcome())
    assert counts(database) == (0, 0, 0)


def test_a_checkpoint_whose_bytes_have_changed_is_ignored(sqlite: Database) -> None:
    queue(sqlite, keep(sqlite, weeks()))
    job = claim(sqlite)
    context_of(sqlite, job).save_checkpoint(b"state")
    with sqlite.write() as session:
        session.get_one(JobCheckpoint, job.id).data = b"other"
    with sqlite.read() as session:
        assert checkpoints.load(session, job.id) is None


def log_of(database: Database, job: Job) -> list[str]:
    with database.read() as session:
        events = session.scalars(
            select(JobEvent).where(JobEvent.job_id == job.id, JobEvent.kind == "log").order_by(JobEvent.id)
        )
        return [event.data["line"] for event in events.all()]


def test_a_checkpoint_of_another_release_is_ignored_and_logged(sqlite: Database) -> None:
    queue(sqlite, keep(sqlite, weeks()))
    job = claim(sqlite)
    context = context_of(sqlite, job)
    context.save_checkpoint(b"pickled by somebody")
    assert open_checkpoint(context).find_all("") == []
    [line] = log_of(sqlite, job)
    assert line.startswith("the checkpoint is ignored, and the work starts over: the bytes begin with b'pickled")


def test_storing_checkpoints_takes_at_most_a_twentieth_of_the_time(sqlite: Database) -> None:
    queue(sqlite, keep(sqlite, weeks()))
    now_s = 0.0

    class Slow(DatabaseJobContext):
        def save_checkpoint(self, data: bytes) -> None:
            nonlocal now_s
            now_s += 2.0
            super().save_checkpoint(data)

    context = Slow(sqlite, context_of(sqlite, claim(sqlite)).job)
    schedule = CheckpointSchedule(context, lambda: now_s)
    assert not schedule.due()
    now_s = SAVE_EVERY_S
    assert schedule.due()
    schedule.save(b"state")  # which took two seconds: again after forty
    assert context.load_checkpoint() == b"state"
    now_s += 39
    assert not schedule.due()
    now_s += 1
    assert schedule.due()


class Killed(BaseException):
    """The process was killed."""


class Mortal(DatabaseJobContext):
    """A context whose process dies once it has entered a phase."""

    dies_in = ""

    def report_progress(self, progress: JobProgress) -> bool:
        if progress.phase == self.dies_in and progress.epoch is not None:
            raise Killed
        return super().report_progress(progress)


def test_a_killed_job_continues_in_the_phase_where_it_was(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.work.checkpoints.SAVE_EVERY_S", 0.0)
    monkeypatch.setattr("app.work.checkpoints.MIN_INTERVAL_FACTOR", 0.0)
    revision = keep(sqlite, weeks())
    queue(sqlite, revision, refit=True)
    whole = claim(sqlite)
    assert work_on(sqlite, whole, train) == ExitStatus.DONE

    queue(sqlite, revision, refit=True)
    first = claim(sqlite)
    context = Mortal(sqlite, context_of(sqlite, first).job)
    context.dies_in = "refit"
    with pytest.raises(Killed):
        train(context)
    second = take_over(sqlite, first)
    entered: list[str] = []

    class Watched(DatabaseJobContext):
        def report_progress(self, progress: JobProgress) -> bool:
            if progress.epoch is not None:
                entered.append(str(progress.phase))
            return super().report_progress(progress)

    watched = Watched(sqlite, context_of(sqlite, second).job)
    watched.finish(train(watched))
    assert set(entered) == {"refit"}
    assert "goes on from a checkpoint" in log_of(sqlite, second)[-1]
    again, before = versions(sqlite, second)
    assert again.sha256 == before.sha256  # as if nothing had happened


class FlakyDatabase(Database):
    """A database that is unreachable for a number of transactions, or loses the answer to a commit."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.outages, self.lose_commit = 0, False

    @contextmanager
    def write(self) -> Iterator[Session]:  # type: ignore[override]
        if self.outages:
            self.outages -= 1
            raise DatabaseUnreachable("the server is gone")
        with super().write() as session:
            yield session
        if self.lose_commit:
            self.lose_commit = False
            raise DatabaseUnreachable("the server is gone")


@pytest.fixture(name="flaky")
def flaky_fixture(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyDatabase]:
    monkeypatch.setattr("app.work.job_context.RETRY_S", 0.01)
    database = FlakyDatabase(str(sqlite.url))
    yield database
    database.dispose()


def test_a_context_waits_for_a_database_that_comes_back(flaky: FlakyDatabase) -> None:
    queue(flaky, keep(flaky, weeks()))
    context = context_of(flaky, claim(flaky))
    flaky.outages = 3
    context.save_checkpoint(b"state")
    assert context.load_checkpoint() == b"state"
    flaky.outages = 1
    assert context.report_progress(JobProgress(share=0.5)) is False  # not waited for: the next report says more
    assert context.report_progress(JobProgress(share=0.6)) is False


def test_a_context_gives_up_on_a_database_that_stays_away(flaky: FlakyDatabase) -> None:
    queue(flaky, keep(flaky, weeks()))
    context = DatabaseJobContext(flaky, context_of(flaky, claim(flaky)).job, patience_s=0.05)
    flaky.outages = 10_000
    with pytest.raises(DatabaseUnreachable):
        context.save_checkpoint(b"state")


@pytest.mark.parametrize("outage", [read_only, stopped], ids=["read-only standby", "stopped server"])
def test_a_context_waits_for_the_end_of_an_outage_of_postgresql(
    postgres: Database, monkeypatch: pytest.MonkeyPatch, outage: Callable[[Database], AbstractContextManager[None]]
) -> None:
    monkeypatch.setattr("app.work.job_context.RETRY_S", 0.05)
    queue(postgres, keep(postgres, weeks()))
    context = context_of(postgres, claim(postgres))
    with ThreadPoolExecutor(1) as pool:
        with outage(postgres):
            assert context.report_progress(JobProgress(share=0.5)) is False  # lost, and not waited for
            saving = pool.submit(context.save_checkpoint, b"state")
            with pytest.raises(TimeoutError):
                saving.result(0.5)
        saving.result(60)
    assert context.load_checkpoint() == b"state"


def test_an_end_whose_answer_was_lost_is_an_end(flaky: FlakyDatabase) -> None:
    queue(flaky, keep(flaky, weeks()))
    job = claim(flaky)
    flaky.lose_commit = True
    context_of(flaky, job).finish(Outcome(result={"found": 7}))
    assert (look(flaky, job).state, look(flaky, job).result) == ("succeeded", {"found": 7})


def test_the_steps_of_a_checkpoint_survive_the_context(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.work.checkpoints.SAVE_EVERY_S", 0.0)
    queue(sqlite, keep(sqlite, weeks()))
    job = claim(sqlite)
    open_checkpoint(context_of(sqlite, job)).finish("search", CheckpointEntry({"spec": 1}))
    found = open_checkpoint(context_of(sqlite, job)).find("search")
    assert found is not None
    assert found.facts == {"spec": 1}
