"""The checkpoint of a job: read when an attempt begins, and stored from time to time."""

import hashlib
import json
import logging
import time
from collections.abc import Callable

from app.work.job_context import JobContext
from models.errors import BundleError
from models.training.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

SAVE_EVERY_S = 10.0
MIN_INTERVAL_FACTOR = (
    20.0  # times the duration of the last store, so that storing takes at most a twentieth of the time
)
MAX_BYTES = 256 * 1024**2


class CheckpointSchedule:
    """Decides when to store a checkpoint, and stores it."""

    def __init__(self, context: JobContext, clock: Callable[[], float]) -> None:
        self._context, self._clock = context, clock
        self._next_s = clock() + SAVE_EVERY_S

    def due(self) -> bool:
        """Return whether to store one now."""
        return self._clock() >= self._next_s

    def save(self, data: bytes) -> None:
        """Store ``data``, unless it is too large for a row of the database: the next attempt then repeats the work."""
        begin_s = self._clock()
        if len(data) <= MAX_BYTES:
            self._context.save_checkpoint(data)
        else:
            logger.warning(
                "a checkpoint is too large and was not stored", extra={"job": self._context.job.id, "bytes": len(data)}
            )
        end_s = self._clock()
        self._next_s = end_s + max(SAVE_EVERY_S, MIN_INTERVAL_FACTOR * (end_s - begin_s))


def open_checkpoint(context: JobContext, clock: Callable[[], float] = time.monotonic) -> Checkpoint:
    """Return the checkpoint of the job, with the steps of earlier attempts; ignore one that cannot be read."""
    job = context.job
    order = json.dumps([job.kind, job.revision_id, dict(job.request)], sort_keys=True)
    schedule = CheckpointSchedule(context, clock)
    checkpoint = Checkpoint(hashlib.sha256(order.encode()).hexdigest(), schedule.save, schedule.due)
    data = context.load_checkpoint()
    if data is not None:
        try:
            checkpoint.restore(data)
            context.log(f"attempt {job.attempt} goes on from a checkpoint of {len(data)} bytes")
        except BundleError as error:
            context.log(f"the checkpoint is ignored, and the work starts over: {error}")
    return checkpoint
