"""Options of ``forecastle backup``, ``restore`` and ``verify``."""

from typing import Annotated

import typer

from app.cli.grammar import Format, command

maintenance = typer.Typer()

MADE = "A file that 'forecastle backup' wrote; - reads standard input."


@maintenance.command()
def backup(
    file: Annotated[
        str, typer.Argument(help="File to write, readable by its owner only; - writes to standard output.")
    ],
) -> None:
    """Write all data into one file while the service runs: models, data sets, jobs, key hashes, webhook secrets.

    Example: forecastle backup forecastle.backup
    """
    command("backup").backup(file)


@maintenance.command()
def restore(file: Annotated[str, typer.Argument(help=MADE)]) -> None:
    """Restore a backup into an empty database, SQLite or PostgreSQL.

    Example: forecastle restore forecastle.backup
    """
    command("restore").restore(file)


@maintenance.command()
def verify(
    file: Annotated[str | None, typer.Argument(help=f"{MADE} The database if left out.")] = None,
    output: Annotated[Format, typer.Option("--format", help="Output format of the damages.")] = Format.CSV,
) -> None:
    """Check that a backup, or the database with all its stored bytes, is whole; list what is not, with status 1.

    Example: forecastle verify
    """
    command("verify").verify(file, output.value)
