"""Files that commands write whole, or not at all."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from app.cli.commands.console import exit_with_error


def new_output(name: str) -> AbstractContextManager[IO[bytes]]:
    """Open the file ``name`` for a command's output, or standard output if it is ``-``."""
    return _standard_output() if name == "-" else _new_file(Path(name))


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    if sys.stdout.isatty():
        exit_with_error("this is no text for a terminal; name a file, or send the output to one with >")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets the name ``path`` when it is complete and on the disk; readable by its owner only."""
    if path.exists() and not path.is_file():
        exit_with_error(f"{path} is not a file that could be replaced; give another name, or - for standard output")
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", suffix=".part", delete=False) as out:
        try:
            yield out.file
            out.flush()
            os.fsync(out.fileno())
            Path(out.name).replace(path)
        except BaseException:
            Path(out.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the name survives a loss of power, too
    finally:
        os.close(folder)
