"""Options of ``forecastle tenants``."""

from typing import Annotated

import typer

from app.cli.grammar import Format, Output, command

tenants = typer.Typer(help="List, create, suspend, resume, export and delete tenants.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the tenant.")]


@tenants.command("list")
def list_tenants(output: Output = Format.CSV) -> None:
    """List the tenants, oldest first.

    Example: forecastle tenants list
    """
    command("tenants").show(output.value)


@tenants.command("create")
def create(name: Name) -> None:
    """Create a tenant without keys.

    Example: forecastle tenants create acme
    """
    command("tenants").create(name)


@tenants.command("suspend")
def suspend(name: Name) -> None:
    """Refuse the keys of a tenant, and let its queued jobs and its schedules wait; running jobs finish.

    Example: forecastle tenants suspend acme
    """
    command("tenants").suspend(name)


@tenants.command("resume")
def resume(name: Name) -> None:
    """End the suspension of a tenant.

    Example: forecastle tenants resume acme
    """
    command("tenants").resume(name)


@tenants.command("export")
def export(
    name: Name, file: Annotated[str, typer.Argument(help="File of the archive; '-' for standard output.")]
) -> None:
    """Write all that a tenant has into a ZIP archive, without secrets.

    Example: forecastle tenants export acme acme.zip
    """
    command("tenants").export(name, file)


@tenants.command("delete")
def delete(name: Name) -> None:
    """Delete a suspended tenant with all that belongs to it, for ever.

    Example: forecastle tenants delete acme
    """
    command("tenants").delete(name)
