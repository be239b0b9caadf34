"""Check that a backup of the stack, restored into a second one, forecasts the same."""

import os
import subprocess
import tempfile
from typing import IO, Any

from stack import call, expect

PORT = 18100  # of the second stack's api
SECOND = os.environ | {
    "COMPOSE_PROJECT_NAME": f"{os.environ.get('COMPOSE_PROJECT_NAME', 'forecastle')}-restored",
    "COMPOSE_PROFILES": "",
    "FORECASTLE_PORT": str(PORT),
    "FORECASTLE_APIS": "1",
    "FORECASTLE_WORKERS": "1",
    "FORECASTLE_SCHEDULERS": "1",
}
LIMIT_S = 240.0  # for one command


def check_restore(key: str, order: str, expected: dict[str, Any]) -> None:
    """Check that a second stack gives the ``expected`` forecast for ``order`` after it was filled from a backup."""
    with tempfile.TemporaryFile() as backup:
        compose(dict(os.environ), "exec", "-T", "api", "forecastle", "backup", "-", output=backup)
        expect(backup.tell() > 0, f"a backup of {backup.tell()} bytes is made while the service runs")
        backup.seek(0)
        try:
            compose(SECOND, "up", "--detach", "--no-build", "--wait", "postgres")
            compose(SECOND, "run", "--rm", "--no-deps", "-T", "api", "restore", "-", source=backup)
            compose(SECOND, "up", "--detach", "--no-build", "--wait")
            compose(SECOND, "exec", "-T", "api", "forecastle", "verify")
            status, _, answer = call("POST", "/v1/forecasts", key, order, url=f"http://127.0.0.1:{PORT}")
            expect(status == 200 and answer == expected, "a second stack that is restored forecasts the same", answer)
        finally:
            compose(SECOND, "down", "--volumes", "--timeout", "10")


def compose(
    env: dict[str, str], *arguments: str, source: IO[bytes] | None = None, output: IO[bytes] | None = None
) -> None:
    """Run ``docker compose`` with files as its input and output; it must succeed."""
    command = ["docker", "compose", *arguments]
    pipes = {"stdin": source or subprocess.DEVNULL, "stdout": output or subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run(command, env=env, check=False, timeout=LIMIT_S, **pipes)  # noqa: S603
    expect(done.returncode == 0, f"'{' '.join(command[:4])}' works", done.stderr.decode())
