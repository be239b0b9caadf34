"""Training jobs from the queue to the registry, in this process: TensorFlow is imported once for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, update

from app.store import alias_history, registry
from app.store.db import Database
from app.store.outcomes import Outcome
from app.store.tables import Job, Revision
from app.work.job_context import DatabaseJobContext
from app.work.runner import ExitStatus
from app.work.train import train
from models.errors import InputError
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster
from models.network.spec import Spec
from tests.app.work.small_jobs import (
    SPEC,
    TRAINING,
    cancel,
    claim,
    context_of,
    crown,
    keep,
    look,
    queue,
    run_function,
    versions,
    weeks,
    work_on,
)


@contextmanager
def reports() -> Iterator[list[dict[str, Any]]]:
    """Collect the progress that jobs report during the block, in order."""
    told: list[dict[str, Any]] = []

    def keep_it(_job: Job, value: dict[str, Any], *_: object) -> None:
        told.append(value)

    event.listen(Job.progress, "set", keep_it)
    try:
        yield told
    finally:
        event.remove(Job.progress, "set", keep_it)


def test_a_training_job_registers_one_version_with_its_report(database: Database, sales: Revision) -> None:
    queue(database, sales)
    job = claim(database)
    with reports() as told:
        assert work_on(database, job, train) == ExitStatus.DONE

    done, [version] = look(database, job), versions(database, job)
    assert (done.state, done.version_id, done.error) == ("succeeded", version.id, None)
    assert done.progress == {"phase": "done", "share": 1.0, "eta_s": 0.0}
    assert (version.number, version.job_id, version.created_by) == (1, job.id, "a1b2c3d4")
    assert Spec.from_json(version.spec) == SPEC
    assert version.scores["members"] == [{"spec": SPEC.to_json(), "training": TRAINING.to_json()}]
    assert (version.scores["refit"], version.scores["warm_started_from"]) == (False, None)
    assert version.data_sha256 == sales.sha256 == weeks().fingerprint()
    assert version.revision_id == sales.id

    scores = version.scores["scores"]
    assert set(scores) == {"model", "seasonal_naive", "naive", "drift"}
    assert all(score["mase"] > 0 for score in scores.values())
    assert version.skill == pytest.approx(1 - scores["model"]["mase"] / scores["seasonal_naive"]["mase"])
    assert version.scores["engines_differ_by"] <= 1e-5
    made_by = version.scores["made_by"]
    assert (made_by["backend"], made_by["device"]) == ("tensorflow", "cpu")
    assert made_by["threads"] >= 1
    assert 0 < made_by["seconds"] < 600
    assert (version.scores["promoted"], version.scores["promotion"]) == (True, "the first version")

    with database.read() as session:
        champion = registry.champion(session, job.tenant_id, "demand")
        assert champion is not None
        assert champion.id == version.id
        [move] = alias_history.alias_moves(session, job.tenant_id, "demand", "champion", None, 10)
        made = bundle.from_bytes(registry.bundle(session, job.tenant_id, version.id))
    assert (move.from_version, move.to_version, move.reason, move.moved_by) == (None, 1, "the first version", job.id)
    assert made.spec == SPEC
    assert made.calibration.count == version.scores["windows"]
    assert sum(m.share for m in made.members if m.spec != SPEC) == pytest.approx(version.scores["seasonal_naive_share"])

    phases = [report["phase"] for report in told]
    assert phases == sorted(phases, key=["fit", "backtest", "done"].index)
    shares = [report["share"] for report in told]
    assert shares == sorted(shares)
    entered, first = told[:2]
    assert entered == {"phase": "fit", "share": 0.0, "eta_s": None}
    assert (first["phase"], first["member"], first["members"], first["epoch"], first["epochs"]) == ("fit", 1, 1, 1, 2)
    assert 0 < first["loss"] < 100
    assert (first["eta_s"], first["validation_skill"]) == (None, None)
    taught = next(report for report in told if report["phase"] == "fit" and report.get("epoch") == 2)
    assert taught["eta_s"] >= 0
    assert taught["validation_skill"] < 1  # of the first epoch


def test_a_better_version_becomes_champion_and_the_reason_names_the_gain(sqlite: Database) -> None:
    sales = keep(sqlite, weeks())
    old = crown(sqlite, sales)
    queue(sqlite, sales)
    job = claim(sqlite)
    assert work_on(sqlite, job, train) == ExitStatus.DONE
    new, _ = versions(sqlite, job)
    mine = new.scores["scores"]["model"]["mase"]
    assert (new.number, new.scores["promoted"]) == (2, True)
    assert new.scores["promotion"].startswith(f"MASE {mine:.4g} is below the ")
    assert new.scores["promotion"].endswith(f" of version {old.number} on windows that neither was trained on")
    with sqlite.read() as session:
        moves = alias_history.alias_moves(session, job.tenant_id, "demand", "champion", None, 10)
    assert [(move.from_version, move.to_version, move.moved_by) for move in moves] == [(1, 2, job.id), (None, 1, "cli")]
    assert moves[0].reason == new.scores["promotion"]


class TakenOver(DatabaseJobContext):
    """A context whose job another worker takes over just before the end."""

    def finish(self, outcome: Outcome) -> None:
        with self._database.write() as session:
            session.execute(update(Job).where(Job.id == self.job.id).values(token=Job.token + 1, worker="w2"))
        super().finish(outcome)


def test_a_job_taken_over_at_its_end_registers_nothing(database: Database, sales: Revision) -> None:
    job = queue(database, sales)
    context = TakenOver(database, context_of(database, claim(database)).job)
    assert run_function(context, train) == ExitStatus.FENCED
    assert versions(database, job) == []
    after = look(database, job)
    assert (after.state, after.worker, after.token, after.version_id) == ("running", "w2", 2, None)
    assert after.progress["phase"] == "backtest"


def test_a_job_cancelled_while_it_runs_stops_at_its_next_report(sqlite: Database) -> None:
    queue(sqlite, keep(sqlite, weeks()))
    job = claim(sqlite)
    cancel(sqlite, job)
    assert work_on(sqlite, job, train) == ExitStatus.CANCELLED
    done = look(sqlite, job)
    assert (done.state, done.version_id, done.progress["phase"]) == ("cancelled", None, "fit")
    assert done.progress["share"] < 0.5
    assert versions(sqlite, job) == []


def test_series_that_are_too_short_fail_the_job_at_once_with_a_remedy(database: Database) -> None:
    queue(database, keep(database, weeks(points=4)))
    job = claim(database)
    assert work_on(database, job, train) == ExitStatus.REFUSED
    failed = look(database, job)
    assert (failed.state, failed.attempt, failed.max_attempts) == ("failed", 1, 3)
    assert failed.error is not None
    assert failed.error["code"] == "invalid_input"
    assert (
        "the longest series has 4 points; a backtest of 4 steps needs 5; ask for a shorter horizon"
        in failed.error["message"]
    )
    assert versions(database, job) == []


def test_a_spec_that_cannot_work_is_an_error_with_a_remedy(sqlite: Database) -> None:
    queue(sqlite, keep(sqlite, weeks()))
    job = claim(sqlite)
    request = {**job.request, "spec": {**job.request["spec"], "units": 0}}
    with pytest.raises(InputError, match="units is 0; give 1 to 1024"):
        train(DatabaseJobContext(sqlite, replace(context_of(sqlite, job).job, request=request)))


def test_a_champion_crowned_during_the_training_is_not_overruled(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = keep(sqlite, weeks())
    queue(sqlite, revision)
    job = claim(sqlite)
    to_bytes = bundle.to_bytes

    def crown_meanwhile(forecaster: Forecaster) -> bytes:
        monkeypatch.setattr(bundle, "to_bytes", to_bytes)
        crown(sqlite, revision)
        return to_bytes(forecaster)

    monkeypatch.setattr(bundle, "to_bytes", crown_meanwhile)
    assert work_on(sqlite, job, train) == ExitStatus.DONE
    late, early = sorted(versions(sqlite, job), key=lambda version: -version.number)
    assert (late.number, early.number, late.scores["promoted"]) == (2, 1, False)
    assert "the alias moved while this version was trained" in late.scores["promotion"]
    with sqlite.read() as session:
        champion = registry.champion(session, job.tenant_id, job.model)
    assert champion is not None
    assert champion.number == 1
