"""Progress of work that can be counted."""

import time
from collections.abc import Callable

from app.store.jobs import JobProgress
from app.work.job_context import JobContext
from models.errors import Cancelled

REPORT_EVERY_S = 0.5


class ProgressCounter:
    """Reports the share of ``total`` units of work that is done, at most twice a second."""

    def __init__(
        self, context: JobContext, phase: str, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context, self._phase, self._total, self._clock = context, phase, total, clock
        self._done, self._started_s, self._reported_s = 0, clock(), -REPORT_EVERY_S

    def add(self, count: int) -> None:
        """Count ``count`` more units as done.

        Raises:
            Cancelled: the job's cancellation was requested.
        """
        self._done += count
        now_s = self._clock()
        if now_s - self._reported_s < REPORT_EVERY_S and self._done < self._total:
            return
        self._reported_s, share = now_s, self._done / self._total
        eta_s = round((now_s - self._started_s) * (1 - share) / share, 1)
        progress = JobProgress(phase=self._phase, done=self._done, of=self._total, share=share, eta_s=eta_s)
        if self._context.report_progress(progress):
            raise Cancelled("the job's cancellation was requested")
