"""Opening of a backup that a command reads."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def open_backup(name: str) -> Iterator[IO[bytes]]:
    """Open the file ``name``; of standard input (``-``) a temporary copy, as a backup is read twice."""
    if name != "-":
        with Path(name).open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.seek(0)
        yield copy
