"""``forecastle serve``: the HTTP API, with a worker and a scheduler as processes of their own."""

import json
import logging
import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import uvicorn

from app.cli.commands.console import print_message, report_errors
from app.cli.commands.environment import TENANT, local_principal, open_database, read_settings
from app.cli.commands.port import check_port
from app.edge.bounded_protocol import ConnectionLimits
from app.edge.draining_server import DrainingServer
from app.edge.host_check import OWN_HOSTS, is_loopback
from app.main import create_app
from app.settings import KEY_FILE, Settings
from app.store import datasets, keys, panels, registry
from app.store.db import Database, now
from app.store.permissions import create_private
from app.telemetry import configure_logging
from app.work.processes import close, end, environment
from models.network.spec import Spec

logger = logging.getLogger(__name__)

RESTART_AFTER_S = 1.0
RESERVED_FILES = 100  # for the database, logs and pipes


def serve(host: str | None, port: int | None, worker: bool) -> None:
    """Serve until SIGTERM or SIGINT; with ``worker``, run a worker and a scheduler too, and create a first key."""
    # uvicorn shuts down, then raises the signal again: its default action would end this process before its worker.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    given = {"host": host, "port": port}
    settings = with_own_hosts(read_settings().model_copy(update={k: v for k, v in given.items() if v is not None}))
    configure_logging(settings.log_format)
    check_port(settings.host, settings.port)
    with report_errors():
        database = open_database(settings)
        key_file = _first_key(settings, database) if worker else None
        server = _Server(settings, database, key_file)
    for risk in risks(settings, os.geteuid()):
        print_message(f"note: {risk}")
    if not worker:
        server.run()
        return
    with _CompanionProcess(settings, "scheduler"), _CompanionProcess(settings, "worker"):
        server.run()


def with_own_hosts(settings: Settings) -> Settings:
    """Return the settings with the names of this machine as allowed hosts, if no other machine reaches the service."""
    if settings.allowed_hosts or not is_loopback(settings.host):
        return settings
    return settings.model_copy(update={"allowed_hosts": ",".join((settings.host, *OWN_HOSTS))})


def risks(settings: Settings, user_id: int) -> list[str]:
    """Return notes about a start that is open to attacks: as the user root, or on a network without TLS."""
    found = []
    if user_id == 0:
        found.append("the service runs as root: a fault of it would reach the whole machine; run it as another user")
    if not is_loopback(settings.host):
        message = f"{settings.host} is served over plain HTTP: keys and data can be read on the way"
        found.append(f"{message}; put a proxy with TLS in front")
    return found


class _Server(DrainingServer):
    """HTTP server that prints a banner once it listens."""

    def __init__(self, settings: Settings, database: Database, key_file: Path | None) -> None:
        app = create_app(settings)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http="httptools",
            log_config=None,
            access_log=False,  # the guard logs each request
            proxy_headers=False,  # no code reads the address of the client
        )
        limits = ConnectionLimits(max_connections(settings.max_connections), write_s=settings.write_timeout_s)
        refuse = app.state.service.forecasting.refuse
        super().__init__(config, app.state.drain, refuse, settings.drain_s, limits, settings.drain_delay_s)
        self._database, self._key_file, self._watch = database, key_file, app.state.service.watch

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then print the banner."""
        await super().startup(sockets)
        if not self.should_exit:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            name = f"[{host}]" if ":" in host else host
            example = None if self._key_file is None else _example_request(self._database)
            print_message(banner(f"http://{name}:{port}", self._database.name, self._key_file, example))

    async def finish(self) -> None:
        """End the requests that wait for a job, which could wait forever; then answer the others and close."""
        self._watch.stop()
        await super().finish()


class _CompanionProcess:
    """Process of the command ``command`` that runs as long as the server, and is started again if it ends."""

    def __init__(self, settings: Settings, command: str) -> None:
        self._settings, self._command, self._stop = settings, command, threading.Event()
        self._process = self._start()
        self._thread = threading.Thread(target=self._keep, name=f"keep-{command}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        end(self._process)
        self._thread.join()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "app", self._command, "--with-parent"]
        # Its own process group: Ctrl-C reaches the server, which then ends the others.
        return subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, env=environment(self._settings), start_new_session=True
        )

    def _keep(self) -> None:
        while True:
            status = self._process.wait()
            close(self._process)
            if self._stop.wait(RESTART_AFTER_S):
                return
            logger.error("the %s ended; starting another", self._command, extra={"exit": status})
            self._process = self._start()
            if self._stop.is_set():
                # Stopped during the start: __exit__ may have ended the old process only.
                end(self._process)
                return


def _first_key(settings: Settings, database: Database) -> Path | None:
    """Return the file ``api-key`` of the data folder, which holds a key; create both if the tenant has no keys.

    None: the tenant has other keys, and no file holds a valid one. The key itself is never printed: what a server
    prints is often kept, and read by others.
    """
    file = settings.data_dir / KEY_FILE
    if file.is_file():
        raw = file.read_text().strip()
        with database.read() as session:
            if keys.authenticate(session, raw, now(session)) is not None:
                return file
    with database.write() as session:
        if keys.list_keys(session, TENANT):
            return None
        raw = keys.create_key(session, TENANT, "first", "write", created_by="serve")
        file.unlink(missing_ok=True)
        create_private(file)
        file.write_text(raw + "\n")
    return file


def _example_request(database: Database) -> dict[str, object] | None:
    """Return a forecast request that this database can answer; None if it holds no champion that was trained here."""
    tenant_id = local_principal(database).tenant_id
    with database.read() as session:
        for model in registry.list_models(session, tenant_id, 0, 10):
            version = registry.champion(session, tenant_id, model.name)
            if version is None or version.revision_id is None:
                continue
            revision = datasets.revision_by_id(session, tenant_id, version.revision_id)
            panel = panels.load(session, tenant_id, revision)
            longest = panel.ids[int(panel.lengths.argmax())]  # others may be shorter than the context
            return {
                "model": model.name,
                "dataset": {"name": revision.dataset.name, "ids": [longest]},
                "horizon": min(12, Spec.from_json(version.spec).horizon),
                "levels": [80],
            }
    return None


def max_connections(wanted: int) -> int:
    """Return how many connections to allow: ``wanted``, or fewer where the process may not open so many files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or files - RESERVED_FILES >= wanted:
        return wanted
    allowed = max(files - RESERVED_FILES, files // 2)
    logger.warning("at most %d connections instead of %d: the process may open only %d files", allowed, wanted, files)
    return allowed


def banner(url: str, database: str, key_file: Path | None, example: dict[str, object] | None) -> str:
    """Return the text for a new user: URL, database, file of a key, a command that forecasts, and one that trains."""
    shown = f"in {key_file}" if key_file else "create one with 'forecastle keys create --name NAME'"
    lines = ["", "  Forecastle is ready.", f"  URL      {url}", f"  Data     {database}", f"  API key  {shown}"]
    if example is not None:
        body = shlex.quote(json.dumps(example))
        key = f"$(cat {shlex.quote(str(key_file))})"
        header = f"-H \"Authorization: Bearer {key}\" -H 'Content-Type: application/json'"
        lines += ["", "  Try it:", "", f"  curl -s {url}/v1/forecasts {header} -d {body}"]
    lines += ["", "  Your own data, a CSV file with the columns unique_id, ds, y:", ""]
    return "\n".join([*lines, f"  {command_name()} train data.csv --model mine", ""])


def command_name() -> str:
    """Return how a shell calls this program: by its name if that is on the path, else by its file."""
    file = Path(sys.executable).with_name("forecastle")
    found = shutil.which(file.name)
    return file.name if (found is not None and Path(found) == file) or not file.exists() else shlex.quote(str(file))
