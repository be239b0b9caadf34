"""``forecastle schedules add``."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from app.cli.commands.console import exit_with_error, report_errors
from app.cli.commands.environment import local_principal, open_database, read_settings
from app.cli.commands.schedules import print_next_due
from app.planning.schedule_requests import ScheduleRequest
from app.planning.schedules import SchedulePlanner, error_location, new_plan
from app.store import schedules
from models.json_types import JsonMapping


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
            hint = first.get("ctx", {}).get("hint")  # of an unknown field
            message = f"{path + ': ' if path else ''}{first['msg']}{'; ' + hint if hint else ''}"
            exit_with_error(f"--{field.removesuffix('_s')}: {message}")
        database = open_database(settings)
        principal, plan = local_principal(database), new_plan(request)
        SchedulePlanner(database, settings).check(principal.tenant_id, plan)
        with database.write() as session:
            row = schedules.create(session, principal.tenant_id, request.name, plan, principal.key_id)
    print_next_due(row)


def _parse_json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        exit_with_error(f'--{option}: {error}; give JSON, such as \'{{"key": "value"}}\'')
