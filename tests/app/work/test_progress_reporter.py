"""The progress that a training job reports."""

import pytest

from app.store.db import Database
from app.work.progress_reporter import PhaseShares, ProgressReporter
from models.errors import Cancelled
from models.training.fit import Progress
from tests.app.work.small_jobs import cancel, claim, context_of, keep, look, queue, weeks


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def at(share: float, epoch: int = 1) -> Progress:
    return Progress(epoch=epoch, epochs=4, share=share, loss=0.5, validation_loss=None, skill=0.25)


def test_progress_is_written_twice_a_second_with_the_time_left(sqlite: Database) -> None:
    job = queue(sqlite, keep(sqlite, weeks()))
    job, clock = claim(sqlite), Clock()
    reporter = ProgressReporter(context_of(sqlite, job), PhaseShares(members=2), clock)
    clock.now_s += 10
    reporter.progress("fit", 1, at(0.0))
    # One of two members is 0.475 of the whole. Its duration is no measure yet: it included loading and compiling.
    expected = {"phase": "fit", "member": 2, "members": 2, "epoch": 1, "epochs": 4, "loss": 0.5}
    judged, share = {"validation_loss": None, "validation_skill": 0.25}, pytest.approx(0.475)
    assert look(sqlite, job).progress == {**expected, **judged, "share": share, "eta_s": None}
    clock.now_s += 0.4
    reporter.progress("fit", 1, at(0.3))
    assert look(sqlite, job).progress["share"] == share
    clock.now_s += 0.1
    reporter.progress("fit", 1, at(0.35, epoch=2))
    assert look(sqlite, job).progress["epoch"] == 2
    # 0.35 of a member is 0.16625 of the whole and took 0.5 s: the 0.35875 that are left take 1.08 s.
    assert look(sqlite, job).progress["eta_s"] == 1.1
    reporter.progress("fit", 1, at(1.0, epoch=4))  # the end is written at any time
    assert look(sqlite, job).progress["share"] == pytest.approx(0.95)


def test_validation_skill_is_due_at_once_and_every_two_seconds(sqlite: Database) -> None:
    queue(sqlite, keep(sqlite, weeks()))
    clock = Clock()
    reporter = ProgressReporter(context_of(sqlite, claim(sqlite)), PhaseShares(1), clock)
    due = []
    for _ in range(6):
        due.append(reporter.judging_is_due())
        clock.now_s += 0.9
    assert due == [True, False, False, True, False, False]


def test_the_phases_of_a_job_follow_each_other_without_a_gap() -> None:
    for stages in (
        PhaseShares(1),
        PhaseShares(3),
        PhaseShares(2, refits=True),
        PhaseShares(1, searches=True, refits=True),
    ):
        members = range(stages.members)
        spans = [stages.span("search"), *(stages.span("fit", m) for m in members), stages.span("backtest")]
        spans += [stages.span("refit", m) for m in members]
        ends = [0.0, *(end for _, end in spans)]
        assert [begin for begin, _ in spans] == pytest.approx(ends[:-1])
        assert ends[-1] == pytest.approx(1.0)


def test_a_search_reports_the_time_that_it_took(sqlite: Database) -> None:
    queue(sqlite, keep(sqlite, weeks()))
    job, clock = claim(sqlite), Clock()
    report = ProgressReporter(context_of(sqlite, job), PhaseShares(1, searches=True), clock).searching(budget_s=60)
    for seconds, share in [(15, 0.25), (0.4, 0.25), (30, 45.4 / 60), (30, 1.0)]:
        clock.now_s += seconds
        report(at(0.5))
        assert look(sqlite, job).progress["share"] == pytest.approx(min(0.5, share))
    assert look(sqlite, job).progress["phase"] == "search"


def test_the_reporter_learns_from_its_report_that_it_is_to_stop(sqlite: Database) -> None:
    queue(sqlite, keep(sqlite, weeks()))
    job = claim(sqlite)
    reporter = ProgressReporter(context_of(sqlite, job), PhaseShares(1), Clock())
    reporter.progress("fit", 0, at(0.25))
    assert not reporter.should_stop()
    cancel(sqlite, job)
    with pytest.raises(Cancelled):
        reporter.enter("backtest")
    assert reporter.should_stop()
