"""What all parts of the command line are made of."""

import gc
import importlib
from enum import StrEnum
from types import ModuleType
from typing import Annotated

import typer


class Format(StrEnum):
    """How tables are printed."""

    CSV = "csv"
    JSON = "json"


def command(name: str) -> ModuleType:
    """The module of a command, imported when it is called: ``--help`` must not wait for NumPy and SQLAlchemy."""
    gc.disable()  # what imports make stays: to look for garbage among it takes a tenth of their time
    try:
        return importlib.import_module(f"app.cli.commands.{name}")
    finally:
        gc.enable()


Output = Annotated[Format, typer.Option("--format", help="How to print the list.")]
