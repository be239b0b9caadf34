"""``forecastle schedules``."""

import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from app.cli.commands.common import caller, migrated, plain_errors, print_table, read_settings, refuse, tell
from app.planning.schedule_requests import ScheduleRequest
from app.planning.schedules import SchedulePlanner, error_location, new_plan, schedule_answer
from app.schemas import FiringAnswer
from app.store import firings, schedules
from app.store.tables import Schedule

COLUMNS = ("name", "paused", "cron", "zone", "next_due", "triggers")
SHOWN = 10  # firings


def add(plan: dict[str, Any], texts: dict[str, str | None]) -> None:
    """Create a schedule; ``texts`` are the parts of it that are JSON."""
    with plain_errors():
        settings = read_settings()
        request = _request({**plan, **_read(texts)})
        database = migrated(settings)
        me = caller(database)
        wanted = new_plan(request)
        SchedulePlanner(database, settings).check(me.tenant_id, wanted)
        with database.write() as session:
            row = schedules.create(session, me.tenant_id, request.name, wanted, me.key_id)
    tell(f"schedule {row.name}: {_next(row)}")


def show_all(output: str) -> None:
    """Print the schedules."""
    with plain_errors():
        database = migrated(read_settings())
        me = caller(database)
        with database.read() as session:
            rows = schedules.list_page(session, me.tenant_id, 0, schedules.MAX_SCHEDULES)
    answers = [schedule_answer(row).model_dump(mode="json") for row in rows]
    print_table(COLUMNS, [{name: _cell(each[name]) for name in COLUMNS} for each in answers], output)


def show(name: str) -> None:
    """Print one schedule, with its newest firings."""
    with plain_errors():
        database = migrated(read_settings())
        me = caller(database)
        with database.read() as session:
            answer = schedule_answer(schedules.get(session, me.tenant_id, name)).model_dump(mode="json")
            rows = firings.list_page(session, me.tenant_id, name, None, SHOWN)
    fired = [FiringAnswer.model_validate(row).model_dump(mode="json") for row in rows]
    print(json.dumps({**answer, "firings": fired}, indent=2))


def pause(name: str) -> None:
    """Pause a schedule."""
    _change(lambda session, tenant_id: schedules.pause(session, tenant_id, name))
    tell(f"schedule {name} is paused")


def resume(name: str) -> None:
    """Go on with a schedule."""
    row = _change(lambda session, tenant_id: schedules.resume(session, tenant_id, name))
    tell(f"schedule {name}: {_next(row)}")


def delete(name: str) -> None:
    """Delete a schedule."""
    _change(lambda session, tenant_id: schedules.remove(session, tenant_id, name))
    tell(f"schedule {name} is deleted")


def _change(what: Callable[[Session, int], Any]) -> Any:
    with plain_errors():
        database = migrated(read_settings())
        me = caller(database)
        with database.write() as session:
            return what(session, me.tenant_id)


def _read(texts: dict[str, str | None]) -> dict[str, Any]:
    given = {}
    for name, text in texts.items():
        if text is not None:
            try:
                given[name] = json.loads(text)
            except ValueError as error:
                refuse(f'--{name}: {error}; give JSON, such as \'{{"key": "value"}}\'')
    return given


def _request(values: dict[str, Any]) -> ScheduleRequest:
    try:
        return ScheduleRequest.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        refuse(f"{error_location(first['loc'])}: {first['msg']}")


def _next(row: Schedule) -> str:
    coming = schedule_answer(row).next_due
    return f"next due {coming[0].isoformat()}" if coming else "waits for its triggers"


def _cell(value: Any) -> Any:
    """What fits in a cell of a table: of due times the next one."""
    if isinstance(value, list):
        return value[0] if value else ""
    return json.dumps(value) if isinstance(value, dict) else value
