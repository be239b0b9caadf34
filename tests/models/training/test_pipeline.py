"""The training pipeline from data to a forecaster, with its progress reports."""

from functools import partial

import numpy as np
import pytest

from models.engines.onnx import OnnxEngine
from models.evaluation.backtest import baseline_errors, score
from models.evaluation.intervals import Prediction
from models.evaluation.origins import plan_for
from models.evaluation.scoring import skill
from models.forecasting.forecaster import make_runnable, predict
from models.forecasting.session import begin
from models.forecasting.session import predict as session_predict
from models.network.spec import Training
from models.training.fit import Progress
from models.training.member_plan import MemberPlan
from models.training.pipeline import TrainingHooks, train_pipeline
from tests.models.samples import panel_of, small_spec

SPEC = small_spec(cell="rnn", units=4, season=7, context=14, horizon=3)
TWO_EPOCHS = Training(max_epochs=2, steps_per_epoch=3, batch_size=16)


def weeks():
    rng, t = np.random.default_rng(3), np.arange(120)
    return panel_of(*(np.sin(2 * np.pi * t / 7 + i) + 0.3 * rng.normal(size=120) for i in range(2)))


def skills(panel, is_due):
    """Return the skills reported in each phase, in order, and the result."""
    reported: dict[str, list[float | None]] = {"fit": [], "refit": []}

    def keep(phase: str, member: int, progress: Progress) -> None:
        reported[phase].append(progress.skill)

    plan = plan_for(panel, SPEC.horizon, SPEC.season)
    return reported, train_pipeline(
        panel, plan, [MemberPlan(SPEC, TWO_EPOCHS)], hooks=TrainingHooks(on_progress=keep, is_due=is_due)
    )


def test_the_reported_skill_is_measured_on_the_windows_of_the_backtest():
    reported, result = skills(weeks(), is_due=lambda: True)
    # Three batches and the end of the epoch, twice, and the end of the training: known from the first epoch's end on.
    before, after, last = reported["fit"][:3], reported["fit"][3:7], reported["fit"][7:]
    assert before == [None, None, None]
    assert len(set(after)) == len(set(last)) == 1
    assert after[0] != last[0]
    [network] = [member for member in result.backtested if member.spec == SPEC]
    rows = np.arange(len(result.origins))
    assert len(rows) <= 64  # all of them are looked at
    own = score(partial(predict, make_runnable([network], OnnxEngine)), result.origins, rows)
    assert last[0] == pytest.approx(skill(own, baseline_errors(result.origins, rows).score()), abs=1e-6)


def test_no_skill_is_reported_unless_requested_or_while_refitting():
    reported, _ = skills(weeks(), is_due=lambda: False)
    assert set(reported["fit"]) == set(reported["refit"]) == {None}
    asked, _ = skills(weeks(), is_due=lambda: True)
    assert set(asked["refit"]) == {None}


def test_a_carried_state_is_backtested_as_sessions_read_points():
    spec = small_spec(cell="rnn", units=4, season=7, context=14, horizon=3, state="carried", strategy="iterative")
    panel, training = weeks(), Training(max_epochs=2, steps_per_epoch=3, batch_size=16, carry=3)
    found = train_pipeline(panel, plan_for(panel, 3, 7), [MemberPlan(spec, training)], refit=False)
    assert [member.carry for member in found.forecaster.members if member.spec == spec] == [3]
    networks = make_runnable(found.backtested, OnnxEngine)

    def forecast_in_sessions(panel, series, at, horizon):
        known = [
            panel.select([panel.ids[i]]).cut(len(panel.series(i)) - end) for i, end in zip(series, at, strict=True)
        ]
        made = [session_predict(networks, begin(networks, one, 3), horizon) for one in known]
        return Prediction.of_points(*(np.concatenate([one[k] for one in made]) for k in (0, 2)))

    rows = np.arange(len(found.origins))
    served = score(forecast_in_sessions, found.origins, rows)["mase"]
    assert found.evaluation.report.scores["model"]["mase"] == pytest.approx(served, rel=1e-6)
    alone = [member._replace(carry=1) for member in found.backtested]  # each window read from a state of zero
    assert score(partial(predict, make_runnable(alone, OnnxEngine)), found.origins, rows)["mase"] != pytest.approx(
        served, rel=1e-3
    )


def test_a_refit_that_is_rejected_is_not_served():
    asked = []

    def reject(before, after, origins):
        asked.append((before, after, len(origins)))
        return False

    panel = weeks()
    plan = plan_for(panel, SPEC.horizon, SPEC.season)
    made = train_pipeline(panel, plan, [MemberPlan(SPEC, TWO_EPOCHS)], hooks=TrainingHooks(keeps_refit=reject))
    [(before, after, windows)] = asked
    assert made.forecaster.members == made.backtested == before
    assert (made.facts.refit, windows) == (False, len(made.origins))
    assert any((after[0].weights[name] != before[0].weights[name]).any() for name in before[0].weights)
