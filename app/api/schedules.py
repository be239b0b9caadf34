"""/v1/schedules: jobs that are made by themselves, at due times and by triggers."""

from fastapi import APIRouter, Response

from app.api.http.idempotency import Keep, OnlyOnce
from app.api.http.pagination import MAX_PAGE_SIZE, PageSize, PageToken, after_id, next_token
from app.api.http.services import Caller, PathName, Services, problems
from app.planning.schedule_requests import ScheduleEdit, ScheduleRequest
from app.planning.schedules import SchedulePlanner, edit_plan, job_request_of, new_plan, schedule_answer
from app.schemas.base import Page
from app.schemas.schedules import FiringAnswer, ScheduleAnswer
from app.store import firings, schedules

router = APIRouter(tags=["schedules"])


@router.post("/v1/schedules", status_code=201, responses=problems(403, 409), summary="Create a schedule")
def post_schedule(
    request: ScheduleRequest, response: Response, the: Services, caller: Caller, once: OnlyOnce
) -> ScheduleAnswer:
    """Have a job made at each due time, or when a trigger says so. What could never work is refused at once."""

    def create(keep: Keep) -> ScheduleAnswer:
        plan = new_plan(request)
        SchedulePlanner(the.database, the.settings).check(caller.tenant_id, plan)
        with the.database.write() as session:
            answer = schedule_answer(schedules.create(session, caller.tenant_id, request.name, plan, caller.key_id))
            keep(session, answer)
        return answer

    made = once(ScheduleAnswer, create)
    response.headers["Location"] = f"/v1/schedules/{made.name}"
    return made


@router.get("/v1/schedules", responses=problems(), summary="List schedules")
def list_schedules(
    the: Services, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[ScheduleAnswer]:
    """All schedules, oldest first."""
    size = min(page_size, MAX_PAGE_SIZE)
    with the.database.read() as session:
        rows = schedules.list_page(session, caller.tenant_id, after_id(page_token) or 0, size)
    items = [schedule_answer(row) for row in rows]
    return Page(items=items, next_page_token=next_token(rows, size, rows[-1].id if rows else None))


@router.get("/v1/schedules/{name}", responses=problems(404), summary="Show a schedule")
def get_schedule(name: PathName, the: Services, caller: Caller) -> ScheduleAnswer:
    """A schedule as it is now, with its next five due times."""
    with the.database.read() as session:
        return schedule_answer(schedules.get(session, caller.tenant_id, name))


@router.patch("/v1/schedules/{name}", responses=problems(403, 404, 409), summary="Edit a schedule")
def patch_schedule(name: PathName, request: ScheduleEdit, the: Services, caller: Caller) -> ScheduleAnswer:
    """Change what is given and leave the rest; the whole is checked as at its creation."""
    with the.database.read() as session:
        seen = schedules.plan_of(schedules.get(session, caller.tenant_id, name))
    plan = edit_plan(seen, request)
    SchedulePlanner(the.database, the.settings).check(caller.tenant_id, plan)
    with the.database.write() as session:
        return schedule_answer(schedules.edit(session, caller.tenant_id, name, seen, plan))


@router.delete("/v1/schedules/{name}", status_code=204, responses=problems(403, 404), summary="Delete a schedule")
def delete_schedule(name: PathName, the: Services, caller: Caller) -> None:
    """Delete a schedule and the list of its firings; the jobs that it has made stay."""
    with the.database.write() as session:
        schedules.remove(session, caller.tenant_id, name)


@router.post("/v1/schedules/{name}/pause", responses=problems(403, 404), summary="Pause a schedule")
def pause_schedule(name: PathName, the: Services, caller: Caller) -> ScheduleAnswer:
    """Let nothing come of it until it is resumed; what comes due meanwhile is not made good. Twice is harmless."""
    with the.database.write() as session:
        return schedule_answer(schedules.pause(session, caller.tenant_id, name))


@router.post("/v1/schedules/{name}/resume", responses=problems(403, 404), summary="Resume a schedule")
def resume_schedule(name: PathName, the: Services, caller: Caller) -> ScheduleAnswer:
    """Go on from now. Twice is harmless."""
    with the.database.write() as session:
        return schedule_answer(schedules.resume(session, caller.tenant_id, name))


@router.post("/v1/schedules/{name}/run", status_code=202, responses=problems(403, 404, 409), summary="Run it now")
def run_schedule(name: PathName, response: Response, the: Services, caller: Caller, once: OnlyOnce) -> FiringAnswer:
    """Make its job now, paused or not; its due times stay. The job's address is in ``Location``."""

    def run(keep: Keep) -> FiringAnswer:
        with the.database.read() as session:
            plan = schedules.plan_of(schedules.get(session, caller.tenant_id, name))
        job = SchedulePlanner(the.database, the.settings).plan_job(
            caller.tenant_id, job_request_of(plan), caller.key_id
        )
        with the.database.write() as session:
            answer = FiringAnswer.model_validate(firings.run_now(session, caller.tenant_id, name, job))
            keep(session, answer)
        return answer

    fired = once(FiringAnswer, run)
    response.headers["Location"] = f"/v1/jobs/{fired.job_id}"
    return fired


@router.get("/v1/schedules/{name}/firings", responses=problems(404), summary="List firings")
def list_firings(
    name: PathName, the: Services, caller: Caller, page_token: PageToken = None, page_size: PageSize = 50
) -> Page[FiringAnswer]:
    """What has come of a schedule within the last 30 days, newest first."""
    size = min(page_size, MAX_PAGE_SIZE)
    with the.database.read() as session:
        rows = firings.list_page(session, caller.tenant_id, name, after_id(page_token), size)
    items = [FiringAnswer.model_validate(row) for row in rows]
    return Page(items=items, next_page_token=next_token(rows, size, rows[-1].id if rows else None))
