"""The thread that scores logged forecasts, and its behaviour in an outage of the database."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.settings import Settings
from app.store import quality as found
from app.store.db import Database, DatabaseUnreachable, now
from app.store.tables import ServedForecast
from app.work import quality
from tests.app.store.growing import Growing


class Flaky:
    """A database that is unreachable for the first transaction."""

    def __init__(self, database: Database) -> None:
        self.database, self.asked = database, 0

    def write(self) -> AbstractContextManager[Session]:
        self.asked += 1
        if self.asked == 1:
            raise DatabaseUnreachable("no route")
        return self.database.write()


@contextmanager
def running(database: object) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=quality.run, args=(database, Settings(), stop, 0.01))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def eventually(look: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_forecasts_are_scored_after_an_outage_of_the_database(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    sales = Growing(sqlite, [1, 2, 3, 4, 5])
    sales.serve(sales.version(), [6, 7, 4])

    def points() -> int:
        with sqlite.read() as session:
            return found.quality_of(session, sales.tenant_id, "demand").points

    with running(Flaky(sqlite)):
        sales.append([6])
        eventually(lambda: points() == 1)
        sales.append([6, 6])
        eventually(lambda: points() == 3)
    assert caplog.text.count("the database does not answer") == 1


def test_an_unexpected_error_is_logged_and_survived(sqlite: Database, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> AbstractContextManager[Session]:
        raise ValueError("nobody thought of this")

    flaky = Flaky(sqlite)
    write, flaky.write = flaky.write, broken  # type: ignore[method-assign]
    with running(flaky):
        eventually(lambda: "nobody thought of this" in caplog.text)
        flaky.write = write  # type: ignore[method-assign]
        eventually(lambda: flaky.asked > 2)


def test_one_step_deletes_all_old_forecasts(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "DELETED_AT_ONCE", 2)
    sales = Growing(sqlite, [1, 2, 3, 4, 5])
    version = sales.version()
    for at in range(5, 10):
        sales.serve(version, [6], at=at)
    with sqlite.write() as session:
        session.execute(update(ServedForecast).values(served_at=now(session) - timedelta(days=91)))
    quality.step(sqlite, Settings())
    with sqlite.read() as session:
        assert session.query(ServedForecast).count() == 0


def test_one_step_scores_more_forecasts_than_one_transaction_holds(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "SCORED_AT_ONCE", 2)
    sales = Growing(sqlite, [1, 2, 3, 4, 5])
    version = sales.version()
    for at in range(5, 10):
        sales.serve(version, [6], at=at)
    sales.append([6] * 5)
    assert [quality.step(sqlite, Settings()) for _ in range(2)] == [5, 0]
