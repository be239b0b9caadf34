"""Answers of the schedules API: a row of the schedule table in its public form."""

from itertools import islice
from zoneinfo import ZoneInfo

from app.schemas.schedules import ScheduleAnswer
from app.store import cron
from app.store.schedules import plan_of
from app.store.tables import Schedule

SHOWN = 5  # due times in an answer


def schedule_answer(row: Schedule) -> ScheduleAnswer:
    """Return the public form of a schedule, with its next due times."""
    plan, coming = plan_of(row), []
    if plan.times is not None and row.due_at is not None:
        due_times = [row.due_at, *islice(cron.after(plan.times, row.due_at), SHOWN - 1)]
        coming = [due_at.astimezone(ZoneInfo(row.zone)) for due_at in due_times]
    same = {name: getattr(row, name) for name in ScheduleAnswer.model_fields if name not in {"job", "next_due"}}
    return ScheduleAnswer(job=row.request, next_due=coming, **same)
