"""Options of ``forecastle keys``."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from app.cli.grammar import Format, Output, command

keys = typer.Typer(help="Create, list, rotate and revoke API keys.", no_args_is_help=True)


class Scope(StrEnum):
    """Permissions of a key; each includes those before it."""

    FORECAST = "forecast"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    OPERATOR = "operator"


KeyId = Annotated[str, typer.Argument(help="The 8 characters after 'fc_'.")]


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="A name by which to recognise the key.")],
    scope: Annotated[
        Scope,
        typer.Option(
            help="forecast: only forecasts; read: also reading; write: also changes; admin: also the keys of the "
            "tenant; operator: also all tenants."
        ),
    ] = Scope.WRITE,
    tenant: Annotated[str, typer.Option(help="Tenant whose data the key can reach; created if it is new.")] = "default",
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Days until the key expires; never if left out.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Time at which the key expires, in UTC; instead of --days.")
    ] = None,
) -> None:
    """Create a key and print it; it is never shown again.

    Example: forecastle keys create --name laptop
    """
    command("keys").create(name, scope.value, tenant, days, until)


@keys.command("list")
def list_keys(
    output: Output = Format.CSV,
) -> None:
    """List the keys, without their secrets.

    Example: forecastle keys list
    """
    command("keys").show(output.value)


@keys.command("rotate")
def rotate_key(
    key_id: KeyId,
    overlap_s: Annotated[
        float, typer.Option(min=0, max=2_592_000, help="Seconds for which the former key works beside the new one.")
    ] = 86_400,
) -> None:
    """Print a new key of the same name, scope and length of life; the former key expires soon.

    Example: forecastle keys rotate a1b2c3d4 --overlap-s 3600
    """
    command("keys").rotate(key_id, overlap_s)


@keys.command("revoke")
def revoke_key(key_id: KeyId) -> None:
    """Revoke a key, at once and for good.

    Example: forecastle keys revoke a1b2c3d4
    """
    command("keys").revoke(key_id)
