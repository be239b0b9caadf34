"""Options of ``forecastle keys``."""

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.grammar import Format, Output, command

keys = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)


class Scope(StrEnum):
    """Permissions of a key: to read and forecast, or everything."""

    READ = "read"
    WRITE = "write"


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="A name by which to recognise the key.")],
    scope: Annotated[Scope, typer.Option(help="read: to read and forecast; write: everything.")] = Scope.WRITE,
    tenant: Annotated[str, typer.Option(help="Tenant whose data the key can reach; created if it is new.")] = "default",
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Days until the key expires; never if left out.")
    ] = None,
) -> None:
    """Create a key and print it; it is never shown again.

    Example: forecastle keys create --name laptop
    """
    command("keys").create(name, scope.value, tenant, days)


@keys.command("list")
def list_keys(
    output: Output = Format.CSV,
) -> None:
    """List the keys, without their secrets.

    Example: forecastle keys list
    """
    command("keys").show(output.value)


@keys.command("events")
def list_events(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Events to print, newest first.")] = 100,
    output: Output = Format.CSV,
) -> None:
    """List the events of keys: created or revoked, by which user.

    Example: forecastle keys events --limit 20
    """
    command("keys").show_events(limit, output.value)


@keys.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="The 8 characters after 'fc_'.")]) -> None:
    """Revoke a key, at once and for good.

    Example: forecastle keys revoke a1b2c3d4
    """
    command("keys").revoke(key_id)
