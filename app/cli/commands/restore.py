"""``forecastle restore``."""

from app.cli.commands.backup_source import open_backup
from app.cli.commands.console import print_message, report_errors
from app.cli.commands.environment import read_settings
from app.store.backups import load
from app.store.db import HEAD, Database


def restore(name: str) -> None:
    """Restore the backup in the file ``name`` into the database of the settings, which has no rows."""
    settings = read_settings()
    with report_errors(), open_backup(name) as file:
        summary = load.restore(settings.url, file)
    print_message(f"restored {summary}, into {Database(settings.url).name}, which has schema {HEAD}")
