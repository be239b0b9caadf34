"""Answers of the schedules API: rows of the tables of schedules and firings in their public form."""

from collections.abc import Sequence
from itertools import islice
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app.schemas.schedules import FiringAnswer, ScheduleAnswer
from app.store import cron, firings
from app.store.schedules import plan_of
from app.store.tables import Firing, Job, Schedule

SHOWN = 5  # due times in an answer


def schedule_answer(row: Schedule, last_firing: FiringAnswer | None = None) -> ScheduleAnswer:
    """Return the public form of a schedule, with its next due times and its last firing if that is given."""
    plan, coming = plan_of(row), []
    if plan.times is not None and row.due_at is not None:
        due_times = [row.due_at, *islice(cron.after(plan.times, row.due_at), SHOWN - 1)]
        coming = [due_at.astimezone(ZoneInfo(row.zone)) for due_at in due_times]
    own = ScheduleAnswer.model_fields.keys() - {"job", "next_due", "last_firing"}
    same = {name: getattr(row, name) for name in own}
    return ScheduleAnswer(job=row.request, next_due=coming, last_firing=last_firing, **same)


def firing_answers(session: Session, tenant_id: int, rows: Sequence[Firing]) -> list[FiringAnswer]:
    """Return the public form of a page of firings, with the state and the decision of their jobs, in one query."""
    jobs = firings.jobs_of(session, tenant_id, rows)
    return [_firing_answer(row, None if row.job_id is None else jobs.get(row.job_id)) for row in rows]


def _firing_answer(row: Firing, job: Job | None) -> FiringAnswer:
    result = (None if job is None else job.result) or {}
    return FiringAnswer(
        due_at=row.due_at,
        fired_at=row.fired_at,
        cause=row.cause,
        outcome=row.outcome,
        detail=row.detail,
        job_id=row.job_id,
        job_state=None if job is None else job.state,
        verdict=result.get("verdict"),
        reason=_reason(row, job),
    )


def _reason(row: Firing, job: Job | None) -> str:
    """Return in words why the firing had its outcome, or how its job ended."""
    detail = row.detail
    texts = {
        "skipped": f"job {detail.get('unfinished')} of the schedule was unfinished",
        "missed": f"no scheduler ran at {detail.get('missed')} due times, up to {detail.get('until')}",
        "alarm": f"no rows have arrived for {detail.get('data_age_s')} seconds",
        "refused": f"the job cannot be planned: {detail.get('message')}",
    }
    if row.outcome in texts:
        return texts[row.outcome]
    if job is None:
        return "the job was deleted"
    if job.state == "failed" and job.error is not None:
        return f"the job failed: {job.error.get('message')}"
    reason = (job.result or {}).get("reason")
    return str(reason) if reason else f"the job is {job.state}"
