"""A process that did a job does the next, until it has grown: what is left behind does not add up."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from app.store.db import Database
from app.work.executors import Ended, Running
from app.work.executors.local import LocalExecutor
from tests.app.work.tiny import claim, eventually
from tests.faults.crew import Crew, crew_on

MIB = 1024**2

Do = Callable[..., list[str]]


@pytest.fixture(name="do")
def do_fixture(sqlite: Database, log: Path) -> Iterator[Do]:
    """Does a job for each of some sizes, in MiB that it leaves behind; says which processes did them."""
    settings = Settings(database_url=str(sqlite.url), warm_bytes=512 * MIB)
    executor = LocalExecutor(settings, (sys.executable, "-m", "tests.faults.works"))
    with crew_on(sqlite) as crew:
        yield lambda *sizes: [one(crew, executor, log, size) for size in sizes]
    executor.close()


def one(crew: Crew, executor: LocalExecutor, log: Path, size: int) -> str:
    job = crew.queue("hoard", {"bytes": size * MIB, "log": str(log)})
    handle = executor.start(claim(crew.database), "")
    assert eventually(lambda: (status := executor.poll(handle)) != Running() and status) == Ended(0)
    assert crew.look(job).state == "succeeded"
    return log.read_text().split()[-1]


def test_a_process_that_has_grown_does_no_other_job(do: Do) -> None:
    first, second, grown, fresh, last = do(0, 0, 512, 0, 0)
    assert first == second == grown
    assert fresh == last != first
