"""The job table: claimed under a lease, written to under a fencing token, by any number of workers.

A token is good while the job is running and nobody has claimed it since; every write of a worker checks it, so a worker
that froze and woke up cannot undo the work of the one that took over. All times are the database's.

``rows`` finds jobs, ``entering`` puts them in the queue, ``claiming`` takes them out, ``ending`` is the one place that
knows how an attempt and a job end; ``attempts`` and ``events`` are their history, ``counting`` what metrics show.
"""

from app.store.jobs.attempts import fenced, list_attempts
from app.store.jobs.claims import (
    RESOURCES,
    Calls,
    Held,
    Sign,
    adopt,
    calls,
    claim,
    heartbeat,
    held,
    lost,
    reap,
    running,
    signs,
    take_back,
)
from app.store.jobs.completion import fail, finish, mark_cancelled, release, request_cancel
from app.store.jobs.events import News, log, news, report
from app.store.jobs.progress import JobProgress
from app.store.jobs.queue import NewJob, enqueue, enqueue_family
from app.store.jobs.rows import ENDED, Fenced, Filter, ended_by, get, hold, list_page
from app.store.jobs.statistics import Tally, children, counts, limit, slots, tally

__all__ = [
    "ENDED",
    "RESOURCES",
    "Calls",
    "Fenced",
    "Filter",
    "Held",
    "JobProgress",
    "NewJob",
    "News",
    "Sign",
    "Tally",
    "adopt",
    "calls",
    "children",
    "claim",
    "counts",
    "ended_by",
    "enqueue",
    "enqueue_family",
    "fail",
    "fenced",
    "finish",
    "get",
    "heartbeat",
    "held",
    "hold",
    "limit",
    "list_attempts",
    "list_page",
    "log",
    "lost",
    "mark_cancelled",
    "news",
    "reap",
    "release",
    "report",
    "request_cancel",
    "running",
    "signs",
    "slots",
    "take_back",
    "tally",
]
