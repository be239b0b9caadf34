"""Environment of a command: the settings, the database and the tenant that it works for."""

import os
import sys
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import ArgumentError

from app.cli.commands.console import exit_with_error, print_message
from app.settings import Settings, unknown_variables
from app.store import keys
from app.store.db import Database, at_head

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
