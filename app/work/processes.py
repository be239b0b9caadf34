"""Processes of ours: what they are told of the settings, how they are ended, and whether one that had a job lives."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from app.settings import Settings

GRACE_S = 10.0  # between asking a process to stop and killing it
PROC = Path("/proc")


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which a child process reads the same settings."""
    own = {f"FORECASTLE_{name.upper()}": str(value) for name, value in settings if value is not None}
    return {**os.environ, **own, "FORECASTLE_DATA_DIR": str(settings.data_dir.absolute())}


def end(process: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """Ask ``process`` to end, and kill it if it does not."""
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    close(process)


def close(process: subprocess.Popen[bytes]) -> None:
    """Close this side of the pipe to a process that has ended."""
    if process.stdin is not None:
        process.stdin.close()


def holder(name: str) -> dict[str, Any]:
    """This process as others on the machine can recognise it; ``name`` tells apart who else is in it."""
    return {"name": name, "machine": _machine(), "pid": os.getpid(), "born": _born(os.getpid())}


def is_dead(other: dict[str, Any]) -> bool:
    """Whether the process that ``holder`` described was one of this machine, and is no more.

    False where that cannot be known, as of another machine's.
    """
    machine = _machine()
    return machine is not None and other["machine"] == machine and _born(other["pid"]) != other["born"]


def _machine() -> str | None:
    """This boot of this machine, and which of its sets of process ids; None where there is no telling."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return None


def _born(pid: int) -> int | None:
    """When a process was started, in ticks since the boot: ids are used again. None where it is no more."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])  # proc(5): state is the 3rd field, starttime the 22nd
