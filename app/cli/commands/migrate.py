"""``forecastle migrate``."""

from app.cli.commands.common import plain_errors, read_settings, tell
from app.store import migrate as scripts
from app.store.db import HEAD


def migrate() -> None:
    """Bring the database to this version's schema."""
    settings = read_settings()
    with plain_errors():
        scripts.migrate(settings.url)
    tell(f"the database has schema {HEAD}")
