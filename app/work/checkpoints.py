"""The diary of a job's work, kept as its checkpoint: read at the beginning, kept now and then."""

import hashlib
import json
import logging
import time
from collections.abc import Callable

from app.work.job_context import JobContext
from models.errors import BundleError
from models.training.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

KEEP_EVERY_S = 10.0
MIN_BETWEEN = 20.0  # times as long as keeping took: no more than a twentieth of the time goes into it
MAX_BYTES = 256 * 1024**2


class CheckpointSchedule:
    """Says when it is time to keep a diary, and keeps it at ``context``."""

    def __init__(self, context: JobContext, clock: Callable[[], float]) -> None:
        self._context, self._clock = context, clock
        self._next_s = clock() + KEEP_EVERY_S

    def due(self) -> bool:
        """Whether it is time."""
        return self._clock() >= self._next_s

    def keep(self, data: bytes) -> None:
        """Keep ``data``; what is too large for a row of the database is done again instead."""
        begin_s = self._clock()
        if len(data) <= MAX_BYTES:
            self._context.save_checkpoint(data)
        else:
            logger.warning("a checkpoint was too large", extra={"job": self._context.job.id, "bytes": len(data)})
        end_s = self._clock()
        self._next_s = end_s + max(KEEP_EVERY_S, MIN_BETWEEN * (end_s - begin_s))


def open_checkpoint(context: JobContext, clock: Callable[[], float] = time.monotonic) -> Checkpoint:
    """The diary of the desk's job, as far as an attempt before this one came; what cannot be read is done anew."""
    job = context.job
    order = json.dumps([job.kind, job.revision_id, dict(job.request)], sort_keys=True)
    keeper = CheckpointSchedule(context, clock)
    diary = Checkpoint(hashlib.sha256(order.encode()).hexdigest(), keeper.keep, keeper.due)
    data = context.load_checkpoint()
    if data is not None:
        try:
            diary.restore(data)
            context.log(f"attempt {job.attempt} goes on from a checkpoint of {len(data)} bytes")
        except BundleError as error:
            context.log(f"the checkpoint is left aside, and the work begun anew: {error}")
    return diary
