"""``forecastle verify``."""

import sys

from app.cli.commands.backup_source import open_backup
from app.cli.commands.console import print_message, print_table, report_errors
from app.cli.commands.environment import find_database, read_settings
from app.store.backups.file import check_backup
from app.store.verification import Damage, find_damage


def verify(name: str | None, output: str) -> None:
    """Check the backup ``name``, or the database if it is None; exit with status 1 if it is damaged."""
    with report_errors():
        if name is not None:
            with open_backup(name) as file:
                print_message(f"the backup is whole: {check_backup(file)}")
            return
        database = find_database(read_settings())
        found = list(find_damage(database))
    print_table(Damage._fields, [damage._asdict() for damage in found], output)
    if found:
        sys.exit(1)
    print_message(f"the database {database.name} is whole")
