"""``forecastle jobs watch``."""

import json
import sys

from app.cli.commands.console import exit_with_error, report_errors
from app.cli.commands.environment import local_principal, open_database, read_settings
from app.cli.commands.progress import watch_job
from app.store import jobs
from app.store.tables import Job


def watch(job_id: str) -> None:
    """Show the progress of a job until it has ended; print its result, or exit with an error."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id

        def read() -> Job:
            with database.read() as session:
                return jobs.get(session, tenant_id, job_id)

        job = watch_job(read, read().kind)
    if job.state != "succeeded":
        reason = "" if job.error is None else f": {job.error['message']}"
        exit_with_error(f"the job is {job.state}{reason}")
    print(json.dumps(job.result), file=sys.stdout)
