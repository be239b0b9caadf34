"""Options of ``forecastle quotas``."""

from typing import Annotated

import typer

from app.cli.grammar import Format, Output, command

quotas = typer.Typer(help="Set quotas of single tenants in place of the settings.", no_args_is_help=True)

Tenant = Annotated[str, typer.Argument(help="Name of the tenant.")]
Name = Annotated[
    str, typer.Argument(help="Name of the setting in lower case, such as tenant_requests or max_datasets.")
]


@quotas.command("set")
def set_quota(
    tenant: Tenant,
    name: Name,
    value: Annotated[str, typer.Argument(help="A number, or a rate such as 600/min ('' for no limit).")],
) -> None:
    """Set a quota of a tenant; running services follow within about a second.

    Example: forecastle quotas set acme tenant_requests 600/min
    """
    command("quotas").set_one(tenant, name, value)


@quotas.command("reset")
def reset_quota(tenant: Tenant, name: Name) -> None:
    """Let the setting count for a tenant again.

    Example: forecastle quotas reset acme tenant_requests
    """
    command("quotas").reset(tenant, name)


@quotas.command("list")
def list_quotas(
    tenant: Annotated[str | None, typer.Option(help="Name of a tenant; all tenants if left out.")] = None,
    output: Output = Format.CSV,
) -> None:
    """List the quotas that were set for tenants.

    Example: forecastle quotas list --tenant acme
    """
    command("quotas").show(tenant, output.value)
