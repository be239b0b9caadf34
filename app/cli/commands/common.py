"""What several commands need: settings, refusals in plain words, tables on stdout, data by name."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from sqlalchemy.exc import ArgumentError

from app.formats import read_file
from app.problems import ServiceError
from app.settings import Settings
from app.store import datasets, keys, panels
from app.store.db import Database, DatabaseUnreachable, at_head
from models.data.panel import Panel
from models.errors import Fault, ForecastError, InputError

SAMPLES = Path(__file__).parent.parent / "samples"
TENANT = "default"  # whom the command line works for
ACTOR = "cli"  # as whom it signs


@contextmanager
def plain_errors() -> Iterator[None]:
    """Errors that the user can mend are said in one line each; others keep their traceback."""
    try:
        yield
    except InputError as error:
        for fault in error.faults[:-1]:
            tell(f"error: {fault}")
        more = error.total - len(error.faults)
        refuse(f"{error.faults[-1]}" + (f" (and {more} more)" if more else ""))
    except DatabaseUnreachable as error:
        refuse(f"the database does not answer: {error.reason}")
    except (ServiceError, ForecastError) as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.strerror or error}: {error.filename}; check the path and its permissions")


def refuse(message: str) -> NoReturn:
    """Say why not, and exit with status 1."""
    tell(f"error: {message}")
    sys.exit(1)


def tell(message: str) -> None:
    """A line for the person at the terminal."""
    print(message, file=sys.stderr, flush=True)


def read_settings() -> Settings:
    """The settings of this process; a wrong one is named and ends it with status 78 (EX_CONFIG)."""
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            tell(f"error: FORECASTLE_{str(fault['loc'][0]).upper()}: {fault['msg']}")
        sys.exit(78)
    try:
        Database(settings.url)  # connects to nothing, but knows an address that cannot be one
    except (ArgumentError, ImportError, ValueError) as error:
        hint = "give sqlite:////folder/file.db or postgresql+psycopg://user:password@host/name"
        tell(f"error: FORECASTLE_DATABASE_URL: {error}; {hint}")
        sys.exit(78)
    return settings


def migrated(settings: Settings) -> Database:
    """The database, once it is known to have this version's schema."""
    database = Database(settings.url)
    file = database.url.database if database.url.get_backend_name() == "sqlite" else None
    # Asked first, because connecting would make an empty file.
    if (file is not None and not Path(file).is_file()) or not at_head(database):
        refuse("the database does not have this version's schema; run 'forecastle migrate'")
    return database


def caller(database: Database) -> keys.KeyPrincipal:
    """As whom the command line works."""
    with database.write() as session:
        return keys.KeyPrincipal(keys.tenant_id(session, TENANT), ACTOR, "write")


def read_data(database: Database, tenant_id: int, data: str, freq: str | None, max_rows: int) -> Panel:
    """The panel that ``data`` names: a file, ``sample:NAME`` or ``dataset:NAME``.

    Raises:
        NotFound, InputError: there is none, or it cannot be used.
    """
    kind, found, name = data.partition(":")
    if found and kind == "dataset":
        with database.read() as session:
            return panels.load(session, tenant_id, datasets.revision(session, tenant_id, name))
    if found and kind == "sample":
        return read_file(sample(name), freq, max_rows)
    return read_file(Path(data), freq, max_rows)


def sample(name: str) -> Path:
    """The file of a bundled data set."""
    files = {path.stem: path for path in SAMPLES.glob("*.parquet")}
    if name not in files:
        message = f"no sample of the name {name!r}"
        hint = f"the samples are {', '.join(sorted(files))}"
        raise InputError([Fault(code="no_such_sample", message=message, hint=hint)])
    return files[name]


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], output: str) -> None:
    """``rows`` on stdout, as CSV with a header or as a JSON list."""
    if output == "json":
        print(json.dumps(list(rows), allow_nan=False, default=str))
        return
    writer = csv.DictWriter(sys.stdout, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
