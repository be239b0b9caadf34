"""Options of ``forecastle models``."""

from typing import Annotated

import typer

from app.cli.grammar import command

models = typer.Typer(help="Archive, delete and restore models, versions and aliases.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="Name of the model.")]


@models.command("delete")
def delete(
    model: Model,
    version: Annotated[int | None, typer.Option(min=1, help="Only this version.")] = None,
    alias: Annotated[str | None, typer.Option(help="Only this alias.")] = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the bytes of what is archived, for good.")] = False,
) -> None:
    """Archive a model or one of its versions, or delete an alias; --purge deletes what is archived.

    Example: forecastle models delete demand --version 1
    """
    command("deletion").delete(model, version, alias, purge)


@models.command("restore")
def restore(model: Model, version: Annotated[int, typer.Option(min=1, help="An archived version.")]) -> None:
    """Take an archived version back into use.

    Example: forecastle models restore demand --version 1
    """
    command("deletion").restore(model, version)
