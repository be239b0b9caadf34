"""Permissions of the files of an SQLite database: only their owner reads them, as they hold the data of all tenants."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

OWNER_FILE, OWNER_FOLDER = 0o600, 0o700
OTHERS = 0o077  # bits of everybody but the owner


def create_private(file: Path) -> None:
    """Create an empty ``file`` and its folder for their owner alone, unless they exist.

    SQLite gives the files that it adds beside a database the permissions of the database.
    """
    file.parent.mkdir(mode=OWNER_FOLDER, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, OWNER_FILE))


def restrict(file: Path, *more: Path, folder: Path | None = None) -> list[Path]:
    """Take the permissions of others from a database ``file``, ``more`` files and ``folder``; return those changed.

    A folder that many share (one with the sticky bit, the user's home or working folder) is left alone.

    Raises:
        PermissionError: the user of this process does not own them.
    """
    beside = [file.with_name(file.name + suffix) for suffix in ("", "-wal", "-shm")]
    changed = list(_restrict([*beside, *more], OWNER_FILE))
    if folder is not None and not _is_shared(folder):
        changed += _restrict([folder], OWNER_FOLDER)
    return changed


def _restrict(paths: Sequence[Path], mode: int) -> Iterator[Path]:
    for path in paths:
        if path.exists() and path.stat().st_mode & OTHERS:
            path.chmod(mode)
            yield path


def _is_shared(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_ISVTX) or folder.absolute() in {Path.home(), Path.cwd()}
