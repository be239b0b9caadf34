"""The schema of a database: its number, and whether this release can work with it."""

from typing import NamedTuple

from sqlalchemy import Connection, inspect, text

from app.problems import ServiceError
from app.store.db import HEAD, Database


class NewerSchema(ServiceError):
    """The database was migrated by a newer release."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"it has schema {found} of a newer release, and this one knows the schemas up to {HEAD}: use that release, "
            "or restore a backup from before the upgrade into an empty database"
        )


class Mismatch(NamedTuple):
    """Difference between the schema of a database and that of this release, in words with the remedy."""

    message: str
    is_newer: bool


def schema_number(connection: Connection) -> str | None:
    """Return the number of the newest migration that was applied, such as 0010; None for a database without tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.scalars(text("SELECT version_num FROM alembic_version")).one_or_none()


def is_newer(schema: str) -> bool:
    """Return whether a migration is newer than those of this release."""
    return schema > HEAD  # numbers of four digits


def find_mismatch(database: Database) -> Mismatch | None:
    """Return the difference between the schemas of ``database`` and of this release; None if they are equal.

    Raises:
        DatabaseUnreachable
    """
    with database.read() as session:
        found = schema_number(session.connection())
    if found == HEAD:
        return None
    if found is not None and is_newer(found):
        return Mismatch(str(NewerSchema(found)), True)
    had = "it has no tables yet" if found is None else f"it has schema {found}, and this release needs {HEAD}"
    return Mismatch(f"{had}; run 'forecastle migrate'", False)
