"""Request bodies of the schedules API, which contain the request of a job."""

from pydantic import ConfigDict

from app.planning.kinds import JobRequest
from app.schemas.base import Name
from app.schemas.schedules import ScheduleBody


class ScheduleRequest(ScheduleBody):
    """When to do what: the body of a job, which is settled anew on the newest data whenever it is due."""

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
    """What is to be different. What is left out stays as it is; null takes 'cron' or 'gate' away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cron": "0 4 * * *", "misfire": "skip"}]})

    job: JobRequest | None = None
