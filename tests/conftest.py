"""What every test may use: an SQLite database with the newest schema, made once, to be copied."""

from pathlib import Path

import hypothesis
import pytest

from app.store.migrate import migrate

# On a busy machine a slow example says nothing about the code.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty database; migrated once in a run, for copies take no time."""
    file = tmp_path_factory.mktemp("template") / "forecastle.db"
    migrate(f"sqlite:///{file}")
    return file
