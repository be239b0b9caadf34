"""Parts that the commands share: output formats, the values of repeated options, and the late import of a command."""

import gc
import importlib
from enum import StrEnum
from types import ModuleType
from typing import Annotated, NamedTuple

import typer


class Format(StrEnum):
    """Output format of a table."""

    CSV = "csv"
    JSON = "json"


class TableSource(NamedTuple):
    """Table on the command line. ``data`` is a file, ``sample:NAME`` or ``dataset:NAME``.

    ``freq`` is its frequency; None: inferred from the timestamps. ``options`` has NAME=VALUE texts that tell how
    to read a file.
    """

    data: str
    freq: str | None
    options: list[str]


class VersionChoice(NamedTuple):
    """Version of ``model`` with the number ``number``; the champion if that is None."""

    model: str
    number: int | None


def command(name: str) -> ModuleType:
    """Import and return the module of a command; done only at its call, so that ``--help`` does not wait for NumPy."""
    gc.disable()  # the objects that imports create stay: the search for garbage among them takes a tenth of the time
    try:
        return importlib.import_module(f"app.cli.commands.{name}")
    finally:
        gc.freeze()  # the command itself does not search among them either
        gc.enable()


Output = Annotated[Format, typer.Option("--format", help="Output format of the list.")]
