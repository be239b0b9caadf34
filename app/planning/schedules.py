"""Plans of schedules: create them from requests, edit and check them, and plan their jobs."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from pydantic import ValidationError

from app.planning.jobs import plan_job
from app.planning.kinds import REQUESTED, kind_name
from app.planning.schedule_requests import ScheduleEdit, ScheduleRequest
from app.problems import NotFound
from app.settings import Settings
from app.store import cron
from app.store.cron import CronTimes
from app.store.db import Database, now
from app.store.jobs import NewJob
from app.store.keys import KeyPrincipal
from app.store.schedules import Plan
from app.store.triggers import Triggers
from models.errors import InputError
from models.types import JsonObject


class SchedulePlanner:
    """Plans the jobs of schedules on the stored data as they are at the time of the call."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings

    def plan_job(self, tenant_id: int, request: JsonObject, created_by: str) -> NewJob:
        """Return the job that ``request``, the stored body of a job, describes.

        Raises:
            NotFound, SpecError, InputError: the job cannot work, or can no longer work.
        """
        try:
            job = ScheduleEdit.model_validate({"job": request}).job
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            hint = "edit 'job' to be a body for POST /v1/jobs"
            raise InputError.of("bad_field", first["msg"], hint, field=error_location(first["loc"])) from error
        assert job is not None
        return plan_job(self._database, self._settings, KeyPrincipal(tenant_id, created_by, "write"), job)

    def check(self, tenant_id: int, plan: Plan) -> None:
        """Refuse a plan that would never queue a job that works.

        Raises:
            SpecError, InputError: the first field that cannot work.
        """
        with self._database.read() as session:
            moment = now(session)
        cron.check(plan.times or CronTimes("0 0 * * *", plan.zone), moment)
        if plan.cron is None and not plan.triggers.any:
            message = "the schedule has neither a due time nor a trigger"
            raise InputError.of("never_fires", message, "give 'cron' or 'triggers'", field="cron")
        if plan.triggers.any and plan.request.get("revision") is not None:
            message = "triggers watch the newest revision, and the job reads the one that it names"
            hint = "leave 'revision' out, or give 'cron' instead of 'triggers'"
            raise InputError.of("contradiction", message, hint, field="job.revision")
        if plan.misfire == "all" and plan.overlap == "skip":
            message = "misfire 'all' queues several jobs at once, and overlap 'skip' would drop all but the first"
            raise InputError.of("contradiction", message, "give overlap 'queue', or misfire 'once'", field="overlap")
        try:
            self.plan_job(tenant_id, job_request_of(plan), "check")
        except NotFound as error:  # 422 rather than 404: the URL exists, the data set or model of the job does not
            raise InputError.of("not_found", str(error), "create it first, or name another", field="job") from error


def job_request_of(plan: Plan) -> JsonObject:
    """Return the body of the job that ``plan`` queues, with the gate of the schedule if it has one."""
    return plan.request if plan.gate is None else {**plan.request, "gate": plan.gate}


def error_location(loc: Sequence[str | int]) -> str:
    """Return the dotted path of a pydantic error in a schedule's body, without the kind that pydantic puts into it."""
    steps = [step for number, step in enumerate(loc) if not (number == 1 and loc[0] == "job" and step in REQUESTED)]
    return ".".join(map(str, steps))


def new_plan(request: ScheduleRequest) -> Plan:
    """Return the plan of a new schedule."""
    return Plan(**{field.name: _stored(request, field.name) for field in fields(Plan)})


def edit_plan(plan: Plan, request: ScheduleEdit) -> Plan:
    """Return ``plan`` with the fields that ``request`` gives in place of its own."""
    values = {field.name: getattr(plan, field.name) for field in fields(Plan)}
    given = {"request" if name == "job" else name for name in request.model_fields_set}
    if request.job is None:
        given -= {"request"}
    return Plan(**(values | {name: _stored(request, name) for name in given & values.keys()}))


def _stored(request: ScheduleRequest | ScheduleEdit, name: str) -> Any:
    """Return the field ``name`` of a plan as the schedule table stores it."""
    if name == "request":
        assert request.job is not None
        # Fields that were left out stay so: each job is planned on the data of its day.
        body = request.job.model_dump(mode="json", exclude_unset=True, by_alias=True)
        return {"kind": kind_name(request.job), **body}
    if name == "triggers":
        return Triggers.from_json(request.triggers.model_dump(mode="json"))
    if name == "gate":
        return None if request.gate is None else request.gate.model_dump(mode="json")
    return getattr(request, name)
