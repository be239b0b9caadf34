"""Data sets, jobs, versions, aliases and keys under any sequence of acts and crashes, beside a model in plain Python.

After each act the database holds what was acknowledged and nothing else; at the end it is whole.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.problems import Conflict, InUse, NotFound
from app.store import datasets, deletion, jobs, keys, panels, registry, verification
from app.store.db import Database, now
from app.store.jobs import Fenced
from app.store.tables import Job
from models.forecasting import bundle
from tests.app.store.conftest import new_job, new_version, point
from tests.fakes import says
from tests.models.samples import panel_of
from tests.postgres import database_fixture, database_url_fixture  # noqa: F401

DAYS_A_REVISION = 3
BUNDLE = bundle.to_bytes(says(1, 2, 3))
T = TypeVar("T")
names = count(1)
is_cut = st.sampled_from([False, False, False, True])  # whether the process dies before the transaction is committed
pick = st.integers(0, 2**16)


class Killed(Exception):
    """The end of a process within a transaction."""


def one_of(pick: int, things: list[T]) -> T:
    return things[pick % len(things)]


@dataclass
class Held:
    """A job as its caller and its worker know it."""

    state: str = "queued"
    token: int = 0
    is_cancelled: bool = False


@dataclass
class Known:
    """Everything that the service has acknowledged."""

    revisions: list[int] = field(default_factory=list)  # row counts of the data set
    jobs: dict[str, Held] = field(default_factory=dict)
    versions: dict[int, str] = field(default_factory=dict)  # number -> in use, archived or deleted
    aliases: dict[str, int] = field(default_factory=dict)
    keys: dict[str, bool] = field(default_factory=dict)  # whether each is valid


class Store(RuleBasedStateMachine):
    """The database, by the functions that routes and workers call; each example has a tenant of its own."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database, self.name, self.known = database, f"tenant-{next(names)}", Known()
        with database.write() as session:
            self.tenant = keys.tenant_id(session, self.name)
        self.append(False)
        self.enqueue(False)
        self.claim(False)

    @contextmanager
    def transaction(self, is_cut: bool) -> Iterator[Session]:
        """Open a transaction; if it ``is_cut``, its process dies before the end, and another one takes over."""
        try:
            with self.database.write() as session:
                yield session
                if is_cut:
                    session.flush()
                    raise Killed
        except Killed:
            url = self.database.url.render_as_string(hide_password=False)
            self.database.dispose()
            self.database = Database(url)

    def in_state(self, state: str) -> list[str]:
        """Return the ids of the jobs in a state, oldest first."""
        return [job_id for job_id, job in self.known.jobs.items() if job.state == state]

    @precondition(lambda self: len(self.known.revisions) < 9)
    @rule(is_cut=is_cut)
    def append(self, is_cut: bool) -> None:
        days = sum(self.known.revisions[-1:]) + DAYS_A_REVISION
        with self.transaction(is_cut) as session:
            if not self.known.revisions:
                datasets.create(session, self.tenant, "sales", "D", panels.new_revision(panel_of(range(days))), "cli")
            else:
                newest = datasets.revision(session, self.tenant, "sales")
                start = f"2024-01-{days - DAYS_A_REVISION + 1:02}"
                added = panel_of(range(days - DAYS_A_REVISION, days), start=start)
                revision = panels.new_revision(added, panels.load(session, self.tenant, newest))
                datasets.append(session, self.tenant, "sales", newest.number, revision, "cli")
        if not is_cut:
            self.known.revisions.append(days)

    @rule(is_cut=is_cut)
    def enqueue(self, is_cut: bool) -> None:
        with self.transaction(is_cut) as session:
            job_id = jobs.enqueue(session, new_job(datasets.revision(session, self.tenant, "sales"))).id
        if not is_cut:
            self.known.jobs[job_id] = Held()

    @rule(is_cut=is_cut)
    def claim(self, is_cut: bool) -> None:
        with self.transaction(is_cut) as session:
            claimed = jobs.claim(session, "w1", 600.0)
            got = claimed and (claimed.id, claimed.token)
        assert (got and got[0]) == next(iter(self.in_state("queued")), None)
        if got and not is_cut:
            self.known.jobs[got[0]].state, self.known.jobs[got[0]].token = "running", got[1]

    @precondition(lambda self: self.in_state("running"))
    @rule(is_cut=is_cut, pick=pick, is_stale=st.booleans())
    def finish(self, is_cut: bool, pick: int, is_stale: bool) -> None:
        """Register a version and end its job in one transaction; a worker that lost its job leaves nothing."""
        job_id = one_of(pick, self.in_state("running"))
        held, number = self.known.jobs[job_id], max(self.known.versions, default=0) + 1
        token = held.token - 1 if is_stale else held.token
        try:
            with self.transaction(is_cut) as session:
                made = new_version(jobs.get(session, self.tenant, job_id), bundle=BUNDLE)
                version = registry.add_version(session, self.tenant, made)
                assert version.number == number
                jobs.finish(session, job_id, token, version.id)
        except Fenced:
            assert is_stale
            return
        assert not is_stale
        if not is_cut:
            held.state, self.known.versions[number] = "succeeded", "in use"

    @precondition(lambda self: self.in_state("running"))
    @rule(is_cut=is_cut, pick=pick, how=st.sampled_from(["release", "fail"]))
    def give_up(self, is_cut: bool, pick: int, how: str) -> None:
        job_id = one_of(pick, self.in_state("running"))
        held = self.known.jobs[job_id]
        with self.transaction(is_cut) as session:
            if how == "release":
                jobs.release(session, job_id, held.token)
            else:
                jobs.fail(session, job_id, held.token, "diverged", "no", retry=False)
        if not is_cut:
            ended = "failed" if how == "fail" else "queued"
            held.state = "cancelled" if held.is_cancelled else ended

    @precondition(lambda self: self.in_state("running"))
    @rule(is_cut=is_cut, pick=pick)
    def lose_a_worker(self, is_cut: bool, pick: int) -> None:
        """The lease of a running job ends; the job is queued again, or ends if it has no attempts left."""
        job_id = one_of(pick, self.in_state("running"))
        with self.transaction(is_cut) as session:
            past = now(session) - timedelta(seconds=1)
            session.execute(update(Job).where(Job.id == job_id).values(lease_until=past))
            assert jobs.reap(session) == 1
            job = jobs.get(session, self.tenant, job_id)
            expected = "queued" if job.attempt < job.max_attempts else "failed"
        if not is_cut:
            held = self.known.jobs[job_id]
            held.state = "cancelled" if held.is_cancelled else expected

    @rule(is_cut=is_cut, pick=pick)
    def cancel(self, is_cut: bool, pick: int) -> None:
        job_id = one_of(pick, list(self.known.jobs))
        held = self.known.jobs[job_id]
        is_over = held.state not in ("queued", "running")
        try:
            with self.transaction(is_cut) as session:
                jobs.request_cancel(session, self.tenant, job_id, "cli")
        except Conflict:
            assert is_over
            return
        assert not is_over
        if not is_cut:
            held.is_cancelled = True
            held.state = "cancelled" if held.state == "queued" else held.state

    def on_version(self, pick: int, is_cut: bool, act: Callable[[Session, int], Any], refused: set[str]) -> int | None:
        """Call ``act`` with the number of a version; return it if it was done, None if it was refused as it must be."""
        number = one_of(pick, list(self.known.versions))
        state = "aliased" if number in self.known.aliases.values() else self.known.versions[number]
        try:
            with self.transaction(is_cut) as session:
                act(session, number)
        except (InUse, NotFound):
            assert state in refused
            return None
        assert state not in refused
        return None if is_cut else number

    @precondition(lambda self: self.known.versions)
    @rule(is_cut=is_cut, pick=pick, alias=st.sampled_from(["champion", "beta"]))
    def move(self, is_cut: bool, pick: int, alias: str) -> None:
        def act(session: Session, number: int) -> None:
            registry.move_alias(session, self.tenant, point(number, alias))

        if (number := self.on_version(pick, is_cut, act, {"archived", "deleted"})) is not None:
            self.known.aliases[alias] = number

    @precondition(lambda self: self.known.versions)
    @rule(is_cut=is_cut, pick=pick)
    def archive(self, is_cut: bool, pick: int) -> None:
        def act(session: Session, number: int) -> None:
            deletion.archive_version(session, self.tenant, "demand", number, "cli")

        number = self.on_version(pick, is_cut, act, {"aliased"})
        if number is not None and self.known.versions[number] == "in use":
            self.known.versions[number] = "archived"

    @precondition(lambda self: self.known.versions)
    @rule(is_cut=is_cut, pick=pick)
    def restore(self, is_cut: bool, pick: int) -> None:
        def act(session: Session, number: int) -> None:
            deletion.restore_version(session, self.tenant, "demand", number, "cli")

        if (number := self.on_version(pick, is_cut, act, {"deleted"})) is not None:
            self.known.versions[number] = "in use"

    @precondition(lambda self: self.known.versions)
    @rule(is_cut=is_cut, pick=pick)
    def purge(self, is_cut: bool, pick: int) -> None:
        def act(session: Session, number: int) -> None:
            deletion.purge_version(session, self.tenant, "demand", number, "cli")

        if (number := self.on_version(pick, is_cut, act, {"in use", "aliased"})) is not None:
            self.known.versions[number] = "deleted"

    @rule(is_cut=is_cut)
    def create_key(self, is_cut: bool) -> None:
        with self.transaction(is_cut) as session:
            raw = keys.create_key(session, self.name, "test", "write")
        self.known.keys[raw] = not is_cut

    @precondition(lambda self: any(self.known.keys.values()))
    @rule(is_cut=is_cut, pick=pick)
    def revoke_key(self, is_cut: bool, pick: int) -> None:
        raw = one_of(pick, [raw for raw, is_valid in self.known.keys.items() if is_valid])
        with self.transaction(is_cut) as session:
            keys.revoke(session, self.tenant, raw[3:11], "cli")
        self.known.keys[raw] = is_cut

    @invariant()
    def the_database_holds_what_was_acknowledged(self) -> None:
        known = self.known
        with self.database.read() as session:
            revisions = datasets.list_revisions(session, self.tenant, "sales", None, 100)
            assert [row.rows_total for row in reversed(revisions)] == known.revisions
            rows = {job_id: jobs.get(session, self.tenant, job_id) for job_id in known.jobs}
            assert len(jobs.list_page(session, self.tenant, None, 100)) == len(rows)
            for job_id, row in rows.items():
                assert row.state == known.jobs[job_id].state
                assert (row.lease_until is not None and row.worker is not None) == (row.state == "running")
            if known.versions:
                lists = {
                    "in use": registry.list_versions(session, self.tenant, "demand", None, 100),
                    "archived": registry.list_versions(session, self.tenant, "demand", None, 100, archived=True),
                }
                for state, versions in lists.items():
                    gone = {"deleted"} if state == "archived" else set()
                    expected = [number for number, got in known.versions.items() if got in {state} | gone]
                    assert sorted(version.number for version in versions) == expected
                aliases = registry.list_aliases(session, self.tenant, "demand")
                assert {alias.name: alias.version.number for alias in aliases} == known.aliases
            for raw, is_valid in known.keys.items():
                assert (keys.authenticate(session, raw, now(session)) is not None) == is_valid

    def teardown(self) -> None:
        """End all jobs, so that the next example finds none."""
        for job_id, held in self.known.jobs.items():
            with self.database.write() as session:
                if held.state == "running":
                    jobs.fail(session, job_id, held.token, "diverged", "no", retry=False)
                elif held.state == "queued":
                    jobs.request_cancel(session, self.tenant, job_id, "cli")
        self.database.dispose()


@pytest.mark.parametrize("examples", [5, pytest.param(300, marks=pytest.mark.long)])
def test_after_any_acts_and_crashes_the_database_holds_what_was_acknowledged(database: Database, examples: int) -> None:
    limits = settings(
        max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(lambda: Store(database), settings=limits)  # type: ignore[arg-type]
    assert list(verification.find_damage(database)) == []
