"""``forecastle jobs show``."""

import json

from app.cli.commands.console import report_errors
from app.cli.commands.environment import local_principal, open_database, read_settings
from app.planning.job_answers import job_answer
from app.schemas.jobs import ArtifactAnswer, AttemptAnswer
from app.store import artifacts, jobs

SHOWN = 50  # attempts


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
