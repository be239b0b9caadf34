"""Requests of the kind ``retrain``: the champion's training, planned again on the newest data."""

from dataclasses import replace

import pytest

from app.planning.retrain import plan_again
from app.planning.training_payload import AutoSearch, TrainPayload
from app.problems import NotFound
from models.network.spec import Spec, Training
from models.training.member_plan import MemberPlan
from tests.app.planning.conftest import PlanningRoom
from tests.fakes import says, seasonal_naive
from tests.models.samples import panel_of, with_covariates

WEEKS = panel_of([float(i % 7) for i in range(120)])
MEMBER = MemberPlan(Spec(freq="D", season=7, context=14, horizon=5), Training(max_epochs=3))


def test_a_member_keeps_its_fields_and_its_training() -> None:
    before = TrainPayload(members=(MEMBER,), promote="never", baselines=("ets",), refit=False)
    assert plan_again(before, None, WEEKS) == before


def test_the_member_that_a_search_found_is_trained_again_without_a_search() -> None:
    found = replace(MEMBER, spec=replace(MEMBER.spec, units=8))
    before = TrainPayload(members=(MEMBER,), auto=AutoSearch(60.0, {}), register=False)
    again = plan_again(before, [found.to_json()], WEEKS)
    assert again == TrainPayload(members=(found,))


def test_the_values_of_a_text_covariate_are_those_of_the_newest_data() -> None:
    spec = replace(MEMBER.spec, past_covariates=("kind",), categories=(("kind", ("a", "b")),))
    panel = with_covariates(WEEKS, {"kind": ("a", "b", "c")}, kind=[float(i % 3) for i in range(120)])
    again = plan_again(TrainPayload(members=(MemberPlan(spec, Training()),)), None, panel)
    assert again.spec.categories == (("kind", ("a", "b", "c")),)


def test_data_that_have_gone_below_zero_are_trained_on_without_that_bound() -> None:
    before = TrainPayload(members=(replace(MEMBER, spec=replace(MEMBER.spec, non_negative=True)),))
    assert plan_again(before, None, WEEKS) == before
    below = panel_of([float(i % 7 - (i > 110)) for i in range(120)])
    assert plan_again(before, None, below) == TrainPayload(members=(MEMBER,))


def test_an_imported_champion_is_trained_on_the_data_set_that_the_request_names(room: PlanningRoom) -> None:
    room.store("sales", WEEKS)
    room.register(says(1, 2))
    fault = room.refusal(kind="retrain", model="demand")
    assert (fault.code, fault.field) == ("bad_field", "dataset")
    job = room.plan(kind="retrain", model="demand", dataset="sales", promote="always")
    payload = TrainPayload.from_json(job.request)
    assert (job.kind, payload.promote, payload.warm_start) == ("retrain", "always", None)
    assert (payload.spec.horizon, payload.spec.units) == (2, 2)


def test_a_warm_start_continues_the_champion_if_it_has_weights(room: PlanningRoom) -> None:
    room.store("sales", WEEKS)
    room.register(says(1, 2), model="learned")
    room.register(seasonal_naive(), model="naive")
    starts = {}
    for model in ("learned", "naive"):
        job = room.plan(kind="retrain", model=model, dataset="sales", warm_start=True)
        start = TrainPayload.from_json(job.request).warm_start
        starts[model] = None if start is None else start.reference
    assert starts == {"learned": "learned@1", "naive": None}


def test_a_model_without_a_champion_is_not_found(room: PlanningRoom) -> None:
    with pytest.raises(NotFound, match="no model 'nobody'"):
        room.plan(kind="retrain", model="nobody")
    room.register(says(1, 2), model="new", alias=None)
    with pytest.raises(NotFound, match="has no champion to train again"):
        room.plan(kind="retrain", model="new")
