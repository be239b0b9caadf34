"""Copies of the files of an SQLite database that is in use, as an administrator makes them with ``cp`` (R-22)."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from app.store import keys
from app.store.db import Database
from app.store.verification import find_damage


def tenants(file: Path) -> list[str]:
    database = Database(f"sqlite:///{file}")
    with database.read() as session:
        found = list(session.scalars(text("SELECT name FROM tenants ORDER BY id")))
    assert list(find_damage(database)) == []
    database.dispose()
    return found


def test_a_copy_without_the_write_ahead_log_is_an_earlier_whole_state_and_one_with_it_is_the_newest(
    sqlite: Database, tmp_path: Path
) -> None:
    with sqlite.write() as session:
        keys.tenant_id(session, "earlier")
    with closing(sqlite3.connect(sqlite.name)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with sqlite.write() as session:
        keys.tenant_id(session, "newest")
    file = Path(sqlite.name)
    alone, together = tmp_path / "alone.db", tmp_path / "together.db"
    shutil.copy(file, alone)
    shutil.copy(file, together)
    shutil.copy(f"{file}-wal", f"{together}-wal")
    assert tenants(alone)[-1] == "earlier"
    assert tenants(together)[-2:] == ["earlier", "newest"]
