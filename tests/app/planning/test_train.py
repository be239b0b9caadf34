"""Requests of the kind ``train``: the payloads that they become, and the requests that are refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.planning.groups import SeriesGroup
from app.planning.job_kind import JobDetails, PinnedVersion
from app.planning.training_payload import AutoSearch, TrainPayload, training_details
from app.problems import NotFound, QuotaExceeded
from app.store import keys
from app.store.jobs import NewJob
from models.errors import InputError
from models.evaluation.promotion import Policy
from models.forecasting.forecaster import Forecaster
from models.network.spec import Spec, Training
from models.training.member_plan import MemberPlan
from models.training.recipes import RECIPES
from tests.app.planning.conftest import PlanningRoom
from tests.fakes import random_forecaster, seasonal_naive, together
from tests.models.samples import panel_of, with_covariates

DAYS = 120
WEEKS = panel_of([float(i % 7) for i in range(DAYS)])
COVARIATES = {
    "price": [float(i % 5) for i in range(DAYS)],
    "kind": [float(i % 3) for i in range(DAYS)],
    "flat": [1.0] * DAYS,
}


@pytest.fixture(name="sales")
def sales_fixture(room: PlanningRoom) -> PlanningRoom:
    """The data set ``sales``: 120 days of weeks, with the covariates price, kind (text) and flat."""
    room.store("sales", with_covariates(WEEKS, {"kind": ("a", "b", "c")}, **COVARIATES))
    return room


def request(**changes: Any) -> dict[str, Any]:
    return {"model": "demand", "dataset": "sales", **changes}


def payload_of(job: NewJob) -> TrainPayload:
    return TrainPayload.from_json(job.request)


def test_a_job_has_the_fields_of_its_request_and_of_the_service(sales: PlanningRoom) -> None:
    job = sales.plan(**request(priority=3, resource="gpu", deadline_s=60.0))
    assert (job.kind, job.model, job.priority, job.resource, job.deadline_s) == ("train", "demand", 3, "gpu", 60.0)
    assert (job.tenant_id, job.created_by, job.max_attempts) == (
        sales.principal.tenant_id,
        "a1b2c3d4",
        sales.settings.max_attempts,
    )


def test_fields_that_are_left_out_follow_from_the_data(sales: PlanningRoom) -> None:
    payload = payload_of(sales.plan(**request(spec={"cell": "lstm", "horizon": 5})))
    spec = payload.spec
    # Days have weeks: a segment of 7, and a context of 3 seasons.
    assert (spec.freq, spec.season, spec.context, spec.horizon, spec.cell, spec.segment) == ("D", 7, 21, 5, "lstm", 7)
    assert (payload.promote, payload.gate, payload.baselines) == ("if_better", Policy(), ("theta", "ets"))


def test_the_values_of_a_text_covariate_are_those_of_the_data(sales: PlanningRoom) -> None:
    payload = payload_of(sales.plan(**request(spec={"past_covariates": ["kind", "price"]})))
    assert payload.spec.categories == (("kind", ("a", "b", "c")),)


def test_each_member_of_an_ensemble_is_planned_by_itself(sales: PlanningRoom) -> None:
    ensemble = [{}, {"seed": 3}, {"loss": "mse", "units": 8}, {"context": 42}]
    changes = {"spec": {"units": 16, "loss": "huber"}, "training": {"max_epochs": 2}, "ensemble": ensemble}
    members = payload_of(sales.plan(**request(**changes))).members
    assert [(m.spec.units, m.spec.loss, m.spec.context, m.training.seed, m.training.max_epochs) for m in members] == [
        (16, "huber", 21, 0, 2),
        (16, "huber", 21, 3, 2),
        (8, "mse", 21, 0, 2),
        (16, "huber", 42, 0, 2),
    ]


def test_a_recipe_gives_the_fields_that_the_request_leaves_out(sales: PlanningRoom) -> None:
    payload = payload_of(sales.plan(**request(recipe="long", spec={"units": 8}, training={"seed": 5})))
    assert (payload.spec.strategy, payload.spec.units) == (RECIPES["long"].spec["strategy"], 8)
    training = payload.members[0].training
    assert {name: getattr(training, name) for name in RECIPES["long"].training} == RECIPES["long"].training
    assert training.seed == 5


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"recipe": "stew"}, "bad_field", "recipe"),
        ({"spec": {"freq": "D"}}, "bad_field", "freq"),
        ({"spec": {"horizon": 0}}, "bad_field", "horizon"),
        ({"spec": {"past_covariates": ["flat"]}}, "constant_covariate", "past_covariates"),
        ({"ensemble": [{}, {"horizon": 3}]}, "bad_field", "ensemble"),
        ({"ensemble": [{"unitz": 3}]}, "unknown_field", "ensemble"),
        ({"ensemble": [{}, {"units": 0}]}, "bad_field", "units"),
        ({"ensemble": [{}, {"max_epochs": 0}]}, "bad_field", "max_epochs"),
        ({"ensemble": [{}, {"context": 121}]}, "too_short", "context"),
    ],
)
def test_a_request_that_cannot_work_is_refused_with_its_field(
    sales: PlanningRoom, changes: dict[str, Any], code: str, field: str
) -> None:
    fault = sales.refusal(**request(**changes))
    assert (fault.code, fault.field) == (code, field)
    assert fault.hint


def test_a_batch_that_would_fill_the_memory_of_a_worker_is_refused(sales: PlanningRoom) -> None:
    large = request(spec={"units": 1024, "depth": 8, "segment": 1}, training={"batch_size": 8192})
    fault = sales.refusal(**large)
    assert (fault.code, fault.field) == ("batch_too_large", "batch_size")
    # 4 bytes x 8192 windows x 21 steps x 3 gates x 1024 units x 8 layers
    assert "15.8 GiB" in fault.message


@pytest.mark.parametrize("auto", [None, {"budget_s": 600.0}])
def test_seasonal_naive_is_trained_by_its_name_alone(sales: PlanningRoom, auto: dict[str, float] | None) -> None:
    payload = payload_of(sales.plan(**request(spec={"strategy": "seasonal_naive"}, auto=auto)))
    assert (payload.spec.strategy, payload.spec.loss, payload.spec.season) == ("seasonal_naive", "mae", 7)


def test_a_member_that_names_another_strategy_means_it(sales: PlanningRoom) -> None:
    members = payload_of(sales.plan(**request(ensemble=[{}, {"strategy": "iterative"}]))).members
    assert [(member.spec.strategy, member.spec.segment) for member in members] == [("direct", 7), ("iterative", 1)]


def test_a_search_does_not_change_the_fields_of_the_request(sales: PlanningRoom) -> None:
    payload = payload_of(sales.plan(**request(spec={"cell": "lstm"}, auto={"budget_s": 30.0})))
    assert payload.auto == AutoSearch(30.0, {"cell": "lstm", "season": 7, "horizon": 7, "non_negative": True})


def test_a_budget_that_is_too_small_is_refused_with_the_least_that_works(sales: PlanningRoom) -> None:
    fault = sales.refusal(**request(auto={"budget_s": 10.0}))
    assert (fault.code, fault.field, fault.hint) == ("budget_too_small", "budget_s", "give at least 14 s")
    assert payload_of(sales.plan(**request(auto={"budget_s": 14.0}))).auto is not None
    # 16 times the windows and 16 times the weights of a layer.
    slow = request(spec={"units": 512}, training={"batch_size": 1024}, auto={"budget_s": 14.0})
    assert sales.refusal(**slow).code == "budget_too_small"


@pytest.mark.parametrize(
    ("changes", "baselines"),
    [
        ({"auto": {"budget_s": 60.0}}, ()),
        ({"auto": {"budget_s": 60.0}, "baselines": ["theta"]}, ("theta",)),
        ({"auto": {"budget_s": 200.0}}, ("theta", "ets")),
        ({"baselines": []}, ()),
    ],
)
def test_a_short_search_spends_no_time_on_baselines_that_nobody_named(
    sales: PlanningRoom, changes: dict[str, Any], baselines: tuple[str, ...]
) -> None:
    assert payload_of(sales.plan(**request(**changes))).baselines == baselines


def test_a_search_needs_origins_before_those_of_the_backtest(room: PlanningRoom) -> None:
    room.store("sales", panel_of([float(i % 7) for i in range(30)]))
    short = request(spec={"horizon": 9})
    assert payload_of(room.plan(**short)).spec.horizon == 9
    assert room.refusal(**short, auto={"budget_s": 30.0}).code == "too_short"


def parent(**changes: Any) -> Forecaster:
    return random_forecaster(season=7, context=14, horizon=5, segment=7, units=4, **changes)


def test_a_warm_start_takes_the_fields_of_the_version(sales: PlanningRoom) -> None:
    forecaster = together(parent(cell="lstm"), parent(loss="mse"), seasonal_naive(season=7, context=14, horizon=5))
    version = sales.register(forecaster)
    payload = payload_of(sales.plan(**request(warm_start_from="demand@champion", training={"max_epochs": 1})))
    assert payload.warm_start == PinnedVersion("demand@champion", 1, version.id)
    # Seasonal naive has no weights to start from.
    assert [member.spec for member in payload.members] == [member.spec for member in forecaster.members[:2]]
    changes = {"warm_start_from": "demand@1", "spec": {"scaling": "level", "dropout": 0.2}}
    changed = payload_of(sales.plan(**request(**changes)))
    assert [member.spec.scaling for member in changed.members] == ["level", "level"]


def test_a_warm_start_whose_weights_do_not_fit_is_refused(sales: PlanningRoom) -> None:
    sales.register(parent())
    fault = sales.refusal(**request(warm_start_from="demand@1", spec={"units": 8}))
    assert (fault.code, fault.field) == ("other_weights", "units")
    assert "in demand@1, whose weights do not fit" in fault.message


def test_a_version_that_does_not_exist_is_not_found(sales: PlanningRoom) -> None:
    with pytest.raises(NotFound, match="no model 'nothing'"):
        sales.plan(**request(warm_start_from="nothing@1"))


def test_a_version_of_another_tenant_reads_like_one_that_does_not_exist(sales: PlanningRoom) -> None:
    sales.register(parent())
    with sales.database.write() as session:
        rival = keys.KeyPrincipal(keys.tenant_id(session, "rival"), "e5f6a7b8", "write")
    other = replace(sales, principal=rival)
    other.store("sales", WEEKS)
    with pytest.raises(NotFound) as theirs:
        other.plan(**request(warm_start_from="demand@1"))
    with pytest.raises(NotFound) as nobodys:
        other.plan(**request(warm_start_from="nothing@1"))
    assert str(theirs.value) == str(nobodys.value).replace("nothing", "demand")


def test_a_job_for_each_group_is_planned_on_the_series_of_its_group(room: PlanningRoom) -> None:
    towns = np.repeat([0.0, 1.0, 0.0], DAYS)
    panel = panel_of(WEEKS.y, WEEKS.y + 1, WEEKS.y + 2)
    room.store("sales", with_covariates(panel, {"town": ("Ulm", "Bad A")}, town=towns))
    job = room.plan(**request(by="town", children_at_once=1))
    assert (job.request, job.children_at_once) == ({"by": "town", "groups": 2, "left_out": []}, 1)
    assert [child.label for child in job.children] == [{"town": "Ulm"}, {"town": "Bad A"}]
    assert job.children[0].model == "demand-Ulm"
    assert job.children[1].model.startswith("demand-Bad-A-")
    groups = [payload_of(child).group for child in job.children]
    assert groups == [SeriesGroup("town", "Ulm"), SeriesGroup("town", "Bad A")]


def test_groups_are_counted_before_any_of_them_is_planned(room: PlanningRoom) -> None:
    room.store("sales", panel_of(*[WEEKS.y] * 3))
    small = replace(room, settings=room.settings.model_copy(update={"max_queued_jobs": 2}))
    unfit = {"by": "unique_id", "spec": {"units": 0}}  # planning any group would refuse it
    with pytest.raises(QuotaExceeded, match="you have 0 jobs in the queue; 3 more would exceed the limit of 2"):
        small.plan(**request(**unfit))


def test_groups_that_cannot_be_trained_refuse_the_request_or_are_left_out(room: PlanningRoom) -> None:
    room.store("sales", panel_of(WEEKS.y, [1.0, 2.0, 3.0]))
    fault = room.refusal(**request(by="unique_id"))
    assert fault.message.startswith("unique_id 's1': ")
    job = room.plan(**request(by="unique_id", skip_unfit=True))
    assert [child.model for child in job.children] == ["demand-s0"]
    assert (job.request["groups"], len(job.request["left_out"])) == (1, 1)
    with pytest.raises(InputError):
        room.plan(**request(by="unique_id", skip_unfit=True, spec={"units": 0}))


MEMBER = MemberPlan(Spec(freq="D", season=7, context=14, horizon=5), Training())


def test_a_stored_payload_is_read_as_it_was_written() -> None:
    full = TrainPayload(
        members=(MEMBER, MEMBER),
        promote="always",
        gate=Policy(minimum_gain=0.1),
        warm_start=PinnedVersion("demand@champion", 2, 17),
        auto=AutoSearch(60.0, {"cell": "gru"}, 5),
        baselines=("theta",),
        refit=False,
        register=False,
    )
    assert TrainPayload.from_json(full.to_json()) == full
    assert full.to_json()["warm_start"] == {"name": "demand@champion", "version": 2, "version_id": 17}
    assert TrainPayload(members=(MEMBER,)).to_json() == {**MEMBER.to_json(), "promote": "if_better", "refit": True}


def test_a_payload_of_an_early_release_is_read_with_default_values() -> None:
    early = {**MEMBER.to_json(), "promote": "never"}
    assert TrainPayload.from_json(early) == TrainPayload(members=(MEMBER,), promote="never")


def test_the_details_of_a_job_are_read_from_payloads_that_are_not_valid_any_more() -> None:
    stored = {"spec": {"cell": "abacus"}, "training": {}, "promote": "never"}
    details = training_details(stored)
    assert (details.order, details.spec, details.promote, details.refit) == (None, {"cell": "abacus"}, "never", True)
    assert details.members == [{"spec": {"cell": "abacus"}, "training": {}}]
    parent_job = {"by": "town", "groups": 2, "left_out": []}
    assert training_details(parent_job) == JobDetails(order=parent_job)
