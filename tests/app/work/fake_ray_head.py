"""A fake head of a Ray cluster: it answers Ray's Jobs REST API over a real socket and runs real processes.

What it answers was read off Ray 2.60; tests/faults/test_ray.py holds the real one to the same.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "of-the-cluster"


@dataclass
class FakeHead:
    """A head on a free port. ``submitted``: every accepted submission; ``runs``: the processes, by submission id.

    ``instead``: what it runs in place of what it is told to.
    """

    token: str = TOKEN
    instead: str | None = None
    port: int = 0
    submitted: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    lost_answers: int = 0  # how many submissions are taken while their answer is lost
    refuse: int | None = None  # the status with which it refuses every submission
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """The address of the head."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start to listen, on the same port as before."""
        head = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(*head.get(self.path) if self._may() else (401, b"Unauthorized"))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                self._answer(*head.post(self.path, body) if self._may() else (401, b"Unauthorized"))

            def _may(self) -> bool:
                return self.headers.get("authorization") == f"Bearer {head.token}"

            def _answer(self, status: int, body: bytes) -> None:
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def die(self) -> None:
        """Kill every process, and forget them."""
        self.stop()
        for run in self.runs.values():
            run.kill()
            run.wait()
        self.runs.clear()

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        if path == "/api/version":
            return 200, json.dumps({"version": "4", "ray_version": "2.60.0"}).encode()
        name = path.removeprefix("/api/jobs/")
        if name not in self.runs:
            return 404, f"Job {name} does not exist".encode()
        code = self.runs[name].poll()
        status = "RUNNING" if code is None else "STOPPED" if name in self.stopped else "FAILED" if code else "SUCCEEDED"
        # A shell runs it: death by signal n reads 128 + n.
        shown = None if code is None else 128 - code if code < 0 else code
        return 200, json.dumps({"submission_id": name, "status": status, "driver_exit_code": shown}).encode()

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body; the status 0 breaks the connection."""
        if path != "/api/jobs/":
            return self._stop(path.removeprefix("/api/jobs/").removesuffix("/stop"))
        order = json.loads(body)
        name = order["submission_id"]
        if self.refuse is not None:
            return self.refuse, b"Traceback"
        if name in self.runs:
            return 500, f"ValueError: Job with submission_id {name} already exists.".encode()
        self.submitted.append(order)
        own = {**os.environ, **order["runtime_env"]["env_vars"], "RAY_AUTH_TOKEN": self.token}
        own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
        self.runs[name] = subprocess.Popen(
            shlex.split(self.instead or order["entrypoint"]), env=own, stdin=subprocess.DEVNULL
        )
        if self.lost_answers:
            self.lost_answers -= 1
            return 0, b""
        return 200, json.dumps({"job_id": name, "submission_id": name}).encode()

    def _stop(self, name: str) -> tuple[int, bytes]:
        if name not in self.runs:
            return 404, b"does not exist"
        if self.runs[name].poll() is None:
            self.stopped.add(name)
            self.runs[name].send_signal(signal.SIGTERM)
        return 200, json.dumps({"stopped": True}).encode()


@contextmanager
def fake_head(instead: str | None = None) -> Iterator[FakeHead]:
    """Start a head; kill it and its processes at the end of the block."""
    head = FakeHead(instead=instead)
    head.start()
    try:
        yield head
    finally:
        head.die()
