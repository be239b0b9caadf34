"""``forecastle migrate``."""

from app.cli.commands.console import print_message, report_errors
from app.cli.commands.environment import read_settings
from app.store import migrate as migrations
from app.store.db import HEAD, Database


def migrate() -> None:
    """Bring the database to the schema of this version."""
    settings = read_settings()
    with report_errors():
        migrations.migrate(settings.url)
    print_message(f"the database {Database(settings.url).name} has schema {HEAD}")
