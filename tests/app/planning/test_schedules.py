"""Plans of schedules: created from requests, edited, checked, and their jobs."""

from typing import Any

import pytest

from app.planning.schedule_requests import ScheduleEdit, ScheduleRequest
from app.planning.schedules import SchedulePlanner, edit_plan, error_location, job_request_of, new_plan
from app.problems import NotFound
from app.store.triggers import Triggers
from models.errors import InputError
from tests.app.planning.conftest import PlanningRoom
from tests.models.samples import panel_of

JOB = {"model": "demand", "dataset": "sales"}
NIGHTLY = {"name": "nightly", "cron": "30 2 * * *", "job": JOB}


@pytest.fixture(name="planner")
def planner_fixture(room: PlanningRoom) -> SchedulePlanner:
    room.store("sales", panel_of([float(i % 7) for i in range(120)]))
    return SchedulePlanner(room.database, room.settings)


def request(**changes: Any) -> ScheduleRequest:
    return ScheduleRequest.model_validate({**NIGHTLY, **changes})


def test_a_plan_keeps_only_the_fields_of_the_job_that_were_given() -> None:
    plan = new_plan(request())
    assert plan.request == {"kind": "train", **JOB}
    assert (plan.cron, plan.triggers, plan.gate) == ("30 2 * * *", Triggers(), None)


def test_an_edit_replaces_the_fields_that_it_gives() -> None:
    plan = new_plan(request(triggers={"new_rows": 24}))
    edit = ScheduleEdit.model_validate({"cron": None, "job": {**JOB, "refit": False}})
    edited = edit_plan(plan, edit)
    assert (edited.cron, edited.request) == (None, {"kind": "train", **JOB, "refit": False})
    assert edited.triggers == plan.triggers == Triggers(new_rows=24)
    assert edit_plan(plan, ScheduleEdit.model_validate({"job": None})) == plan


def test_the_gate_of_a_schedule_replaces_that_of_its_job() -> None:
    gate = {"minimum_gain": 0.1}
    plan = new_plan(request(gate=gate))
    assert job_request_of(plan)["gate"]["minimum_gain"] == 0.1
    assert "gate" not in job_request_of(new_plan(request()))


def test_the_job_of_a_schedule_is_planned_for_its_creator(room: PlanningRoom, planner: SchedulePlanner) -> None:
    job = planner.plan_job(room.principal.tenant_id, {"kind": "train", **JOB}, "schedule:nightly")
    assert (job.kind, job.model, job.created_by) == ("train", "demand", "schedule:nightly")
    with pytest.raises(NotFound):
        planner.plan_job(room.principal.tenant_id, {**JOB, "dataset": "gone"}, "schedule:nightly")


def test_a_stored_job_with_an_unknown_field_is_refused(room: PlanningRoom, planner: SchedulePlanner) -> None:
    with pytest.raises(InputError, match="edit 'job' to be a body for POST /v1/jobs") as caught:
        planner.plan_job(room.principal.tenant_id, {**JOB, "colour": "red"}, "schedule:nightly")
    assert caught.value.faults[0].field == "job.colour"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"cron": None}, "never_fires", "cron"),
        ({"misfire": "all"}, "contradiction", "overlap"),
        ({"job": {**JOB, "dataset": "gone"}}, "not_found", "job"),
        ({"job": {**JOB, "spec": {"units": 0}}}, "bad_field", "units"),
    ],
)
def test_a_schedule_that_would_never_queue_a_job_is_refused(
    room: PlanningRoom, planner: SchedulePlanner, changes: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        planner.check(room.principal.tenant_id, new_plan(request(**changes)))
    assert (caught.value.faults[0].code, caught.value.faults[0].field) == (code, field)


def test_the_location_of_an_error_leaves_out_the_kind_of_the_job() -> None:
    assert error_location(("job", "train", "spec", "units")) == "job.spec.units"
    assert error_location(("triggers", "drift", "ratio")) == "triggers.drift.ratio"
    assert error_location(("train",)) == "train"
