"""Parents and their children: so many at once, one end for all, and a cancellation that reaches every one."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event

from app.problems import Conflict
from app.store import jobs, webhooks
from app.store.db import Database
from app.store.jobs import JobFilter
from app.store.tables import Job, Revision
from tests.app.store.conftest import at_once, new_job

LEASE_S = 60.0
Family = Callable[..., Job]


@pytest.fixture(name="family")
def family_fixture(database: Database, sales: Revision) -> Family:
    """Makes a parent with so many children, of which so many may be under way at once."""

    def make(count: int, at_once: int | None = None) -> Job:
        children = [new_job(sales, label={"shop": number}, max_attempts=1) for number in range(count)]
        with database.write() as session:
            return jobs.enqueue_family(session, new_job(sales, children_at_once=at_once), children)

    return make


def claim(database: Database) -> Job | None:
    with database.write() as session:
        return jobs.claim(session, "w1", LEASE_S)


def end(database: Database, job: Job | None, state: str = "succeeded") -> None:
    assert job is not None
    with database.write() as session:
        if state == "succeeded":
            jobs.finish(session, job.id, job.token, None)
        else:
            jobs.fail(session, job.id, job.token, "crashed", "it fell over", retry=False)


def look(database: Database, job: Job) -> Job:
    with database.read() as session:
        return jobs.get(session, job.tenant_id, job.id)


def states(database: Database, parent: Job) -> dict[str, int]:
    with database.read() as session:
        return {state: count for state, count in jobs.count_children(session, parent.id).items() if count}


def test_the_parent_runs_until_its_last_child_has_ended(database: Database, family: Family) -> None:
    parent = family(3)
    assert (parent.state, parent.children_total) == ("running", 3)
    first, second, third = claim(database), claim(database), claim(database)
    assert claim(database) is None  # nobody claims the parent
    for child in (first, second):
        end(database, child)
    assert look(database, parent).progress["share"] == pytest.approx(2 / 3)
    assert look(database, parent).state == "running"
    end(database, third)
    done = look(database, parent)
    assert (done.state, done.error) == ("succeeded", None)
    assert done.result is not None
    assert done.result["children"]["succeeded"] == 3
    assert done.finished_at is not None


def test_of_its_children_only_so_many_are_under_way_at_once(database: Database, family: Family) -> None:
    parent = family(5, at_once=2)
    begun = [claim(database), claim(database)]
    assert claim(database) is None
    assert states(database, parent) == {"queued": 3, "running": 2}
    end(database, begun[0])
    third = claim(database)
    assert third is not None
    assert claim(database) is None
    labels = [job.label for job in (*begun, third) if job]
    assert len({str(label) for label in labels}) == 3
    for job in (begun[1], third):
        end(database, job)
    for _ in range(2):
        end(database, claim(database))
    assert look(database, parent).state == "succeeded"


def test_a_failed_child_fails_its_parent_once_all_are_over(database: Database, family: Family) -> None:
    parent = family(2)
    end(database, claim(database), "failed")
    assert look(database, parent).state == "running"
    end(database, claim(database))
    failed = look(database, parent)
    assert failed.state == "failed"
    assert failed.error == {
        "code": "children_failed",
        "message": f"1 of 2 children failed; GET /v1/jobs?parent={parent.id}",
        "class": "job",
    }


def test_cancelling_the_parent_reaches_every_child(database: Database, acme: int, family: Family) -> None:
    parent = family(6, at_once=3)
    done, running = claim(database), claim(database)
    end(database, done)
    with database.write() as session:
        assert jobs.request_cancel(session, acme, parent.id, "cli").state == "running"
    assert states(database, parent) == {"succeeded": 1, "running": 1, "cancelled": 4}
    assert claim(database) is None
    assert running is not None
    with database.write() as session:
        assert jobs.report(session, running.id, running.token, {"share": 0.1}) is True
        jobs.mark_cancelled(session, running.id, running.token)
    assert look(database, parent).state == "cancelled"
    with pytest.raises(Conflict), database.write() as session:
        jobs.request_cancel(session, acme, parent.id, "cli")


def test_cancelling_a_parent_that_nobody_has_begun_ends_all_at_once(
    database: Database, acme: int, family: Family
) -> None:
    parent = family(4, at_once=1)
    with database.write() as session:
        assert jobs.request_cancel(session, acme, parent.id, "cli").state == "cancelled"
    assert states(database, parent) == {"cancelled": 4}


def test_cancelling_a_parent_of_hundreds_is_a_matter_of_few_statements(
    database: Database, acme: int, sales: Revision, family: Family
) -> None:
    with database.write() as session:
        webhooks.create(session, acme, "ops", "https://example.com", ["job.cancelled"], "cli")
    parent = family(300, at_once=2)
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    with database.write() as session:
        event.listen(session.connection(), "before_cursor_execute", count)
        assert jobs.request_cancel(session, acme, parent.id, "cli").state == "cancelled"
        event.remove(session.connection(), "before_cursor_execute", count)
    assert states(database, parent) == {"cancelled": 300}
    with database.read() as session:
        deliveries = webhooks.list_deliveries(session, acme, "ops", None, 500)
    told = {(delivery.message_id, delivery.payload["id"]) for delivery in deliveries}
    assert len(told) == len(deliveries) == 301  # each child and their parent
    assert len(statements) < 400  # one for each that is told, and some


def test_cancelling_one_child_lets_the_next_in_and_leaves_the_others_alone(
    database: Database, acme: int, family: Family
) -> None:
    parent = family(3, at_once=1)
    with database.read() as session:
        waiting = jobs.list_page(session, acme, None, 9, JobFilter(parent_id=parent.id, state="queued"))
        [first] = [job for job in waiting if job.place is not None]
    with database.write() as session:
        jobs.request_cancel(session, acme, first.id, "cli")
    for _ in range(2):
        end(database, claim(database))
    assert look(database, parent).state == "succeeded"
    assert states(database, parent) == {"succeeded": 2, "cancelled": 1}


def test_children_that_end_at_the_same_moment_end_their_parent_once(database: Database, family: Family) -> None:
    parent = family(12, at_once=8)

    def work() -> int:
        done = 0
        while (job := claim(database)) is not None:
            end(database, job)
            done += 1
        return done

    results = at_once([work] * 8)
    assert [result for result in results if isinstance(result, Exception)] == []
    while (job := claim(database)) is not None:  # a worker may have looked while others still had them all
        end(database, job)
    assert look(database, parent).state == "succeeded"
    assert states(database, parent) == {"succeeded": 12}


def test_a_cancel_of_the_parent_and_ends_of_its_children_do_not_wait_for_each_other(
    database: Database, acme: int, family: Family
) -> None:
    for _ in range(5):
        parent = family(4, at_once=4)
        begun = [claim(database) for _ in range(3)]

        def cancel(parent: Job = parent) -> None:
            with database.write() as session:
                jobs.request_cancel(session, acme, parent.id, "cli")

        results = at_once([cancel, *(partial(end, database, job) for job in begun)])
        assert [result for result in results if result is not None] == []
        assert look(database, parent).state in ("cancelled", "succeeded")
        assert states(database, parent)["succeeded"] == 3


def test_a_family_without_children_is_refused(database: Database, sales: Revision) -> None:
    with pytest.raises(ValueError, match="without children"), database.write() as session:
        jobs.enqueue_family(session, new_job(sales), [])


def test_a_family_asked_for_twice_is_one(database: Database, sales: Revision) -> None:
    with database.write() as session:
        made = [jobs.enqueue_family(session, new_job(sales, dedup="once"), [new_job(sales)]) for _ in range(2)]
        assert made[0].id == made[1].id
        assert len(jobs.list_page(session, sales.tenant_id, None, 9)) == 2
