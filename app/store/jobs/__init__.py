"""The job table: any number of workers claim jobs under a lease and write to them under a fencing token.

A token is valid while the job is running and no worker has claimed it since. Every write of a worker checks the token,
so a worker that froze and woke up cannot undo the work of the worker that took the job over. All times are read from
the clock of the database.

``rows`` finds jobs, ``queue`` adds them, ``claims`` gives them to workers, ``completion`` ends attempts and jobs,
``attempts`` and ``events`` are the history of a job, ``statistics`` counts for metrics.
"""

from app.store.jobs.attempts import list_attempts, mark_fenced
from app.store.jobs.claims import (
    HeldJob,
    JobChoice,
    JobStatus,
    PendingWork,
    adopt,
    claim,
    find_running,
    heartbeat,
    list_held,
    list_lost,
    pending_work,
    reap,
    statuses,
    take_back,
)
from app.store.jobs.completion import fail, finish, mark_cancelled, release, request_cancel
from app.store.jobs.events import JobUpdate, log, report, updates_since
from app.store.jobs.progress import JobProgress
from app.store.jobs.queue import NewJob, check_room, enqueue, enqueue_family
from app.store.jobs.rows import ENDED, RESOURCES, Fenced, JobFilter, ended_by, get, hold, list_page, version_numbers
from app.store.jobs.statistics import (
    QueueStatistics,
    count_by_state,
    count_children,
    queue_statistics,
    set_slots,
    slots,
)

__all__ = [
    "ENDED",
    "RESOURCES",
    "Fenced",
    "HeldJob",
    "JobChoice",
    "JobFilter",
    "JobProgress",
    "JobStatus",
    "JobUpdate",
    "NewJob",
    "PendingWork",
    "QueueStatistics",
    "adopt",
    "check_room",
    "claim",
    "count_by_state",
    "count_children",
    "ended_by",
    "enqueue",
    "enqueue_family",
    "fail",
    "find_running",
    "finish",
    "get",
    "heartbeat",
    "hold",
    "list_attempts",
    "list_held",
    "list_lost",
    "list_page",
    "log",
    "mark_cancelled",
    "mark_fenced",
    "pending_work",
    "queue_statistics",
    "reap",
    "release",
    "report",
    "request_cancel",
    "set_slots",
    "slots",
    "statuses",
    "take_back",
    "updates_since",
    "version_numbers",
]
