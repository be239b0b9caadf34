"""``forecastle backup``."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.cli.commands.console import exit_with_error, print_message, report_errors
from app.cli.commands.environment import find_database, read_settings
from app.store.backups.dump import write_backup


def backup(name: str) -> None:
    """Write a backup to the file ``name``, or to standard output if it is ``-``."""
    with report_errors():
        database = find_database(read_settings())
        with _standard_output() if name == "-" else _new_file(Path(name)) as out:
            summary = write_backup(database, out)
    print_message(f"backed up {summary}")


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    if sys.stdout.isatty():
        exit_with_error("a backup is no text for a terminal; name a file, or send the output to one with >")
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
