"""``forecastle schedules``."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from app.cli.commands.console import exit_with_error, print_message, print_table, report_errors
from app.cli.commands.environment import local_principal, open_database, read_settings
from app.planning.schedule_requests import ScheduleRequest
from app.planning.schedules import SchedulePlanner, error_location, new_plan, schedule_answer
from app.schemas.schedules import FiringAnswer
from app.store import firings, schedules
from app.store.tables import Schedule
from models.types import JsonMapping

COLUMNS = ("name", "paused", "cron", "zone", "next_due", "triggers")
SHOWN = 10  # firings


def add(fields: JsonMapping, json_options: Mapping[str, str | None]) -> None:
    """Create a schedule from ``fields`` and from JSON texts, ``json_options``, given by the names of their options."""
    with report_errors():
        settings = read_settings()
        values = {name: _parse_json(name, text) for name, text in json_options.items() if text is not None}
        try:
            request = ScheduleRequest.model_validate({**fields, **values})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field, _, path = error_location(first["loc"]).partition(".")
            exit_with_error(f"--{field.removesuffix('_s')}: {path + ': ' if path else ''}{first['msg']}")
        database = open_database(settings)
        principal, plan = local_principal(database), new_plan(request)
        SchedulePlanner(database, settings).check(principal.tenant_id, plan)
        with database.write() as session:
            row = schedules.create(session, principal.tenant_id, request.name, plan, principal.key_id)
    _print_next_due(row)


def show_all(output: str) -> None:
    """Print the schedules."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.read() as session:
            rows = schedules.list_page(session, tenant_id, 0, schedules.MAX_SCHEDULES)
    cells = []
    for row in rows:
        answer = schedule_answer(row).model_dump(mode="json")
        next_due = answer["next_due"][0] if answer["next_due"] else ""
        cells.append({**answer, "next_due": next_due, "triggers": json.dumps(answer["triggers"])})
    print_table(COLUMNS, [{name: cell[name] for name in COLUMNS} for cell in cells], output)


def show(name: str) -> None:
    """Print one schedule, with its newest firings."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.read() as session:
            answer = schedule_answer(schedules.get(session, tenant_id, name)).model_dump(mode="json")
            rows = firings.list_page(session, tenant_id, name, None, SHOWN)
    fired = [FiringAnswer.model_validate(row).model_dump(mode="json") for row in rows]
    print(json.dumps({**answer, "firings": fired}, indent=2))


def pause(name: str) -> None:
    """Pause a schedule."""
    _write(lambda session, tenant_id: schedules.pause(session, tenant_id, name))
    print_message(f"schedule {name} is paused")


def resume(name: str) -> None:
    """Resume a schedule, and print when it is due next."""
    _print_next_due(_write(lambda session, tenant_id: schedules.resume(session, tenant_id, name)))


def delete(name: str) -> None:
    """Delete a schedule."""
    _write(lambda session, tenant_id: schedules.remove(session, tenant_id, name))
    print_message(f"schedule {name} is deleted")


def _write(change: Callable[[Session, int], Any]) -> Any:
    """Call ``change(session, tenant_id)`` in one write transaction and return its result."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.write() as session:
            return change(session, tenant_id)


def _parse_json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        exit_with_error(f'--{option}: {error}; give JSON, such as \'{{"key": "value"}}\'')


def _print_next_due(row: Schedule) -> None:
    coming = schedule_answer(row).next_due
    due = f"next due {coming[0].isoformat()}" if coming else "waits for its triggers"
    print_message(f"schedule {row.name}: {due}")
