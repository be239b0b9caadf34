"""Child processes: their environment, how they end, and how to recognise a process that has died."""

import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from app.settings import FILE, PREFIX, Settings
from models.types import JsonObject

GRACE_S = 10.0  # between asking a process to stop and killing it
PROC = Path("/proc")


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment in which a child process reads the same settings; a secret in a file stays there."""
    values = {f"{PREFIX}{name.upper()}": value for name, value in settings if value is not None}
    values["FORECASTLE_DATA_DIR"] = settings.data_dir.absolute()
    files = {
        variable: variable.upper().removesuffix(FILE) for variable in os.environ if variable.upper().endswith(FILE)
    }
    kept = {name for name in files.values() if isinstance(values.get(name), SecretStr)}
    inherited = {name: text for name, text in os.environ.items() if files.get(name) not in values.keys() - kept}
    return inherited | {name: _text(value) for name, value in values.items() if name not in kept}


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def end(process: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """Ask ``process`` to end, kill it ``grace_s`` seconds later, and close the pipe to it."""
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    close(process)


def close(process: subprocess.Popen[bytes]) -> None:
    """Close this side of the pipe to the standard input of ``process``."""
    if process.stdin is not None:
        process.stdin.close()


@contextmanager
def hold_stderr() -> Iterator[None]:
    """Keep back the lines that C libraries write to standard error; print them if the block raises an exception.

    TensorFlow prints warnings while it is imported, before any setting or handler of its log has an effect.
    """
    sys.stderr.flush()
    with os.fdopen(os.dup(2), "wb") as terminal, tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            terminal.write(kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal.fileno(), 2)


def watch_parent() -> None:
    """End this process when the pipe on standard input closes, as it does when the parent dies in any way."""

    def end_with_parent() -> None:
        # Not sys.stdin: a thread blocked in its buffer aborts the interpreter's shutdown.
        while os.read(0, 1):
            pass
        os._exit(os.EX_TEMPFAIL)

    threading.Thread(target=end_with_parent, name="watch-parent", daemon=True).start()


def current_identity(name: str) -> JsonObject:
    """Describe this process, as JSON, so that others on its machine can recognise it.

    ``name`` tells apart several dispatchers within one process. ``machine`` identifies the machine, its boot and its
    namespace of process ids, None if the system has no such data; ``born`` is the start of the process in ticks since
    boot.
    """
    return {"name": name, "machine": _machine(), "pid": os.getpid(), "born": _start_ticks(os.getpid())}


def is_dead(other: JsonObject) -> bool:
    """Return whether the process of the identity ``other`` was on this machine and has ended; False if unknown."""
    machine = _machine()
    return machine is not None and other["machine"] == machine and _start_ticks(other["pid"]) != other["born"]


def _machine() -> str | None:
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return None


def _start_ticks(pid: int) -> int | None:
    """Return the start time of a process in ticks since boot; None if it has ended.

    Together with the id it identifies a process, because the system reuses ids.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])  # proc(5): state is the 3rd field, starttime the 22nd
