"""The API over a test's database, on a real socket; a test can stop it and start it again at the same address."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from app.main import create_app
from app.settings import Settings
from app.store import jobs
from app.store.attempt_secrets import digest_of
from app.store.db import Database
from app.store.tables import Job
from app.work.attempt_credentials import credentials_for
from app.work.job_context_http import HttpJobContext
from tests.app.work.small_jobs import eventually

SECRET = "an-attempts-own-secret"


class Api:
    """``forecastle serve`` without a process of its own."""

    def __init__(self, database: Database, host: str = "127.0.0.1", **settings: object) -> None:
        url = database.url.render_as_string(hide_password=False)
        self._settings = Settings.model_validate({"database_url": url, **settings})
        with socket.socket() as probe:
            probe.bind((host, 0))
            self.host, self.port = probe.getsockname()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        config = uvicorn.Config(
            create_app(self._settings),
            host=self.host,
            port=self.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run)
        self._thread.start()
        eventually(lambda: server.started, 20)

    def stop(self) -> None:
        """Stop the server; harmless when repeated."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(20)
            self._server = None


@contextmanager
def api_of(database: Database, host: str = "127.0.0.1", **settings: object) -> Iterator[Api]:
    """Start the API, and stop it at the end of the block."""
    api = Api(database, host, **settings)
    api.start()
    try:
        yield api
    finally:
        api.stop()


def claim_with_secret(database: Database, secret: str = SECRET, lease_s: float = 600.0) -> Job:
    """Claim the next job, as a dispatcher does for a process on a cluster."""
    with database.write() as session:
        job = jobs.claim(session, "w1", lease_s, runner_sha256=digest_of(secret))
    assert job is not None
    return job


def http_context(api: Api, job: Job, secret: str = SECRET, patience_s: float = 20.0) -> HttpJobContext:
    """Return the context of a job whose process is on a cluster."""
    return HttpJobContext(credentials_for(api.url, job.id, job.token, secret), patience_s, retry_s=0.05)
