"""A process on a cluster, ``python -m tests.app.work.counting_ray_entry``, whose work needs no TensorFlow.

It counts to ``STEPS``, ten a second, keeps what it has counted, and registers a version that nobody trained.
"""

import os
import sys
import time

from app.store.jobs import JobProgress
from app.store.outcomes import Candidate, Outcome, Ruling
from app.telemetry import configure_logging
from app.work.attempt_credentials import AttemptCredentials
from app.work.job_context import JobContext
from app.work.ray_entry import run_with
from models.errors import Cancelled
from models.forecasting import bundle
from tests.app.work.small_jobs import untrained
from tests.fakes import report

COMMAND = "python -m tests.app.work.counting_ray_entry"
STEPS = 30


def count(context: JobContext) -> Outcome:
    """Count from the checkpoint of the previous attempt."""
    begun = int(context.load_checkpoint() or b"0")
    for step in range(begun, STEPS):
        if context.report_progress(JobProgress(phase="fit", done=step)):
            raise Cancelled("asked for")
        context.save_checkpoint(b"%d" % (step + 1))
        time.sleep(0.1)
    made = untrained()
    version = Candidate(
        bundle=bundle.to_bytes(made),
        spec=made.spec,
        report=report(0.5, made.spec.horizon),
        skill=0.5,
        data_sha256=context.load_panel(context.job.revision_id).fingerprint(),
        ruling=Ruling(verdict="promoted", reason="the first version"),
    )
    return Outcome(result={"begun": begun}, version=version)


if __name__ == "__main__":
    configure_logging()
    sys.exit(run_with(AttemptCredentials.from_environment(os.environ), {"train": count}))
