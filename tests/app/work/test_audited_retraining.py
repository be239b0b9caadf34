"""Retraining on rows that differ from the past: the champion that forecasts well is not replaced unasked."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from app.store import datasets, decisions, panels, registry
from app.store.db import Database
from app.store.tables import Job
from app.work.job_context import DatabaseJobContext
from app.work.refit import RefitGuard
from app.work.runner import ExitStatus
from app.work.train import train
from models.data.panel import Panel
from models.evaluation.promotion import Policy
from models.forecasting.forecaster import Forecaster
from models.types import Floats
from tests.app.work.small_jobs import claim, context_of, crown, keep, look, queue, untrained, versions, work_on
from tests.app.work.test_champion_comparison import naive, origins
from tests.models.samples import panel_of

OLD, NEW = 120, 40
WEEKS = 10 + 5 * np.sin(np.arange(OLD + NEW) * 2 * np.pi / 7) + np.random.default_rng(0).normal(size=OLD + NEW)


def retrained(database: Database, new: Floats, champion: Forecaster | None = None, **order: object) -> Job:
    """Return the ended job that trains on ``new`` rows after an untrained champion of the old ones was crowned."""
    before = panel_of(WEEKS[:OLD])
    revision = keep(database, before)
    crown(database, revision, champion)
    rows = panel_of(new, start=str(before.timestamp(0, OLD))[:10])
    with database.write() as session:
        grown = datasets.append(session, revision.tenant_id, "sales", 1, panels.new_revision(rows, before), "cli")
    queue(database, grown, **order)
    job = claim(database)
    assert work_on(database, job, train) is ExitStatus.DONE
    return look(database, job)


def champion_of(database: Database, job: Job) -> int:
    with database.read() as session:
        found = registry.champion(session, job.tenant_id, "demand")
    assert found is not None
    return found.number


def test_a_version_trained_on_another_unit_waits_for_a_person(sqlite: Database) -> None:
    job = retrained(sqlite, 1_000 * WEEKS[OLD:])
    assert job.result is not None
    assert (job.result["verdict"], champion_of(sqlite, job)) == ("pending", 1)
    assert "the values have another unit or magnitude in 1 of 1 series" in job.result["reason"]


def test_with_the_policy_block_nothing_is_trained(sqlite: Database) -> None:
    job = retrained(sqlite, np.zeros(NEW), gate=Policy(audit="block"))
    assert job.result is not None
    assert (job.state, job.version_id, job.result["verdict"]) == ("succeeded", None, "kept")
    assert "more values are 0 in 1 of 1 series" in job.result["reason"]
    assert [finding["code"] for finding in job.result["audit"]["findings"]] == ["zeros", "spread"]
    assert [version.number for version in versions(sqlite, job)] == [1]
    with sqlite.read() as session:
        [(decision, number)] = decisions.list_page(session, job.tenant_id, "demand", None, 9)
    assert (decision.verdict, decision.reason, number) == ("kept", job.result["reason"], None)
    assert (decision.decided_by, decision.policy["audit"]) == (job.id, "block")
    assert (decision.numbers["champion"], decision.numbers["windows"]) == (1, 0)
    assert decision.numbers["audit"] == job.result["audit"]


@pytest.mark.parametrize("promote", ["always", "never"])
def test_the_policy_block_holds_for_a_job_without_a_comparison(sqlite: Database, promote: str) -> None:
    job = retrained(sqlite, np.zeros(NEW), gate=Policy(audit="block"), promote=promote)
    assert job.result is not None
    assert (job.version_id, job.result["verdict"], champion_of(sqlite, job)) == (None, "kept", 1)


@pytest.mark.parametrize("order", [{"force": True, "gate": Policy(audit="block")}, {"gate": Policy(audit="warn")}])
def test_with_force_or_the_policy_warn_a_version_is_promoted_and_the_reason_lists_the_findings(
    sqlite: Database, order: dict[str, object]
) -> None:
    job = retrained(sqlite, np.zeros(NEW), promote="always", **order)
    assert job.result is not None
    assert (job.result["verdict"], champion_of(sqlite, job)) == ("promoted", 2)
    assert "more values are 0 in 1 of 1 series" in job.result["reason"]


class Counting(DatabaseJobContext):
    """Counts how often the content of each revision is loaded."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.loaded: Counter[int] = Counter()

    def load_panel(self, revision_id: int) -> Panel:
        self.loaded[revision_id] += 1
        return super().load_panel(revision_id)


def test_a_retrain_loads_its_own_revision_and_that_of_the_champion_once(sqlite: Database) -> None:
    before = panel_of(WEEKS[:OLD])
    revision = keep(sqlite, before)
    crown(sqlite, revision)
    rows = panel_of(WEEKS[OLD:], start=str(before.timestamp(0, OLD))[:10])
    with sqlite.write() as session:
        grown = datasets.append(session, revision.tenant_id, "sales", 1, panels.new_revision(rows, before), "cli")
    queue(sqlite, grown, refit=True)
    context = Counting(sqlite, context_of(sqlite, claim(sqlite)).job)
    train(context)
    assert context.loaded == {revision.id: 1, grown.id: 1}


def test_honest_rows_are_trained_on_and_promoted_as_before(sqlite: Database) -> None:
    job = retrained(sqlite, WEEKS[OLD:], gate=Policy(audit="block", former_tolerance=0.0))
    assert job.result is not None
    assert (job.result["verdict"], champion_of(sqlite, job)) == ("promoted", 2)


@pytest.mark.parametrize(("before", "after", "kept"), [(naive(), untrained(), False), (untrained(), naive(), True)])
def test_a_refit_is_served_only_if_it_is_as_good_as_the_version_that_was_compared(
    sqlite: Database, before: Forecaster, after: Forecaster, kept: bool
) -> None:
    panel = panel_of(WEEKS)
    revision = keep(sqlite, panel)
    crown(sqlite, revision)
    queue(sqlite, revision)
    guard = RefitGuard(context_of(sqlite, claim(sqlite)), panel)
    assert guard.keeps(before.members, after.members, origins(panel)) is kept
    assert guard.check is not None
    assert guard.check.kept is kept
    assert [each.on for each in guard.check.sets] == ["newest", "former"]
