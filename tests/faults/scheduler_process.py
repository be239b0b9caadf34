"""A scheduler whose clock runs fast: ``python -m tests.faults.scheduler_process URL START STEPS STEP_S [MOMENT]``.

It ticks ``STEPS`` times, each ``STEP_S`` seconds of its own clock after the one before. At a ``MOMENT`` it kills itself
as kill -9 does: ``insert`` when the first job is in the transaction, ``commit`` when that transaction is over.
"""

import os
import signal
import sys
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from app.store import datasets
from app.store.db import Database
from app.store.jobs import NewJob
from app.store.quality import quality_of
from app.work.scheduler import SchedulerDependencies, tick


def main(url: str, start: str, steps: str, step_s: str, moment: str = "never") -> None:
    """Tick ``steps`` times."""
    database = Database(url)
    listen(moment)
    for step in range(int(steps)):
        tick(
            database, dependencies_of(database), datetime.fromisoformat(start) + timedelta(seconds=step * float(step_s))
        )
    database.dispose()


def dependencies_of(database: Database) -> SchedulerDependencies:
    """Plan jobs on the newest revision of ``sales``."""

    def settle(tenant_id: int, request: dict[str, Any], created_by: str) -> NewJob:
        with database.read() as session:
            revision = datasets.revision(session, tenant_id, request["dataset"])
        return NewJob(
            tenant_id=tenant_id,
            kind="train",
            model=request["model"],
            revision_id=revision.id,
            request={},
            max_attempts=3,
            created_by=created_by,
        )

    return SchedulerDependencies(settle, quality_of)


def listen(moment: str) -> None:
    """Kill this process at ``moment``."""
    inserted = False

    def after_execute(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal inserted
        inserted = inserted or statement.startswith("INSERT INTO jobs")
        if inserted and moment == "insert":
            os.kill(os.getpid(), signal.SIGKILL)

    def back(_connection: Any, _record: Any) -> None:
        # A connection goes back to the pool once its transaction has ended.
        if inserted and moment == "commit":
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", after_execute)
    event.listen(Engine, "checkin", back)


if __name__ == "__main__":
    main(*sys.argv[1:])
