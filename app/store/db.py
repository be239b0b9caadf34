"""The database: transactions, the errors of an unreachable database, its clock, and column types."""

import json
import math
import shutil
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, DateTime, Dialect, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import TypeDecorator

from app.problems import StorageFull, Unavailable

HEAD = "0018"  # The newest migration; a constant, because reading it from the scripts costs a server 13 MB of Alembic.

LOCK_TIMEOUT_S = 20
CONNECT_TIMEOUT_S = 10
POOL_TIMEOUT_S = 10  # for a free connection

# SQLSTATE of errors after which the same transaction may succeed later. Classes (the first two characters):
# 08 connection, 28 login, 40 deadlock, 53 no disk, memory or connections, 57 server stops or starts, 58 I/O.
# Codes: a read-only standby, a lock that was not given within LOCK_TIMEOUT_S, a table that is not there, damaged pages.
UNREACHABLE_CLASSES = ("08", "28", "40", "53", "57", "58")
DAMAGED_STATES = ("XX001", "XX002")
UNREACHABLE_STATES = ("25006", "55P03", "42P01", *DAMAGED_STATES)
FULL_STATE = "53100"
MIN_FREE_BYTES = 1024**2  # on the disk of an SQLite file
# The same of SQLite, whose primary codes are in the lowest 8 bits.
DAMAGED_SQLITE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
UNREACHABLE_SQLITE = (
    *DAMAGED_SQLITE,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
)

# JSON has no NaN: PostgreSQL would refuse it, and SQLite would store text that other readers of JSON refuse.
_to_json = partial(json.dumps, allow_nan=False)


class UtcDateTime(TypeDecorator[datetime]):
    """Column type of a time: takes aware datetimes only, and returns aware ones in UTC from every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.utcoffset() is None:
            raise ValueError(f"got {value} without a time zone; give an aware datetime, e.g. datetime.now(UTC)")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class DatabaseUnreachable(Unavailable):
    """The database does not answer, or cannot run the transaction now; the same transaction may succeed later.

    ``reason`` is the driver's own message.
    """

    MESSAGE = "the database does not answer; try again in a few seconds"

    def __init__(self, reason: str) -> None:
        super().__init__(self.MESSAGE)
        self.reason = reason


class DatabaseFull(DatabaseUnreachable, StorageFull):
    """The disk of the database is full: it answers what only reads, and stores nothing."""

    MESSAGE = "the disk of the database is full, so nothing was stored; free space on it and try again"


class DatabaseDamaged(DatabaseUnreachable):
    """The bytes of the database are damaged, or are not those of a database."""

    MESSAGE = "the database is damaged; restore a backup of it into an empty database"


class Database:
    """One database and its connections, in one pool for readers and one for writers; the constructor does not connect.

    Writers that wait for a lock, each with its connection, so leave the readers theirs.

    ``url`` is SQLAlchemy's: ``sqlite:////folder/file.db`` or ``postgresql+psycopg://user:password@host/name``.
    """

    def __init__(self, url: str, *, foreign_keys: bool = True, quotas: Mapping[str, int] | None = None) -> None:
        """Raise ValueError for a ``url`` of another kind, or of an SQLite database without a file.

        Without ``foreign_keys`` SQLite does not enforce them, as a migration that rebuilds a table needs.
        """
        self.url = make_url(url)
        self.quotas = quotas or {}  # of what a tenant stores; the others have their defaults
        self._reader = _engine(self.url, foreign_keys, "BEGIN")
        # On SQLite a writer takes the lock before it reads, so that the rows it read stay as they are.
        self._writer = _engine(self.url, foreign_keys, "BEGIN IMMEDIATE")
        # Close the connections when this object is collected, even without ``dispose``; a session keeps it alive.
        weakref.finalize(self, _dispose, self._reader, self._writer)
        self._is_full = False
        own = {"database": self}
        self._reads = sessionmaker(self._reader, expire_on_commit=False, info=own)
        self._writes = sessionmaker(self._writer, expire_on_commit=False, info=own)

    @property
    def name(self) -> str:
        """Path of an SQLite file, else the URL without its password."""
        if self.url.get_backend_name() != "sqlite":
            return self.url.render_as_string(hide_password=True)
        return str(Path(str(self.url.database)).absolute())

    def read(self) -> AbstractContextManager[Session]:
        """Open a session in one transaction that only reads.

        Raises:
            DatabaseUnreachable: at any time within the block.
        """
        return _transaction(self._reads)

    def write(self) -> AbstractContextManager[Session]:
        """Open a session in one transaction: committed at the end of the block, rolled back on an error.

        Raises:
            DatabaseUnreachable: at any time within the block, or at its end; then the commit may have succeeded.
        """
        return self._watched_write()

    @contextmanager
    def _watched_write(self) -> Iterator[Session]:
        try:
            with _transaction(self._writes) as session:
                yield session
        except DatabaseFull:
            self._is_full = True
            raise

    def has_room(self) -> bool:
        """Return whether the disk has room: for an SQLite file a megabyte; else, the last write did not find it full.

        After a write that found it full, this tries a small one.
        """
        if self.free_bytes() < MIN_FREE_BYTES:  # never of NaN
            return False
        if self._is_full:
            with suppress(DatabaseUnreachable), self.write() as session:
                session.execute(text("UPDATE alembic_version SET version_num = version_num"))
                self._is_full = False
        return not self._is_full

    def connections(self) -> dict[tuple[str, str], int]:
        """Return the number of open connections by pool, ``read`` or ``write``, and by use, ``used`` or ``idle``."""
        pools = {"read": cast(QueuePool, self._reader.pool), "write": cast(QueuePool, self._writer.pool)}
        used = {(name, "used"): pool.checkedout() for name, pool in pools.items()}
        return used | {(name, "idle"): pool.checkedin() for name, pool in pools.items()}

    def free_bytes(self) -> float:
        """Return the free bytes on the disk of an SQLite file; NaN for a server, which alone knows its disk."""
        is_file = self.url.get_backend_name() == "sqlite"
        return _free_bytes(Path(self.name).parent) if is_file else math.nan

    def dispose(self) -> None:
        """Close every connection."""
        _dispose(self._reader, self._writer)


def _dispose(*engines: Engine) -> None:
    for engine in engines:
        engine.dispose()


@contextmanager
def _transaction(sessions: sessionmaker[Session]) -> Iterator[Session]:
    try:
        with sessions.begin() as session:
            yield session
    except SQLAlchemyError as error:
        if not is_unreachable(error):
            raise
        reason = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
        raise _kind(error)(reason) from error


def _kind(error: SQLAlchemyError) -> type[DatabaseUnreachable]:
    original = error.orig if isinstance(error, DBAPIError) else None
    sqlite_code: int = getattr(original, "sqlite_errorcode", None) or 0
    state: str | None = getattr(original, "sqlstate", None)
    if sqlite_code & 0xFF == sqlite3.SQLITE_FULL or state == FULL_STATE:
        return DatabaseFull
    is_damaged = sqlite_code & 0xFF in DAMAGED_SQLITE or state in DAMAGED_STATES
    return DatabaseDamaged if is_damaged else DatabaseUnreachable


def _free_bytes(folder: Path) -> float:
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # there is no such folder: the database is unreachable, which is not for this to say
        return math.inf


def is_unreachable(error: SQLAlchemyError) -> bool:
    """Return whether ``error`` is the database's, not the program's, so that the same transaction may succeed later.

    True for a connection that cannot be made or was lost, a pool without a free connection, a server that stops,
    starts or is a read-only standby, a lock that is held for too long, a full disk, damaged bytes, and a missing table,
    which is how a removed SQLite file shows. False for a violated constraint, a wrong statement, or one after a failed
    one (25P02).
    """
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    sqlite_code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return sqlite_code & 0xFF in UNREACHABLE_SQLITE or "no such table" in str(error.orig)
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is None:  # an error of the client, which got no answer that could have a SQLSTATE
        return isinstance(error, OperationalError)
    return state[:2] in UNREACHABLE_CLASSES or state in UNREACHABLE_STATES


def now(session: Session) -> datetime:
    """Return the time of the database's clock, which all processes share; aware and in UTC."""
    if session.get_bind().dialect.name == "sqlite":
        stamp = session.scalars(text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")).one()
        return datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    moment: datetime = session.scalars(text("SELECT clock_timestamp()")).one()
    return moment.astimezone(UTC)


def insert_if_absent(session: Session, table: type[DeclarativeBase], **values: Any) -> Any | None:
    """Insert a row and return its primary key, or None if a unique constraint shows that it exists already.

    Safe if another transaction inserts the same row: PostgreSQL waits for the end of that transaction.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else _postgresql_insert()
    statement = insert(table).values(**values).on_conflict_do_nothing().returning(*inspect(table).primary_key)
    return session.scalars(statement).one_or_none()


def _postgresql_insert() -> Callable[..., Any]:
    from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 - over SQLite it would cost 2 MB and 25 ms

    return insert


def _engine(url: URL, foreign_keys: bool, begin: str) -> Engine:
    """Return an engine of ``url``, whose transactions on SQLite start with the statement ``begin``."""
    common = {"json_serializer": _to_json, "pool_timeout": POOL_TIMEOUT_S}
    if url.get_backend_name() == "postgresql":
        options = {"connect_timeout": CONNECT_TIMEOUT_S, "options": f"-c lock_timeout={LOCK_TIMEOUT_S}s"}
        return create_engine(url, pool_pre_ping=True, connect_args=options, **common)
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        got = url.render_as_string(hide_password=True)
        raise ValueError(f"got the database address {got!r}; give sqlite:////folder/file.db or postgresql+psycopg://…")
    # No isolation level: the driver begins no transaction on its own, the event below does.
    engine = create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_S, "isolation_level": None}, **common)
    event.listen(engine, "connect", partial(_set_up_sqlite, foreign_keys))
    event.listen(engine, "begin", partial(_execute, begin))
    return engine


def _execute(statement: str, connection: Connection) -> None:
    connection.exec_driver_sql(statement)


def _set_up_sqlite(foreign_keys: bool, connection: Any, _record: Any) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            connection.executescript(
                f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = {foreign_keys:d};"
            )
            return
        except sqlite3.OperationalError:
            # While another process turns a new file to WAL, SQLite does not wait as it does for any other lock.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
