"""Environment of a command: the settings, the database, the tenant that it works for, and tables by name."""

import os
import sys
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import ArgumentError

from app.cli.commands.console import exit_with_error, print_message
from app.formats import read_file
from app.settings import Settings, unknown_variables
from app.store import datasets, keys, panels
from app.store.db import Database, at_head
from models.data.frequency_choice import FreqChoice
from models.data.panel import Panel
from models.errors import InputError

SAMPLES = Path(__file__).parents[2] / "samples"
TENANT = "default"  # whose data the command line reaches
ACTOR = "cli"  # written down as the creator of jobs and data sets
CONFIGURATION_ERROR = 78  # exit status: EX_CONFIG of sysexits.h


def read_settings() -> Settings:
    """Return the settings of this process; print wrong and unknown ones and exit with status 78."""
    if unknown := list(unknown_variables(os.environ)):
        print_message("\n".join(f"error: {message}" for message in unknown))
        sys.exit(CONFIGURATION_ERROR)
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            print_message(f"error: FORECASTLE_{str(fault['loc'][0]).upper()}: {fault['msg']}")
        sys.exit(CONFIGURATION_ERROR)
    try:
        Database(settings.url)  # connects to nothing, but refuses a malformed URL
    except (ArgumentError, ImportError, ValueError) as error:
        hint = "give sqlite:////folder/file.db or postgresql+psycopg://user:password@host/name"
        print_message(f"error: FORECASTLE_DATABASE_URL: {error}; {hint}")
        sys.exit(CONFIGURATION_ERROR)
    return settings


def open_database(settings: Settings) -> Database:
    """Return the database; exit with an error if it does not have the schema of this version."""
    database = Database(settings.url)
    file = database.url.database if database.url.get_backend_name() == "sqlite" else None
    # The file is looked for first, because connecting would create an empty one.
    if (file is not None and not Path(file).is_file()) or not at_head(database):
        exit_with_error("the database does not have this version's schema; run 'forecastle migrate'")
    return database


def local_principal(database: Database) -> keys.KeyPrincipal:
    """Return the principal of the command line, with the scope ``write``."""
    with database.write() as session:
        return keys.KeyPrincipal(keys.tenant_id(session, TENANT), ACTOR, "write")


def load_panel(database: Database, tenant_id: int, data: str, freq: FreqChoice, max_rows: int) -> Panel:
    """Return the panel that ``data`` names: the path of a file, ``sample:NAME`` or ``dataset:NAME``.

    Raises:
        NotFound, InputError: there is none, or it cannot be used.
    """
    kind, colon, name = data.partition(":")
    if colon and kind == "dataset":
        with database.read() as session:
            return panels.load(session, tenant_id, datasets.revision(session, tenant_id, name))
    return read_file(sample_file(name) if colon and kind == "sample" else Path(data), freq, max_rows)


def sample_file(name: str) -> Path:
    """Return the file of a bundled data set. Raise InputError if there is none of that name."""
    files = {path.stem: path for path in SAMPLES.glob("*.parquet")}
    if name not in files:
        hint = f"the samples are {', '.join(sorted(files))}"
        raise InputError.of("no_such_sample", f"no sample of the name {name!r}", hint)
    return files[name]
