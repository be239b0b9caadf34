"""``forecastle jobs list`` and ``forecastle jobs cancel``, which need neither NumPy nor the table of job kinds."""

from collections.abc import Mapping
from datetime import datetime

from app.cli.commands.console import print_message, print_table, report_errors
from app.cli.commands.environment import ACTOR, local_principal, open_database, read_settings
from app.store import jobs
from app.store.jobs import JobFilter
from app.store.tables import Job
from models.json_types import JsonObject

COLUMNS = ("id", "kind", "model", "state", "attempt", "priority", "version", "created_at", "finished_at")
SHOWN = 50


def show_all(only: JobFilter, output: str) -> None:
    """Print the newest jobs."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.read() as session:
            rows = jobs.list_page(session, tenant_id, None, SHOWN, only)
            numbers = jobs.version_numbers(session, tenant_id, [row.version_id for row in rows])
    print_table(COLUMNS, [_cells(row, numbers) for row in rows], output)


def cancel(job_id: str) -> None:
    """Cancel a job."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.write() as session:
            state = jobs.request_cancel(session, tenant_id, job_id, ACTOR).state
    print_message(f"job {job_id} {'is cancelled' if state == 'cancelled' else 'is asked to stop'}")


def _cells(row: Job, numbers: Mapping[int, int]) -> JsonObject:
    """Return the cells of a job's row; ``numbers`` has the numbers of versions by id."""
    version = None if row.version_id is None else numbers[row.version_id]
    times = {"created_at": _time_text(row.created_at), "finished_at": _time_text(row.finished_at)}
    same = {name: getattr(row, name) for name in ("id", "kind", "model", "state", "attempt", "priority")}
    return {**same, "version": version, **times}


def _time_text(moment: datetime | None) -> str | None:
    """Return a time of the database as the API writes it: ISO 8601 in UTC with Z."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
