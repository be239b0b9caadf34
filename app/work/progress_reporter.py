"""Progress of a training job: its phase, the share that is done, and the seconds that are left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.store.jobs import JobProgress
from app.work.job_context import JobContext
from app.work.progress import REPORT_EVERY_S
from models.errors import Cancelled
from models.training.fit import OnProgress, Progress

JUDGE_EVERY_S = 2.0
# Rough shares of a whole job: a search or a second fit takes its time from the first fit.
SEARCH, BACKTEST, REFIT = 0.5, 0.05, 0.2


@dataclass(frozen=True, slots=True)
class PhaseShares:
    """Where the phases of a training job begin and end, as shares of the whole; its ``members`` are fitted in turn."""

    members: int
    searches: bool = False
    refits: bool = False

    def span(self, phase: str, member: int = 0) -> tuple[float, float]:
        """Return the shares at which ``phase`` begins and ends, for the member of that number (from 0)."""
        searched, scored = SEARCH * self.searches, 1 - REFIT * self.refits
        begin, end = {
            "search": (0.0, searched),
            "fit": (searched, scored - BACKTEST),
            "backtest": (scored - BACKTEST, scored),
            "refit": (scored, 1.0),
        }[phase]
        if phase not in ("fit", "refit"):
            return begin, end
        width = (end - begin) / self.members
        return begin + member * width, begin + (member + 1) * width


class ProgressReporter:
    """Reports progress at most twice a second, and remembers whether the job is to stop."""

    def __init__(self, context: JobContext, stages: PhaseShares, clock: Callable[[], float] = time.monotonic) -> None:
        self._context, self._stages, self.clock = context, stages, clock
        self._started_s, self._reported_s, self._judged_s = clock(), -REPORT_EVERY_S, -JUDGE_EVERY_S
        self._began: tuple[float, float] | None = None  # time and share at the first numbers
        self._stop = False

    def enter(self, phase: str) -> None:
        """Report the beginning of a phase.

        Raises:
            Cancelled: the job's cancellation was requested.
        """
        self._write(JobProgress(phase=phase, share=self._stages.span(phase)[0]))
        self._reported_s = -REPORT_EVERY_S  # so that the first numbers of the phase are reported at once
        if self._stop:
            raise Cancelled("the job's cancellation was requested")

    def progress(self, phase: str, member: int, progress: Progress) -> None:
        """Report the progress of a member (from 0).

        ``eta_s`` of the whole job is extrapolated from the time since the first numbers: loading and compiling, which
        come before them, happen only once.
        """
        now_s = self.clock()
        if now_s - self._reported_s < REPORT_EVERY_S and progress.share < 1:
            return
        begin, end = self._stages.span(phase, member)
        share = begin + (end - begin) * progress.share
        self._began = began_s, first_share = self._began or (now_s, share)
        left_s = round((now_s - began_s) * (1 - share) / (share - first_share), 1) if share > first_share else None
        report = _progress(phase, progress, share)
        self._write(replace(report, member=member + 1, members=self._stages.members, eta_s=left_s))

    def searching(self, budget_s: float) -> OnProgress:
        """Return a callback that reports the progress of a search of at most ``budget_s`` seconds."""

        def report(progress: Progress) -> None:
            now_s = self.clock()
            if now_s - self._reported_s < REPORT_EVERY_S:
                return
            end = self._stages.span("search")[1]
            share = min(end, (now_s - self._started_s) / budget_s)
            self._write(_progress("search", progress, share))

        return report

    def judging_is_due(self) -> bool:
        """Return whether to compute the validation skill now: every two seconds, as it takes some hundredths of one."""
        now_s = self.clock()
        is_due = now_s - self._judged_s >= JUDGE_EVERY_S
        self._judged_s = now_s if is_due else self._judged_s
        return is_due

    def should_stop(self) -> bool:
        """Return whether the job's cancellation was requested, as of the last report."""
        return self._stop

    def _write(self, progress: JobProgress) -> None:
        self._reported_s = self.clock()
        self._stop = self._context.report_progress(progress)


def _progress(phase: str, progress: Progress, share: float) -> JobProgress:
    """Return the report of a training ``progress``, at ``share`` of the whole job."""
    return JobProgress(
        phase=phase,
        epoch=progress.epoch,
        epochs=progress.epochs,
        loss=progress.loss,
        validation_loss=progress.validation_loss,
        validation_skill=progress.skill,
        share=share,
    )
