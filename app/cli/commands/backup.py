"""``forecastle backup``."""

from app.cli.commands.console import print_message, report_errors
from app.cli.commands.environment import find_database, read_settings
from app.cli.commands.output_file import new_output
from app.store.backups.dump import write_backup


def backup(name: str) -> None:
    """Write a backup to the file ``name``, or to standard output if it is ``-``."""
    with report_errors():
        database = find_database(read_settings())
        with new_output(name) as out:
            summary = write_backup(database, out)
    print_message(f"backed up {summary}")
