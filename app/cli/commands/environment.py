"""Environment of a command: the settings, the database and the tenant that it works for."""

import os
import sys
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import ArgumentError

from app.cli.commands.console import exit_with_error, print_message
from app.setting_names import unknown_variables
from app.settings import KEY_FILE, SQLITE_FILE, Settings
from app.store import keys
from app.store.db import Database
from app.store.permissions import restrict
from app.store.schema import find_mismatch

TENANT = "default"  # whose data the command line reaches
ACTOR = "cli"  # written down as the creator of jobs and data sets
CONFIGURATION_ERROR = 78  # exit status: EX_CONFIG of sysexits.h


def read_settings() -> Settings:
    """Return the settings of this process; print wrong and unknown ones and exit with status 78."""
    if unknown := list(unknown_variables(os.environ)):
        print_message("\n".join(f"error: {message}" for message in unknown))
        sys.exit(CONFIGURATION_ERROR)
    try:
        settings = _use_earlier_folder(Settings())
    except RuntimeError as error:
        print_message(f"error: FORECASTLE_DATA_DIR: {error}; set it to the folder for the data")
        sys.exit(CONFIGURATION_ERROR)
    except SettingsError as error:
        print_message(f"error: {error}")
        sys.exit(CONFIGURATION_ERROR)
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


def _use_earlier_folder(settings: Settings) -> Settings:
    """Return the settings with the folder ``var`` if an earlier version has kept its data there, and say so.

    Earlier versions kept the data in ``var`` of the working folder unless FORECASTLE_DATA_DIR was set.
    """
    earlier = Path("var").absolute()
    if {"data_dir", "database_url"} & settings.model_fields_set or not (earlier / SQLITE_FILE).is_file():
        return settings
    if (settings.data_dir / SQLITE_FILE).is_file():
        print_message(f"note: using the data in {settings.data_dir}, not those of an earlier version in {earlier}")
        return settings
    move = f"mkdir -p {settings.data_dir.parent} && mv {earlier} {settings.data_dir}"
    print_message(f"note: using the data of an earlier version in {earlier}; to find them from every folder: {move}")
    return settings.model_copy(update={"data_dir": earlier})


def open_database(settings: Settings) -> Database:
    """Return the database; exit with an error if there is none, or one of another schema than this version's."""
    database = find_database(settings)
    if mismatch := find_mismatch(database):
        exit_with_error(f"the database {database.name} cannot be used: {mismatch.message}")
    return database


def find_database(settings: Settings) -> Database:
    """Return the database, of any schema; exit with an error if there is none."""
    database = Database(settings.url, quotas=settings.quotas)
    file = Path(database.name) if database.url.get_backend_name() == "sqlite" else None
    # The file is looked for first, because connecting would create an empty one.
    if file is not None and not file.is_file():
        remedy = "run 'forecastle migrate' to create it, or set FORECASTLE_DATA_DIR to the folder of another one"
        exit_with_error(f"there is no database {file}; {remedy}")
    if file is not None:
        _restrict(file, settings)
    return database


def _restrict(file: Path, settings: Settings) -> None:
    """Let only the owner read the files of the database, and say so if others could."""
    folder = settings.data_dir if settings.database_url is None else None  # another folder may hold other things
    try:
        changed = restrict(file, settings.data_dir / KEY_FILE, folder=folder)
    except PermissionError as error:
        print_message(
            f"note: others may read {error.filename}; its owner can end that with: chmod go= {error.filename}"
        )
        return
    if changed:
        print_message(f"note: others could read {', '.join(map(str, changed))}; now only this user can")


def local_principal(database: Database) -> keys.KeyPrincipal:
    """Return the principal of the command line, with the scope ``write``."""
    with database.write() as session:
        return keys.KeyPrincipal(keys.tenant_id(session, TENANT), ACTOR, "write")
