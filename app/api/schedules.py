"""/v1/schedules: jobs that are queued automatically, at due times and by triggers."""

from fastapi import APIRouter, Response

from app.api.http.idempotency import Idempotency, SaveAnswer
from app.api.http.pagination import PageSize, PageToken, after_id, read_page, row_id
from app.api.http.services import Caller, CurrentService, PathName, problems
from app.api.http.write_routes import WriteRoute
from app.planning.schedule_answers import firing_answers, schedule_answer
from app.planning.schedule_requests import ScheduleEdit, ScheduleRequest
from app.planning.schedules import SchedulePlanner, edit_plan, job_request_of, new_plan
from app.schemas.base import Page
from app.schemas.schedules import FiringAnswer, ScheduleAnswer
from app.store import firings, schedules
from app.store.schedules import Edit

router = APIRouter(tags=["schedules"], route_class=WriteRoute)


@router.post("/v1/schedules", status_code=201, responses=problems(403, 409), summary="Create a schedule")
def post_schedule(
    request: ScheduleRequest, response: Response, service: CurrentService, caller: Caller, idempotent: Idempotency
) -> ScheduleAnswer:
    """Create a schedule that queues a job at each due time or when a trigger fires; refuse one that cannot work."""

    def create(save: SaveAnswer) -> ScheduleAnswer:
        plan = new_plan(request)
        SchedulePlanner(service.database, service.settings).check(caller.tenant_id, plan)
        with service.database.write() as session:
            answer = schedule_answer(schedules.create(session, caller.tenant_id, request.name, plan, caller.key_id))
            save(session, answer)
        return answer

    created = idempotent.answer(ScheduleAnswer, create)
    response.headers["Location"] = f"/v1/schedules/{created.name}"
    return created


@router.get("/v1/schedules", responses=problems(), summary="List schedules")
def list_schedules(
    service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[ScheduleAnswer]:
    """Return all schedules, oldest first."""
    with service.database.read() as session:
        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: schedules.list_page(session, caller.tenant_id, after or 0, size),
            lambda rows: [schedule_answer(row) for row in rows],
            row_id,
        )


@router.get("/v1/schedules/{name}", responses=problems(404), summary="Show a schedule")
def get_schedule(name: PathName, service: CurrentService, caller: Caller) -> ScheduleAnswer:
    """Return a schedule with its next five due times and its last firing."""
    with service.database.read() as session:
        newest = firings.list_page(session, caller.tenant_id, name, None, 1)
        fired = firing_answers(session, caller.tenant_id, newest)
        return schedule_answer(schedules.get(session, caller.tenant_id, name), fired[0] if fired else None)


@router.patch("/v1/schedules/{name}", responses=problems(403, 404, 409), summary="Edit a schedule")
def patch_schedule(name: PathName, request: ScheduleEdit, service: CurrentService, caller: Caller) -> ScheduleAnswer:
    """Change the given fields and leave the others; the whole schedule is checked as at its creation."""
    with service.database.read() as session:
        seen = schedules.plan_of(schedules.get(session, caller.tenant_id, name))
    change = Edit(before=seen, after=edit_plan(seen, request))
    SchedulePlanner(service.database, service.settings).check(caller.tenant_id, change.after)
    with service.database.write() as session:
        return schedule_answer(schedules.edit(session, caller.tenant_id, name, change, caller.key_id))


@router.delete("/v1/schedules/{name}", status_code=204, responses=problems(403, 404), summary="Delete a schedule")
def delete_schedule(name: PathName, service: CurrentService, caller: Caller) -> None:
    """Delete a schedule and its firings; its jobs stay."""
    with service.database.write() as session:
        schedules.remove(session, caller.tenant_id, name, caller.key_id)


@router.post("/v1/schedules/{name}/pause", responses=problems(403, 404), summary="Pause a schedule")
def pause_schedule(name: PathName, service: CurrentService, caller: Caller) -> ScheduleAnswer:
    """Stop firing until the schedule is resumed; due times in between are skipped. Repeating this changes nothing."""
    with service.database.write() as session:
        return schedule_answer(schedules.pause(session, caller.tenant_id, name, caller.key_id))


@router.post("/v1/schedules/{name}/resume", responses=problems(403, 404), summary="Resume a schedule")
def resume_schedule(name: PathName, service: CurrentService, caller: Caller) -> ScheduleAnswer:
    """Resume firing from now on. Repeating this changes nothing."""
    with service.database.write() as session:
        return schedule_answer(schedules.resume(session, caller.tenant_id, name, caller.key_id))


@router.post("/v1/schedules/{name}/run", status_code=202, responses=problems(403, 404, 409), summary="Run it now")
def run_schedule(
    name: PathName, response: Response, service: CurrentService, caller: Caller, idempotent: Idempotency
) -> FiringAnswer:
    """Queue the job now, paused or not; the due times stay. ``Location`` has the address of the job."""

    def run(save: SaveAnswer) -> FiringAnswer:
        with service.database.read() as session:
            plan = schedules.plan_of(schedules.get(session, caller.tenant_id, name))
        job = SchedulePlanner(service.database, service.settings).plan_job(
            caller.tenant_id, job_request_of(plan), caller.key_id
        )
        with service.database.write() as session:
            [answer] = firing_answers(
                session, caller.tenant_id, [firings.run_now(session, caller.tenant_id, name, job)]
            )
            save(session, answer)
        return answer

    fired = idempotent.answer(FiringAnswer, run)
    response.headers["Location"] = f"/v1/jobs/{fired.job_id}"
    return fired


@router.get("/v1/schedules/{name}/firings", responses=problems(404), summary="List firings")
def list_firings(
    name: PathName, service: CurrentService, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[FiringAnswer]:
    """Return the firings of a schedule in the last 30 days, newest first."""
    with service.database.read() as session:
        return read_page(
            page_size,
            after_id(page_token),
            lambda after, size: firings.list_page(session, caller.tenant_id, name, after, size),
            lambda rows: firing_answers(session, caller.tenant_id, rows),
            row_id,
        )
