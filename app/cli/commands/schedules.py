"""``forecastle schedules``, except ``add``."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from app.cli.commands.console import print_message, print_table, report_errors
from app.cli.commands.environment import ACTOR, local_principal, open_database, read_settings
from app.planning.schedule_answers import firing_answers, schedule_answer
from app.store import firings, schedules
from app.store.tables import Schedule

COLUMNS = ("name", "paused", "cron", "zone", "next_due", "triggers")
LISTED = 100_000  # schedules
SHOWN = 10  # firings


def show_all(output: str) -> None:
    """Print the schedules."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.read() as session:
            rows = schedules.list_page(session, tenant_id, 0, LISTED)
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
            fired = [row.model_dump(mode="json") for row in firing_answers(session, tenant_id, rows)]
    print(json.dumps({**answer, "firings": fired}, indent=2))


def pause(name: str) -> None:
    """Pause a schedule."""
    _write(lambda session, tenant_id: schedules.pause(session, tenant_id, name, ACTOR))
    print_message(f"schedule {name} is paused")


def resume(name: str) -> None:
    """Resume a schedule, and print when it is due next."""
    print_next_due(_write(lambda session, tenant_id: schedules.resume(session, tenant_id, name, ACTOR)))


def delete(name: str) -> None:
    """Delete a schedule."""
    _write(lambda session, tenant_id: schedules.remove(session, tenant_id, name, ACTOR))
    print_message(f"schedule {name} is deleted")


def _write(change: Callable[[Session, int], Any]) -> Any:
    """Call ``change(session, tenant_id)`` in one write transaction and return its result."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.write() as session:
            return change(session, tenant_id)


def print_next_due(row: Schedule) -> None:
    """Print when a schedule is due next."""
    coming = schedule_answer(row).next_due
    due = f"next due {coming[0].isoformat()}" if coming else "waits for its triggers"
    print_message(f"schedule {row.name}: {due}")
