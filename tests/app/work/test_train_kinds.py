"""Ensembles, warm starts, refits, searches and statistical baselines, each from the queue to the registry."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.planning.job_kind import PinnedVersion
from app.planning.training_payload import AutoSearch
from app.store import registry
from app.store.db import Database
from app.store.tables import Revision, Version
from app.work.runner import ExitStatus
from app.work.train import train
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster, Member
from models.network.strategies import STRATEGIES
from models.training.member_plan import MemberPlan
from tests.app.work.small_jobs import SPEC, TRAINING, claim, crown, keep, queue, untrained, versions, weeks, work_on
from tests.fakes import report

SHORT = replace(TRAINING, max_epochs=1, steps_per_epoch=2)
STILL = replace(SHORT, learning_rate=1e-6, weight_decay=0.0)  # training hardly changes the weights


@pytest.fixture(name="revision")
def revision_fixture(sqlite: Database) -> Revision:
    return keep(sqlite, weeks())


def trained(database: Database, revision: Revision, **order: Any) -> tuple[Version, Forecaster]:
    """Run a job and return its version."""
    queue(database, revision, **order)
    job = claim(database)
    assert work_on(database, job, train) == ExitStatus.DONE
    version = versions(database, job)[0]
    with database.read() as session:
        return version, bundle.from_bytes(registry.bundle(session, job.tenant_id, version.id))


def learned(forecaster: Forecaster) -> list[Member]:
    return [member for member in forecaster.members if STRATEGIES[member.spec.strategy].learns]


def distance(one: Member, other: Member) -> float:
    """Return the largest difference between their weights, besides statistics of the data."""
    names = [name for name in other.weights if not name.startswith("facts/")]
    return max(float(np.abs(one.weights[name] - other.weights[name]).max(initial=0)) for name in names)


def test_the_members_of_an_ensemble_are_one_version(sqlite: Database, revision: Revision) -> None:
    specs = [SPEC, SPEC, replace(SPEC, loss="mse", context=20)]
    trainings = [SHORT, replace(SHORT, seed=1), SHORT]
    members = tuple(map(MemberPlan, specs, trainings))
    version, forecaster = trained(sqlite, revision, members=members)
    assert [member.spec for member in learned(forecaster)] == specs[: len(learned(forecaster))]
    assert version.scores["members"] == [member.to_json() for member in members]
    assert version.number == 1
    if learned(forecaster):
        assert distance(forecaster.members[0], forecaster.members[1]) > 0.01  # another seed, other weights


def test_a_warm_start_continues_from_the_weights_of_its_parent(sqlite: Database, revision: Revision) -> None:
    parent = untrained()
    old = crown(sqlite, revision, parent)
    start = PinnedVersion("demand@champion", old.number, old.id)
    version, forecaster = trained(sqlite, revision, training=STILL, warm_start=start)
    assert all(distance(member, parent.members[0]) < 1e-3 for member in learned(forecaster))
    assert version.scores["warm_started_from"] == "demand@1"
    assert version.scores["parent_knew_backtest"] is False  # the parent was trained on the data before its own backtest


def test_the_report_says_that_the_parent_was_trained_on_the_backtest(sqlite: Database, revision: Revision) -> None:
    old = crown(sqlite, revision, report=report(0.25, SPEC.horizon, refit=True), skill=0.25)
    version, _ = trained(sqlite, revision, training=STILL, warm_start=PinnedVersion("demand@1", old.number, old.id))
    assert version.scores["parent_knew_backtest"] is True
    assert version.scores["promoted"] is False
    assert version.scores["promotion"].startswith("the two cannot be compared on these data, version 1 stays")


def test_the_served_version_is_refitted_on_the_newest_points(sqlite: Database, revision: Revision) -> None:
    once, before = trained(sqlite, revision, training=SHORT)
    again, after = trained(sqlite, revision, training=SHORT, refit=True)
    assert (once.scores["refit"], again.scores["refit"]) == (False, True)
    # The scores are those of the backtest, where both were the same; the radii of each third have one factor, which
    # keeps the intervals as wide as there.
    assert again.scores["scores"]["model"]["mase"] == pytest.approx(once.scores["scores"]["model"]["mase"])
    known = (before.calibration.radii > 0).all(axis=0)  # neither 0 nor NaN
    factors = (after.calibration.radii / before.calibration.radii)[:, known]
    np.testing.assert_allclose(factors, np.tile(factors[[0, 0, 2, 3], :1], factors.shape[1]), rtol=1e-3)
    assert [member.spec for member in after.members] == [member.spec for member in before.members]
    assert all(distance(a, b) > 1e-6 for a, b in zip(learned(after), learned(before), strict=True))


def test_a_search_reports_its_trials_and_trains_its_choice(sqlite: Database, revision: Revision) -> None:
    # All fields that a search would change are fixed, so there is one candidate beside seasonal naive.
    fixed = {name: value for name, value in SPEC.to_json().items() if name not in ("freq", "categories")}
    version, forecaster = trained(sqlite, revision, training=TRAINING, auto=AutoSearch(600.0, fixed))
    auto = version.scores["auto"]
    assert auto["budget_s"] == 600
    naive, default = auto["trials"]
    assert [(trial["candidate"], trial["epochs"]) for trial in (naive, default)] == [
        ("seasonal_naive", 1),
        ("default", 1),
    ]
    # After so little training it may be worse than seasonal naive; then that is served, by its share of the backtest.
    assert {member.spec.strategy for member in forecaster.members} <= {SPEC.strategy, "seasonal_naive"}
    assert version.spec["horizon"] == 4


def test_theta_and_ets_are_scored_where_they_are_requested(sqlite: Database, revision: Revision) -> None:
    pytest.importorskip("statsforecast")
    version, _ = trained(sqlite, revision, training=SHORT, baselines=("theta", "ets"))
    sample = version.scores["sample"]
    assert {"model", "seasonal_naive", "naive2", "theta", "ets"} <= set(sample["scores"])
    assert sample["windows"] >= 10
