"""Options of ``forecastle audit-log``."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.grammar import Format, Output, command

audit_log = typer.Typer(help="List, check and export the log of changes.", no_args_is_help=True)

Tenant = Annotated[str | None, typer.Option(help="Name of one tenant; all if left out.")]


@audit_log.command("list")
def list_events(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Events to print, newest first.")] = 100,
    tenant: Tenant = None,
    output: Output = Format.CSV,
) -> None:
    """List the newest events of the audit log: time, tenant, actor, action and subject.

    Example: forecastle audit-log list --limit 20
    """
    command("audit_log").show(limit, tenant, output.value)


@audit_log.command("verify")
def verify(
    tenant: Tenant = None,
    exported: Annotated[
        Path | None, typer.Option(help="An earlier export; each of its events must be in the log as it was.")
    ] = None,
    output: Output = Format.CSV,
) -> None:
    """Check that no event was changed, deleted or moved; exit with status 1 if one was.

    Example: forecastle audit-log verify --exported audit.jsonl
    """
    command("audit_log").verify(tenant, exported, output.value)


@audit_log.command("export")
def export(tenant: Tenant = None) -> None:
    """Print all events as lines of JSON, oldest first.

    Example: forecastle audit-log export > audit.jsonl
    """
    command("audit_log").export(tenant)
