"""What is asked of a schedule becomes its plan, checked as if it were due at once."""

from collections.abc import Sequence
from dataclasses import fields
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from app.planning.jobs import plan_job
from app.planning.kinds import REQUESTED, JobRequest, kind_name
from app.planning.schedule_requests import ScheduleEdit, ScheduleRequest
from app.problems import NotFound
from app.schemas import ScheduleAnswer
from app.settings import Settings
from app.store import cron
from app.store.cron import Times
from app.store.db import Database, now
from app.store.jobs import NewJob
from app.store.keys import KeyPrincipal
from app.store.schedules import Plan, plan_of
from app.store.tables import Schedule
from models.errors import Fault, InputError

SHOWN = 5  # due times of an answer


class Planner:
    """Settles what schedules ask for, on the data as they are when it is called."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings

    def settle(self, tenant_id: int, request: dict[str, Any], created_by: str) -> NewJob:
        """The job that ``request``, the stored body of a job, describes.

        Raises:
            NotFound, SpecError, InputError: it cannot work, or not any more.
        """
        try:
            asked = ScheduleEdit.model_validate({"job": request}).job
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = where_of(first["loc"])
            raise _refusal("bad_field", where, first["msg"], "edit 'job' to be a body for POST /v1/jobs") from error
        assert asked is not None
        return plan_job(self._database, self._settings, KeyPrincipal(tenant_id, created_by, "write"), asked)

    def check(self, tenant_id: int, plan: Plan) -> None:
        """Refuse what could never fire a job that works.

        Raises:
            SpecError, InputError: naming the field, and what to do.
        """
        with self._database.read() as session:
            moment = now(session)
        cron.check(plan.times or Times("0 0 * * *", plan.zone), moment)
        if plan.cron is None and not plan.triggers:
            raise _refusal("never_fires", "cron", "neither a due time nor a trigger", "give 'cron' or 'triggers'")
        if plan.misfire == "all" and plan.overlap == "skip":
            message = "of jobs made all at once, 'skip' leaves all but the first out"
            raise _refusal("contradiction", "overlap", message, "give overlap 'queue', or misfire 'once'")
        try:
            self.settle(tenant_id, asked_of(plan), "check")
        except NotFound as error:  # of the address that is called nothing is missing
            raise _refusal("not_found", "job", str(error), "create it first, or name another") from error


def asked_of(plan: Plan) -> dict[str, Any]:
    """The body of the job that the plan fires."""
    return plan.request if plan.gate is None else {**plan.request, "gate": plan.gate}


def where_of(loc: Sequence[str | int]) -> str:
    """The place of an error in a schedule's body; of a job, pydantic names the kind among the steps to its fields."""
    steps = [step for number, step in enumerate(loc) if not (number == 1 and loc[0] == "job" and step in REQUESTED)]
    return ".".join(map(str, steps))


def new_plan(request: ScheduleRequest) -> Plan:
    """The plan of a new schedule."""
    values = {field.name: getattr(request, field.name) for field in fields(Plan) if field.name != "request"}
    return Plan(**{**values, "triggers": _triggers(request), "request": _job(request.job), "gate": _gate(request)})


def edited(plan: Plan, request: ScheduleEdit) -> Plan:
    """``plan`` with what the request names in place of its own."""
    values = {field.name: getattr(plan, field.name) for field in fields(Plan)}
    given = {name: getattr(request, name) for name in request.model_fields_set if name in values}
    if "triggers" in given:
        given["triggers"] = _triggers(request)
    if "gate" in given:
        given["gate"] = _gate(request)
    if request.job is not None:
        given["request"] = _job(request.job)
    return Plan(**(values | given))


def answer_of(row: Schedule) -> ScheduleAnswer:
    """The public face of a schedule."""
    plan = plan_of(row)
    coming = []
    if plan.times is not None and row.due_at is not None:
        dues = [row.due_at, *islice(cron.after(plan.times, row.due_at), SHOWN - 1)]
        coming = [each.astimezone(ZoneInfo(row.zone)) for each in dues]
    same = {name: getattr(row, name) for name in ScheduleAnswer.model_fields if name not in {"job", "next_due"}}
    return ScheduleAnswer(job=row.request, next_due=coming, **same)


def _job(request: JobRequest) -> dict[str, Any]:
    # What was left out stays open: it is settled on the data of each day.
    return {"kind": kind_name(request), **request.model_dump(mode="json", exclude_unset=True, by_alias=True)}


def _triggers(request: ScheduleRequest | ScheduleEdit) -> dict[str, Any]:
    given = request.triggers.model_dump(mode="json", exclude_none=True)
    return {} if given.keys() == {"pause_s"} else given


def _gate(request: ScheduleRequest | ScheduleEdit) -> dict[str, Any] | None:
    return None if request.gate is None else request.gate.model_dump(mode="json")


def _refusal(code: str, field: str, message: str, hint: str) -> InputError:
    return InputError([Fault(code=code, field=field, message=message, hint=hint)])
