"""GET /v1/usage: the use of the service by the caller's tenant."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from app.api.http.services import Caller, CurrentService, problems
from app.schemas.usage import UsageAnswer, UsageOfDay
from app.store import usage
from app.store.db import now
from models.errors import InputError

router = APIRouter(tags=["usage"])

DAYS = 30  # of a report without a first day


def _check_day(text: object) -> object:
    # Pydantic would read a number as seconds since 1970.
    if isinstance(text, str) and text.lstrip("+-").replace(".", "").isdigit():
        raise ValueError("write a day such as 2026-01-31")
    return text


Day = Annotated[date, BeforeValidator(_check_day)]
First = Annotated[Day | None, Query(alias="from", description=f"First day; {DAYS} days before the last if left out.")]
Last = Annotated[Day | None, Query(alias="to", description="Last day; today if left out.")]


@router.get("/v1/usage", responses=problems(), summary="Show the use of the service by day")
def get_usage(service: CurrentService, caller: Caller, first: First = None, last: Last = None) -> UsageAnswer:
    """Return the use by the caller's tenant on each day (UTC), oldest first; at most 400 days.

    Counts are up to about ten seconds behind.
    """
    with service.database.read() as session:
        last = last or now(session).date()
        first = first or last - timedelta(days=min(DAYS, last.toordinal() - 1))
        if first > last:
            raise InputError.of("bad_days", f"'from' is {first}, after 'to', {last}", "exchange them", field="from")
        rows = usage.list_days(session, caller.tenant_id, first, last)
        return UsageAnswer(items=[UsageOfDay.model_validate(row) for row in rows])
