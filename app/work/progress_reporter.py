"""What a job says of itself while it is worked on: phase, share done, seconds left."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.work.job_context import JobContext
from app.work.progress import REPORT_EVERY_S
from models.errors import Cancelled
from models.training.fit import OnProgress, Progress

JUDGE_EVERY_S = 2.0
# Shares of a whole job, roughly: a search or a second fit takes what the first fit would have.
SEARCH, BACKTEST, REFIT = 0.5, 0.05, 0.2


@dataclass(frozen=True, slots=True)
class PhaseShares:
    """Where the phases of a job begin and end, as shares of the whole; its ``members`` are taught one by one."""

    members: int
    searches: bool = False
    refits: bool = False

    def span(self, phase: str, member: int = 0) -> tuple[float, float]:
        """Where ``phase`` begins and ends, for the member of that number (from 0)."""
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
    """Reports progress, at most twice a second, and learns whether to stop."""

    def __init__(self, context: JobContext, stages: PhaseShares, clock: Callable[[], float] = time.monotonic) -> None:
        self._context, self._stages, self.clock = context, stages, clock
        self._started_s, self._reported_s, self._judged_s = clock(), -REPORT_EVERY_S, -JUDGE_EVERY_S
        self._began: tuple[float, float] | None = None  # when the first numbers came, and how much was done then
        self._stop = False

    def enter(self, phase: str) -> None:
        """Report the beginning of a phase.

        Raises:
            Cancelled: the job's cancellation was asked for.
        """
        self._write({"phase": phase, "share": self._stages.span(phase)[0], "eta_s": None})
        self._reported_s = -REPORT_EVERY_S  # the first numbers of a phase are not waited for
        if self._stop:
            raise Cancelled("the job's cancellation was asked for")

    def progress(self, phase: str, member: int, progress: Progress) -> None:
        """Report how far a member (from 0) is; ``eta_s`` of the whole job from the time taken since the first numbers.

        What was before them, to load and to compile, does not come again.
        """
        now_s = self.clock()
        if now_s - self._reported_s < REPORT_EVERY_S and progress.share < 1:
            return
        begin, end = self._stages.span(phase, member)
        share = begin + (end - begin) * progress.share
        self._began = began_s, at = self._began or (now_s, share)
        left_s = round((now_s - began_s) * (1 - share) / (share - at), 1) if share > at else None
        of = {"phase": phase, "member": member + 1, "members": self._stages.members}
        self._write({**of, **_numbers(progress), "share": share, "eta_s": left_s})

    def searching(self, budget_s: float) -> OnProgress:
        """Reports the progress of a search that takes its part of ``budget_s`` seconds."""

        def report(progress: Progress) -> None:
            now_s = self.clock()
            if now_s - self._reported_s < REPORT_EVERY_S:
                return
            end = self._stages.span("search")[1]
            share = min(end, (now_s - self._started_s) / budget_s)
            self._write({"phase": "search", **_numbers(progress), "share": share, "eta_s": None})

        return report

    def judging_is_due(self) -> bool:
        """Whether it is time to judge a network in the making: seldom, as it takes some hundredths of a second."""
        now_s = self.clock()
        is_due = now_s - self._judged_s >= JUDGE_EVERY_S
        self._judged_s = now_s if is_due else self._judged_s
        return is_due

    def should_stop(self) -> bool:
        """Whether the job's cancellation was asked for, as of the last report."""
        return self._stop

    def _write(self, progress: dict[str, Any]) -> None:
        self._reported_s = self.clock()
        self._stop = self._context.report_progress(progress)


def _numbers(progress: Progress) -> dict[str, Any]:
    return {
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "loss": progress.loss,
        "validation_loss": progress.validation_loss,
        "validation_skill": progress.skill,
    }
