"""Warm processes run one job after another until they have grown, so that leaked memory does not add up."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from app.store.db import Database
from app.work.executors import Finished, Running
from app.work.executors.local import LocalExecutor
from tests.app.work.small_jobs import claim, eventually
from tests.faults.worker_pool import WorkerPool, worker_pool

MIB = 1024**2

Do = Callable[..., list[str]]


@pytest.fixture(name="do")
def do_fixture(sqlite: Database, log: Path) -> Iterator[Do]:
    """Run one job for each size in MiB, which it leaks; return the processes that ran them."""
    settings = Settings(database_url=str(sqlite.url), warm_bytes=512 * MIB)
    executor = LocalExecutor(settings, (sys.executable, "-m", "tests.faults.fault_jobs"))
    with worker_pool(sqlite) as pool:
        yield lambda *sizes: [one(pool, executor, log, size) for size in sizes]
    executor.close()


def one(pool: WorkerPool, executor: LocalExecutor, log: Path, size: int) -> str:
    job = pool.queue("hoard", {"bytes": size * MIB, "log": str(log)})
    handle = executor.start(claim(pool.database), "")
    assert eventually(lambda: (status := executor.poll(handle)) != Running() and status) == Finished(0)
    assert pool.look(job).state == "succeeded"
    return log.read_text().split()[-1]


def test_a_process_that_has_grown_runs_no_other_job(do: Do) -> None:
    first, second, grown, fresh, last = do(0, 0, 512, 0, 0)
    assert first == second == grown
    assert fresh == last != first
