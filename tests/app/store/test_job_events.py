"""What a job says on its way is kept in order, bounded, and found again from any point."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.store import jobs
from app.store.db import Database
from app.store.jobs import events
from app.store.tables import Job, JobEvent, Revision
from tests.app.store.conftest import new_job

LEASE_S = 60.0


@pytest.fixture(name="job")
def job_fixture(database: Database, sales: Revision) -> Job:
    """A job that runs."""
    with database.write() as session:
        jobs.enqueue(session, new_job(sales))
        job = jobs.claim(session, "w1", LEASE_S)
    assert job is not None
    return job


def said(database: Database, job: Job, after: int = 0) -> list[tuple[str, Any]]:
    with database.read() as session:
        found = jobs.updates_since(session, {job.id: after})[job.id]
    return [(event.kind, event.data) for event in found.events]


def test_a_jobs_way_from_the_queue_to_its_end(database: Database, job: Job) -> None:
    with database.write() as session:
        jobs.report(session, job.id, job.token, {"epoch": 1})
        jobs.log(session, job.id, job.token, "the learning rate was halved")
        jobs.finish(session, job.id, job.token, None)
    assert said(database, job) == [
        ("state", {"state": "queued", "attempt": 0}),
        ("state", {"state": "running", "attempt": 1}),
        ("progress", {"epoch": 1}),
        ("log", {"line": "the learning rate was halved"}),
        ("state", {"state": "succeeded", "attempt": 1}),
    ]


def test_a_failed_attempt_says_why_and_when_the_next_one_is(database: Database, job: Job) -> None:
    with database.write() as session:
        jobs.fail(session, job.id, job.token, "crashed", "by signal 9", retry=True)
    kind, data = said(database, job)[-1]
    assert (kind, data["state"], data["error"]["code"]) == ("state", "queued", "crashed")
    assert data["run_at"].endswith("+00:00")


def test_progress_makes_at_most_two_events_a_second(database: Database, job: Job) -> None:
    with database.write() as session:
        for epoch in range(5):
            jobs.report(session, job.id, job.token, {"epoch": epoch})
    assert said(database, job)[2:] == [("progress", {"epoch": 0})]
    with database.write() as session:
        earlier = session.scalars(select(JobEvent).where(JobEvent.kind == "progress")).one()
        earlier.at -= timedelta(seconds=0.6)
        jobs.report(session, job.id, job.token, {"epoch": 5})
    assert said(database, job)[3:] == [("progress", {"epoch": 5})]
    with database.read() as session:
        assert jobs.get(session, job.tenant_id, job.id).progress == {"epoch": 5}


def test_only_the_newest_events_are_kept_and_lines_are_cut(
    database: Database, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_EVENTS", 10)
    with database.write() as session:
        for number in range(25):
            jobs.log(session, job.id, job.token, f"{number} " + "x" * 3000)
    kept = said(database, job)
    assert [data["line"].split()[0] for _, data in kept] == [str(number) for number in range(15, 25)]
    assert all(len(data["line"]) == 2000 for _, data in kept)


def test_news_begin_after_what_is_known_and_say_how_each_job_is(database: Database, job: Job, sales: Revision) -> None:
    with database.write() as session:
        other = jobs.enqueue(session, new_job(sales))
        first = session.scalars(select(func.min(JobEvent.id)).where(JobEvent.job_id == job.id)).one()
    with database.read() as session:
        news = jobs.updates_since(session, {job.id: first, other.id: 0, "nobody": 0})
    assert news.keys() == {job.id, other.id}
    assert (news[job.id].state, news[job.id].attempt) == ("running", 1)
    assert [event.data["state"] for event in news[job.id].events] == ["running"]
    assert [event.data["state"] for event in news[other.id].events] == ["queued"]
    with database.read() as session:
        again = jobs.updates_since(session, {job.id: news[job.id].events[-1].id})
    assert again[job.id].events == ()


def test_a_fenced_worker_adds_no_line(database: Database, job: Job) -> None:
    with database.write() as session:
        jobs.release(session, job.id, job.token)
    before = said(database, job)
    with pytest.raises(jobs.Fenced), database.write() as session:
        jobs.log(session, job.id, job.token, "I am still here")
    assert said(database, job) == before
