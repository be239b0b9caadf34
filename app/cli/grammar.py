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
    """A table by file, ``sample:NAME`` or ``dataset:NAME``, and its frequency; None: read from the data."""

    data: str
    freq: str | None


class VersionChoice(NamedTuple):
    """A version of a model by its number; None: the champion."""

    model: str
    number: int | None


def command(name: str) -> ModuleType:
    """Return the module of a command, imported at its call: ``--help`` must not wait for NumPy and SQLAlchemy."""
    gc.disable()  # the objects that imports create stay: the search for garbage among them takes a tenth of the time
    try:
        return importlib.import_module(f"app.cli.commands.{name}")
    finally:
        gc.enable()


Output = Annotated[Format, typer.Option("--format", help="Output format of the list.")]
