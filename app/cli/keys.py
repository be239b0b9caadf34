"""``forecastle keys``."""

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.grammar import Format, Output, command

keys = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)


class Scope(StrEnum):
    """What a key allows: reading and forecasting, or everything."""

    READ = "read"
    WRITE = "write"


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[Scope, typer.Option(help="What the key allows.")] = Scope.WRITE,
    tenant: Annotated[str, typer.Option(help="Whose data the key reaches; created if new.")] = "default",
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Days until the key expires; never if left out.")
    ] = None,
) -> None:
    """Create a key and print it: the only time that it is shown.

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


@keys.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="The 8 characters after 'fc_'.")]) -> None:
    """Make a key useless for ever, at once.

    Example: forecastle keys revoke a1b2c3d4
    """
    command("keys").revoke(key_id)
