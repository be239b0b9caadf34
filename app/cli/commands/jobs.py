"""``forecastle jobs``."""

import json
import sys

from app.cli.commands.console import exit_with_error, print_message, print_table, report_errors
from app.cli.commands.environment import local_principal, open_database, read_settings
from app.cli.commands.progress import watch_job
from app.planning.job_answers import job_answer, job_answers
from app.schemas.jobs import ArtifactAnswer, AttemptAnswer, JobAnswer
from app.store import artifacts, jobs
from app.store.jobs import JobFilter

COLUMNS = ("id", "kind", "model", "state", "attempt", "priority", "version", "created_at", "finished_at")
SHOWN = 50  # jobs of a list, and attempts of a job


def show_all(only: JobFilter, output: str) -> None:
    """Print the newest jobs."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.read() as session:
            rows = jobs.list_page(session, tenant_id, None, SHOWN, only)
            answers = [answer.model_dump(mode="json") for answer in job_answers(session, tenant_id, rows)]
    print_table(COLUMNS, [{name: answer[name] for name in COLUMNS} for answer in answers], output)


def show(job_id: str) -> None:
    """Print one job, with its attempts and files."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.read() as session:
            row = jobs.get(session, tenant_id, job_id)
            answer = job_answer(session, row).model_dump(mode="json")
            attempts = jobs.list_attempts(session, tenant_id, job_id, 0, SHOWN)
            files = artifacts.list_of_job(session, row)
    more = {
        "attempts": [AttemptAnswer.model_validate(attempt).model_dump(mode="json") for attempt in attempts],
        "artifacts": [ArtifactAnswer.model_validate(file).model_dump(mode="json") for file in files],
    }
    print(json.dumps({**answer, **more}, indent=2))


def cancel(job_id: str) -> None:
    """Cancel a job."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.write() as session:
            state = jobs.request_cancel(session, tenant_id, job_id).state
    print_message(f"job {job_id} {'is cancelled' if state == 'cancelled' else 'is asked to stop'}")


def watch(job_id: str) -> None:
    """Show the progress of a job until it has ended; print its result, or exit with an error."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id

        def read() -> JobAnswer:
            with database.read() as session:
                return job_answer(session, jobs.get(session, tenant_id, job_id))

        job = watch_job(read, read().kind)
    if job.state != "succeeded":
        reason = "" if job.error is None else f": {job.error['message']}"
        exit_with_error(f"the job is {job.state}{reason}")
    print(json.dumps(job.result), file=sys.stdout)
