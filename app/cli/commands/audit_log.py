"""``forecastle audit-log``."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from app.cli.commands.console import exit_with_error, print_table, report_errors
from app.cli.commands.environment import open_database, read_settings
from app.store import audit_chain, audit_log
from models.json_types import JsonObject

COLUMNS = ("tenant", "events", "sha256")  # of a chain


def show(limit: int, tenant: str | None, output: str) -> None:
    """Print the newest events."""
    with report_errors(), open_database(read_settings()).read() as session:
        rows = [dataclasses.asdict(event) for event in audit_log.newest(session, limit, tenant)]
    if output == "csv":
        rows = [{**row, "detail": json.dumps(row["detail"])} for row in rows]
    print_table([field.name for field in dataclasses.fields(audit_log.EventInfo)], rows, output)


def verify(tenant: str | None, exported: Path | None, output: str) -> None:
    """Print the length and the last SHA-256 of each chain; exit with an error if one has a fault."""
    with report_errors(), open_database(read_settings()).read() as session:
        chains = audit_chain.verify(session, tenant)
        difference = None if exported is None else audit_chain.find_difference(session, _events(exported))
    faults = [f"tenant {chain.tenant!r}: {chain.fault}" for chain in chains if chain.fault is not None]
    if difference is not None:
        faults.append(f"{exported}: {difference}")
    if faults:
        exit_with_error("; ".join(faults))
    rows = [{name: getattr(chain, name) for name in COLUMNS} for chain in chains]
    print_table(COLUMNS, rows, output)


def export(tenant: str | None) -> None:
    """Print all events as lines of JSON."""
    with report_errors(), open_database(read_settings()).read() as session:
        for event in audit_log.all_events(session, tenant):
            print(json.dumps({**dataclasses.asdict(event), "at": event.at.isoformat()}))


def _events(file: Path) -> Iterator[JsonObject]:
    """Yield the events of an export."""
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                event: JsonObject = json.loads(line)
                yield {name: event[name] for name in ("tenant", "sequence", "sha256")}
            except (ValueError, KeyError, TypeError):
                exit_with_error(f"{file}, line {number} is not an event; give a file of 'forecastle audit-log export'")
