"""Use by tenant and day, on both databases."""

from datetime import date, timedelta
from functools import partial

from app.store import datasets, jobs, usage
from app.store.db import Database, now
from app.store.tables import JobAttempt, Revision
from tests.app.store.conftest import at_once, new_job, new_revision

YEAR = (date(2026, 1, 1), date(2026, 12, 31))


def test_amounts_of_a_day_add_up_also_of_writers_at_the_same_moment(database: Database, acme: int, rival: int) -> None:
    def write(day: int) -> None:
        with database.write() as session:
            usage.add(session, acme, date(2026, 1, day), {"requests": 10, "points": 2**40})

    assert at_once([partial(write, day) for day in (1, 2, 2, 2)]) == [None] * 4
    with database.read() as session:
        rows = usage.list_days(session, acme, *YEAR)
        assert [(row.day, row.requests, row.series, row.points) for row in rows] == [
            ("2026-01-01", 10, 0, 2**40),
            ("2026-01-02", 30, 0, 3 * 2**40),
        ]
        assert usage.list_days(session, rival, *YEAR) == []
        assert [row.day for row in usage.list_days(session, acme, date(2026, 1, 2), date(2026, 1, 2))] == ["2026-01-02"]


def test_a_report_has_at_most_its_newest_days(database: Database, acme: int) -> None:
    with database.write() as session:
        for n in range(usage.MAX_DAYS + 5):
            usage.add(session, acme, date(2024, 1, 1) + timedelta(days=n), {"requests": 1})
    with database.read() as session:
        rows = usage.list_days(session, acme, date(2024, 1, 1), date(2026, 1, 1))
    assert (len(rows), rows[0].day) == (usage.MAX_DAYS, "2024-01-06")


def test_stored_bytes_are_counted_anew_and_deleted_tenants_are_left_out(database: Database, acme: int) -> None:
    with database.write() as session:
        datasets.create(session, acme, "sales", "D", new_revision(b"0123456789"), "cli")
        usage.record(session, {acme: {"requests": 3}, 999: {"requests": 1}})
        datasets.append(session, acme, "sales", 1, new_revision(b"01234"), "cli")
        usage.record(session, {acme: {"series": 1}})
        today = now(session).date()
        [row] = usage.list_days(session, acme, today - timedelta(days=1), today)
    assert (row.requests, row.series, row.stored_bytes) == (3, 1, 15)


def test_the_seconds_of_an_attempt_are_the_tenants_once_it_has_ended(
    database: Database, acme: int, sales: Revision
) -> None:
    with database.write() as session:
        jobs.enqueue(session, new_job(sales))
        job = jobs.claim(session, "w", 60)
        assert job is not None
        attempt = session.query(JobAttempt).one()
        attempt.started_at -= timedelta(seconds=90)
        session.flush()
        jobs.fail(session, job.id, job.token, "diverged", "the loss became NaN", retry=False)
        today = now(session).date()
        [row] = usage.list_days(session, acme, today - timedelta(days=1), today)
    assert 90 <= row.job_s < 150
