"""Request bodies of the schedules API, which contain the request of a job."""

from pydantic import ConfigDict

from app.planning.kinds import JobRequest
from app.schemas.base import Name
from app.schemas.schedules import ScheduleBody


class ScheduleRequest(ScheduleBody):
    """Queue a job at due times or on triggers; each time it is planned on the newest data."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "electricity",
                    "cron": "30 2 * * *",
                    "zone": "Europe/Paris",
                    "triggers": {"new_rows": 168},
                    "job": {"model": "electricity", "dataset": "electricity-hourly", "spec": {"horizon": 24}},
                }
            ]
        }
    )

    name: Name
    job: JobRequest


class ScheduleEdit(ScheduleBody):
    """Fields to change; those left out stay as they are, and null removes 'cron' or 'gate'."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cron": "0 4 * * *", "misfire": "skip"}]})

    job: JobRequest | None = None
