"""``forecastle jobs``."""

import json
import sys
from typing import Any

from app.cli.commands.common import caller, migrated, plain_errors, print_table, read_settings, refuse, tell
from app.cli.commands.progress import watch as watch_job
from app.planning.job_answers import job_answer, job_answers
from app.schemas import ArtifactAnswer, AttemptAnswer
from app.store import artifacts, jobs
from app.store.jobs import Filter

COLUMNS = ("id", "kind", "model", "state", "attempt", "priority", "version", "created_at", "finished_at")
SHOWN = 50  # jobs of a list, and attempts of a job


def show_all(only: dict[str, Any], output: str) -> None:
    """Print the newest jobs."""
    with plain_errors():
        database = migrated(read_settings())
        me = caller(database)
        with database.read() as session:
            rows = jobs.list_page(session, me.tenant_id, None, SHOWN, Filter(**only))
            answers = [answer.model_dump(mode="json") for answer in job_answers(session, me.tenant_id, rows)]
    print_table(COLUMNS, [{name: each[name] for name in COLUMNS} for each in answers], output)


def show(job_id: str) -> None:
    """Print one job, with its attempts and files."""
    with plain_errors():
        database = migrated(read_settings())
        me = caller(database)
        with database.read() as session:
            row = jobs.get(session, me.tenant_id, job_id)
            answer = job_answer(session, row).model_dump(mode="json")
            tried = jobs.list_attempts(session, me.tenant_id, job_id, 0, SHOWN)
            files = artifacts.of_job(session, row)
    more = {
        "attempts": [AttemptAnswer.model_validate(each).model_dump(mode="json") for each in tried],
        "artifacts": [ArtifactAnswer.model_validate(each).model_dump(mode="json") for each in files],
    }
    print(json.dumps({**answer, **more}, indent=2))


def cancel(job_id: str) -> None:
    """Cancel a job."""
    with plain_errors():
        database = migrated(read_settings())
        me = caller(database)
        with database.write() as session:
            state = jobs.request_cancel(session, me.tenant_id, job_id).state
    tell(f"job {job_id} {'is cancelled' if state == 'cancelled' else 'is asked to stop'}")


def watch(job_id: str) -> None:
    """Follow a job until it is over."""
    with plain_errors():
        database = migrated(read_settings())
        me = caller(database)

        def look() -> Any:
            with database.read() as session:
                return job_answer(session, jobs.get(session, me.tenant_id, job_id))

        job = watch_job(look, look().kind)
    if job.state != "succeeded":
        reason = "" if job.error is None else f": {job.error['message']}"
        refuse(f"the job is {job.state}{reason}")
    print(json.dumps(job.result), file=sys.stdout)
