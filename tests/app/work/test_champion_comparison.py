"""Which version becomes champion, and that both are measured where neither was trained on."""

from dataclasses import replace

import numpy as np
import pytest

from app.planning.training_payload import TrainPayload
from app.store import datasets, panels
from app.store.db import Database
from app.store.tables import Revision
from app.work.champion_comparison import Challenger, compare, known_to, rule
from models.data.panel import Panel
from models.errors import ModelBroken
from models.evaluation.backtest import score, window_errors
from models.evaluation.origins import Origins, origins_of, plan_for
from models.evaluation.promotion import Evidence, Policy
from models.evaluation.significance import confidence
from models.forecasting.forecaster import Forecaster, predict
from tests.app.work.small_jobs import SPEC, claim, context_of, crown, keep, queue, untrained, weeks
from tests.fakes import report, seasonal_naive
from tests.models.samples import panel_of, ready_of, with_covariates


def origins(panel: Panel) -> Origins:
    return origins_of(panel, plan_for(panel, SPEC.horizon, SPEC.season), SPEC.season)


def held_out(panel: Panel) -> int:
    return plan_for(panel, SPEC.horizon, SPEC.season).held_out


def evidence_of(
    database: Database,
    champion: Forecaster | None,
    panel: Panel,
    known: int = 0,
    challenger: Forecaster | None = None,
    **changes: object,
) -> Evidence:
    """Return the evidence of ``champion`` and ``challenger``, by default an untrained forecaster, on ``panel``.

    ``known``: the number of points that the parent of the challenger was trained on.
    """
    revision = keep(database, panel)
    if champion is not None:
        crown(database, revision, champion, **changes)
    queue(database, revision)
    points = np.full(len(panel), known)
    members = (challenger or untrained()).members
    compared = Challenger(members=members, skill=0.5, origins=origins(panel), known=points, held_out=held_out(panel))
    return compare(context_of(database, claim(database)), compared)


def mase(forecaster: Forecaster, panel: Panel) -> float | None:
    networks, where = ready_of(*forecaster.members[0][:2]), origins(panel)
    return score(lambda *asked: predict(networks, *asked), where, np.arange(len(where)))["mase"]


def windows(forecaster: Forecaster, panel: Panel) -> np.ndarray:
    networks, where = ready_of(*forecaster.members[0][:2]), origins(panel)
    return window_errors(lambda *asked: predict(networks, *asked), where, np.arange(len(where))).windows["mase"]


def naive() -> Forecaster:
    return seasonal_naive(season=SPEC.season, context=2 * SPEC.season, horizon=SPEC.horizon)


def refit(skill: float | None = 0.25) -> dict[str, object]:
    return {"skill": skill, "report": report(skill, SPEC.horizon, refit=True)}


def test_without_a_champion_there_is_no_evidence(sqlite: Database) -> None:
    assert evidence_of(sqlite, None, weeks()) == Evidence()


def test_champion_and_challenger_are_scored_on_the_same_windows(sqlite: Database) -> None:
    panel, other = weeks(), untrained(replace(SPEC, units=6, context=20), seed=2)
    found = evidence_of(sqlite, other, panel)
    assert (found.champion, found.measure, found.origins, found.windows) == (1, "MASE", 19, 57)
    errors = [found.theirs, found.ours, found.baseline]
    assert errors == pytest.approx([mase(other, panel), mase(untrained(), panel), mase(naive(), panel)])


def test_the_confidence_follows_from_the_gain_at_each_origin(sqlite: Database) -> None:
    panel = weeks(series=1)
    found = evidence_of(sqlite, untrained(replace(SPEC, units=6), seed=2), panel)
    gains = windows(untrained(replace(SPEC, units=6), seed=2), panel) - windows(untrained(), panel)
    assert found.confidence == pytest.approx(confidence(gains, 4))  # of four steps, an origin each day


def test_a_version_compared_with_itself_has_no_gain_and_a_confidence_of_a_half(sqlite: Database) -> None:
    found = evidence_of(sqlite, untrained(), weeks())
    assert (found.gain, found.confidence) == (0.0, 0.5)


def test_a_verdict_by_comparison_names_the_champion_that_it_holds_for() -> None:
    evidence = Evidence(champion=3, ours=0.5, theirs=1.0, baseline=0.75, confidence=0.75, origins=9, windows=9)
    order = TrainPayload(members=(), gate=Policy(confidence=0.9))
    ruled = rule(evidence, order)
    assert (ruled.verdict, ruled.compared, ruled.champion) == ("kept", True, 3)
    assert ruled.policy == {"promote": "if_better", **order.gate.to_json()}
    assert ruled.numbers["confidence"] == 0.75
    assert not rule(evidence, replace(order, promote="always")).compared


def test_a_champion_that_was_trained_on_the_windows_is_compared_by_its_skill(sqlite: Database) -> None:
    found = evidence_of(sqlite, untrained(), weeks(), **refit(0.125))
    assert found == Evidence(champion=1, measure="skill", theirs=0.125, ours=0.5)


def test_a_challenger_whose_parent_was_trained_on_the_windows_has_no_skill(sqlite: Database) -> None:
    found = evidence_of(sqlite, untrained(), weeks(), known=90)
    assert found == Evidence(champion=1, measure="skill", theirs=0.25, ours=None)


def test_a_champion_is_compared_on_the_windows_after_its_training_data(sqlite: Database) -> None:
    old, new = weeks(points=90), weeks(points=150)
    revision = keep(sqlite, old)
    version = crown(sqlite, revision, untrained(seed=2), **refit())
    rows = panel_of(*(new.series(i)[90:] for i in range(3)), start="2024-03-31")
    with sqlite.write() as session:
        grown = datasets.append(session, revision.tenant_id, "sales", 1, panels.new_revision(rows, old), "cli")
    whole = Challenger(
        members=untrained().members,
        skill=0.5,
        origins=origins(new),
        known=np.zeros(3, dtype=np.int64),
        held_out=held_out(new),
    )
    queue(sqlite, grown)
    context = context_of(sqlite, claim(sqlite))
    assert known_to(context, context.load_version(version.id), new).tolist() == [90, 90, 90]
    found = compare(context, whole)
    rows = np.flatnonzero(origins(new).at >= 90)
    networks = ready_of(*untrained(seed=2).members[0][:2])
    theirs = score(lambda *asked: predict(networks, *asked), origins(new), rows)["mase"]
    assert (found.measure, found.theirs) == ("MASE", theirs)


def test_a_version_knows_the_data_before_its_backtest_and_all_data_after_a_refit(sqlite: Database) -> None:
    panel = weeks(points=90)
    revision = keep(sqlite, panel)
    held_out = plan_for(panel, SPEC.horizon, SPEC.season).held_out
    once, again = crown(sqlite, revision), crown(sqlite, revision, **refit())
    queue(sqlite, revision)
    context = context_of(sqlite, claim(sqlite))
    assert known_to(context, context.load_version(once.id), panel).tolist() == [90 - held_out] * 3
    assert known_to(context, context.load_version(again.id), panel.select(["s2", "s0"])).tolist() == [90, 90]
    queue(sqlite, keep(sqlite, panel, name="other"))
    other = context_of(sqlite, claim(sqlite))
    assert known_to(other, other.load_version(again.id), panel).tolist() == [0, 0, 0]


def test_a_champion_of_another_frequency_cannot_be_compared(sqlite: Database) -> None:
    assert evidence_of(sqlite, untrained(replace(SPEC, freq="h")), weeks()) == Evidence(champion=1)


def test_a_champion_that_reads_another_covariate_cannot_be_compared(sqlite: Database) -> None:
    priced = with_covariates(weeks(), price=np.arange(270.0))
    assert evidence_of(sqlite, untrained(replace(SPEC, past_covariates=("cost",))), priced) == Evidence(champion=1)


def test_a_champion_whose_bundle_is_damaged_is_unusable(sqlite: Database, caplog: pytest.LogCaptureFixture) -> None:
    assert evidence_of(sqlite, untrained(), weeks(), bundle=b"no bundle") == Evidence(champion=1, usable=False)
    assert "the champion cannot forecast" in caplog.text


def broken() -> Forecaster:
    made = untrained(replace(SPEC, units=64))
    made.members[0].weights["head/kernel"][:] = 3e38
    return made


def test_a_champion_whose_forecasts_are_not_finite_is_unusable(sqlite: Database) -> None:
    assert evidence_of(sqlite, broken(), weeks()) == Evidence(champion=1, usable=False)


def test_a_challenger_whose_forecasts_are_not_finite_fails_the_job(sqlite: Database) -> None:
    with pytest.raises(ModelBroken):
        evidence_of(sqlite, untrained(), weeks(), challenger=broken())


def test_two_versions_are_equal_on_constant_series(sqlite: Database) -> None:
    flat = weeks(series=1)
    flat.y[:] = 5.0
    found = evidence_of(sqlite, untrained(replace(SPEC, units=6)), flat)
    assert (found.ours, found.theirs, found.gain) == (0, 0, 0)


def test_on_exactly_periodic_series_seasonal_naive_replaces_a_network(sqlite: Database) -> None:
    repeated = weeks(series=1)
    repeated.y[:] = np.resize([3.0, 1, 4, 1, 5, 9, 2], len(repeated.y))
    found = evidence_of(sqlite, untrained(), repeated, challenger=naive())
    assert (found.ours, found.baseline, found.gain) == (0, 0, 1)
    assert rule(found, TrainPayload(members=())).verdict == "promoted"


def grow(database: Database, revision: Revision, before: Panel, after: Panel) -> Revision:
    """Append to a data set the points that ``after`` has beyond ``before``."""
    begin = before.observed_lengths[0]
    rows = panel_of(*(after.series(i)[begin:] for i in range(len(after))), start=str(after.timestamp(0, begin))[:10])
    with database.write() as session:
        return datasets.append(session, revision.tenant_id, "sales", 1, panels.new_revision(rows, before), "cli")


def on_grown(database: Database, new: int, challenger: Forecaster, champion: Forecaster | None = None) -> Evidence:
    """Return the evidence after a champion of 90 points was refitted and ``new`` points arrived."""
    old, longer = weeks(points=90), weeks(points=90 + new)
    now = panel_of(*(np.concatenate([old.series(i), longer.series(i)[90:]]) for i in range(3)))
    revision = keep(database, old)
    crown(database, revision, champion or untrained(seed=2), **refit())
    queue(database, grow(database, revision, old, now))
    points = np.zeros(len(now), dtype=np.int64)
    rival = Challenger(
        members=challenger.members, skill=0.5, origins=origins(now), known=points, held_out=held_out(now)
    )
    return compare(context_of(database, claim(database)), rival)


def test_too_few_new_windows_are_no_comparison_and_the_reason_has_the_remedy(sqlite: Database) -> None:
    found = on_grown(sqlite, 5, untrained())
    assert (found.windows, found.required_windows, found.gain) == (6, 10, None)
    ruled = rule(found, TrainPayload(members=()))
    assert (ruled.verdict, ruled.reason) == (
        "kept",
        "6 windows lie after the data that version 1 was trained on, and 10 are required; append more rows, or move "
        "the alias by hand",
    )


def test_versions_are_compared_on_the_windows_of_the_champions_own_backtest_too(sqlite: Database) -> None:
    found = on_grown(sqlite, 30, untrained(), naive())
    assert found.former is not None
    old = weeks(points=90)
    assert found.former.ours == pytest.approx(mase(untrained(), old))
    assert found.former.theirs == pytest.approx(mase(naive(), old))
    span = found.former.span
    assert (span.first, span.last, span.windows) == ("2024-03-09T00:00:00", "2024-03-30T00:00:00", len(origins(old)))
    assert found.newest is not None
    assert (found.newest.first, found.newest.last) == ("2024-04-06T00:00:00", "2024-04-29T00:00:00")


def test_a_champion_of_another_data_set_stays_unless_the_job_forces_the_comparison(sqlite: Database) -> None:
    crown(sqlite, keep(sqlite, weeks(), name="others"))
    panel = weeks()
    queue(sqlite, keep(sqlite, panel))
    points = np.zeros(len(panel), dtype=np.int64)
    rival = Challenger(
        members=naive().members, skill=0.5, origins=origins(panel), known=points, held_out=held_out(panel)
    )
    found = compare(context_of(sqlite, claim(sqlite)), rival)
    assert (found.other_dataset, found.former) == (True, None)
    order = TrainPayload(members=(), gate=Policy(must_beat_baseline=False))
    kept, forced = rule(found, order), rule(replace(found, forced=True), order)
    assert kept.verdict == "kept"
    assert "was trained on another data set; give 'force'" in kept.reason
    assert forced.verdict == "promoted"
