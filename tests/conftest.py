"""What every test may use: an SQLite database with the newest schema, made once, to be copied."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from app.store.migrate import migrate

# On a busy machine a slow example says nothing about the code.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")
# Networks of tests are small and train for a moment: optimising their machine code takes a quarter of the time of a
# training. Processes that a test starts inherit this.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

# Files of few tests and many seconds: begun first, so that none of them is what the others wait for at the end.
LONG = (
    "test_docs.py",
    "test_ray_cluster.py",
    "test_workers.py",
    "test_dispatchers.py",
    "test_attempts.py",
    "test_train.py",
    "test_backends.py",
    "test_search.py",
    "test_fit.py",
    "test_extensions.py",
    "test_serving_imports.py",
    "test_make.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files before the others, else in the order of their names."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an empty database, migrated once in a run: each test gets a copy."""
    file = tmp_path_factory.mktemp("template") / "forecastle.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session", autouse=True)
def _no_data_in_the_home_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test that names no data folder writes into a folder of the run, not among the user's own data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data-home")))
        yield
