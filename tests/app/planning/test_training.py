"""What a job is refused for when it is posted, and what its members and its start become."""

from typing import Any

import pytest

from models.forecasting.forecaster import Forecaster
from models.training.recipes import RECIPES
from tests.app.api.conftest import Caller, House
from tests.app.api.tables import days, series, table
from tests.fakes import random_forecaster, says, seasonal_naive, together

DAYS = 120
COVARIATES = {
    "price": [float(i % 5) for i in range(DAYS)],
    "kind": ["abc"[i % 3] for i in range(DAYS)],
    "flat": [1] * DAYS,
    "empty": [None] * DAYS,
    "late": [None] * 100 + [float(i) for i in range(20)],  # all but nothing of it lies before the backtest
    "rare": [float(i) if i % 3 == 0 else None for i in range(DAYS)],
}


@pytest.fixture
def trainer(house: House) -> Caller:
    """Who has a data set that is long enough to learn from, with good covariates and with bad ones."""
    rows = {"unique_id": ["shop"] * DAYS, "ds": days(DAYS), "y": [float(i % 7) for i in range(DAYS)], **COVARIATES}
    house.acme.post("/v1/datasets?name=sales", json=rows)
    return house.acme


def request(**changes: Any) -> dict[str, Any]:
    return {"json": {"model": "demand", "dataset": "sales", **changes}}


CANNOT_WORK: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "horizon 0": ({"horizon": 0}, "horizon", "horizon is 0", "give 1 to 5000"),
    "a horizon that leaves nothing": ({"horizon": 119}, "horizon", "0 points to teach with", "ask for less"),
    "a context longer than every series": ({"context": 121}, "context", "the longest has 120 points", "at most 120"),
    "a segment that does not divide": (
        {"context": 20, "segment": 7},
        "segment",
        "segment 7 does not divide context 20",
        "use a context such as 14",
    ),
    "a carried state that looks both ways": (
        {"encoder": "bidirectional", "state": "carried"},
        "state",
        "the state of a bidirectional encoder cannot go on",
        "use state sliding",
    ),
    "a covariate that is not there": ({"past_covariates": ["x"]}, "past_covariates", "no covariate 'x'", "price"),
    "a covariate that says nothing": (
        {"past_covariates": ["flat"]},
        "past_covariates",
        "'flat' is the same everywhere",
        "leave it out",
    ),
    "a covariate without values": (
        {"future_covariates": ["empty"]},
        "future_covariates",
        "'empty' has no value",
        "leave it out",
    ),
    "a covariate that comes too late": (
        {"future_covariates": ["late"]},
        "future_covariates",
        "before the backtest",
        "leave it out",
    ),
    "a covariate without future values": (
        {"future_covariates": ["rare"]},
        "future_covariates",
        "known at only 32 of 95 points",
        "use it in past_covariates",
    ),
    "a static covariate of one series": (
        {"static_covariates": ["kind"]},
        "static_covariates",
        "'kind' is the same everywhere",
        "leave it out",
    ),
    "two roles": (
        {"future_covariates": ["price"], "past_covariates": ["price"]},
        "future_covariates",
        "two roles",
        "one role",
    ),
}


@pytest.mark.parametrize(("spec", "field", "message", "remedy"), CANNOT_WORK.values(), ids=CANNOT_WORK)
def test_what_cannot_work_is_refused_at_once_with_field_and_remedy(
    trainer: Caller, spec: dict[str, Any], field: str, message: str, remedy: str
) -> None:
    answer = trainer.ask("POST", "/v1/jobs", **request(spec=spec))
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["field"]) == (422, field)
    assert message in error["message"]
    assert remedy in error["hint"]
    assert trainer.get("/v1/jobs")["items"] == []


def test_a_batch_that_would_fill_a_workers_memory_is_refused_at_once(trainer: Caller) -> None:
    large = request(spec={"units": 1024, "depth": 8, "segment": 1}, training={"batch_size": 8192})
    (error,) = trainer.ask("POST", "/v1/jobs", **large).json()["errors"]
    assert (error["code"], error["field"]) == ("batch_too_large", "batch_size")
    # 4 bytes x 8192 windows x 21 steps x 3 gates x 1024 units x 8 layers
    assert "15.8 GiB" in error["message"]


def test_the_values_of_a_text_are_settled_by_the_data(trainer: Caller) -> None:
    job = trainer.post("/v1/jobs", **request(spec={"past_covariates": ["kind", "price"]}))
    assert job["spec"]["categories"] == [["kind", ["a", "b", "c"]]]


def test_each_member_of_an_ensemble_is_settled_by_itself(trainer: Caller) -> None:
    ensemble = [{}, {"seed": 3}, {"loss": "mse", "units": 8}, {"context": 42}]
    job = trainer.post(
        "/v1/jobs", **request(spec={"units": 16, "loss": "huber"}, training={"max_epochs": 2}, ensemble=ensemble)
    )
    said = [(m["spec"]["units"], m["spec"]["loss"], m["spec"]["context"], m["training"]) for m in job["members"]]
    assert [(units, loss, context, t["seed"], t["max_epochs"]) for units, loss, context, t in said] == [
        (16, "huber", 21, 0, 2),
        (16, "huber", 21, 3, 2),
        (8, "mse", 21, 0, 2),
        (16, "huber", 42, 0, 2),
    ]
    assert job["members"][0] == {"spec": job["spec"], "training": job["training"]}
    assert trainer.get(f"/v1/jobs/{job['id']}") == job


def test_a_member_that_cannot_work_is_refused_as_the_first_would_be(trainer: Caller) -> None:
    for member, field in [({"units": 0}, "units"), ({"max_epochs": 0}, "max_epochs"), ({"context": 121}, "context")]:
        (error,) = trainer.ask("POST", "/v1/jobs", **request(ensemble=[{}, member])).json()["errors"]
        assert error["field"] == field


def test_a_recipe_gives_the_fields_that_nobody_names(trainer: Caller) -> None:
    job = trainer.post("/v1/jobs", **request(recipe="long", spec={"units": 8}, training={"seed": 5}))
    assert (job["spec"]["strategy"], job["spec"]["units"]) == (RECIPES["long"].spec["strategy"], 8)
    assert job["training"].items() >= {**RECIPES["long"].training, "seed": 5}.items()


def test_a_search_keeps_what_was_asked_for(trainer: Caller) -> None:
    job = trainer.post("/v1/jobs", **request(spec={"cell": "lstm"}, auto={"budget_s": 30}))
    assert job["auto"] == {"budget_s": 30, "fixed": {"cell": "lstm", "season": 7, "horizon": 7}}


def test_a_search_needs_origins_before_those_of_the_backtest(trainer: Caller) -> None:
    trainer.keep("short", series("shop", [float(i % 7) for i in range(30)]))
    short = {"dataset": "short", "spec": {"horizon": 9}}
    assert trainer.post("/v1/jobs", **request(**short))["state"] == "queued"
    refused = trainer.refused("POST", "/v1/jobs", **request(**short, auto={"budget_s": 30}))
    assert refused == (422, "invalid_input", "too_short")


def parent(**changes: Any) -> Forecaster:
    return random_forecaster(season=7, context=14, horizon=5, segment=7, units=4, **changes)


def test_a_warm_start_takes_the_fields_of_the_version(house: House, trainer: Caller) -> None:
    made = together(parent(cell="lstm"), parent(loss="mse"), seasonal_naive(season=7, context=14, horizon=5))
    house.register(made)
    job = trainer.post("/v1/jobs", **request(warm_start_from="demand@champion", training={"max_epochs": 1}))
    assert job["warm_start_from"] == "demand@champion"
    assert [member["spec"] for member in job["members"]] == [member.spec.to_json() for member in made.members[:2]]
    changed = trainer.post("/v1/jobs", **request(warm_start_from="demand@1", spec={"scaling": "level", "dropout": 0.2}))
    assert [m["spec"]["scaling"] for m in changed["members"]] == ["level", "level"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"units": 8}, "units"),
        ({"cell": "rnn", "units": 8}, "cell"),
        ({"dropout": 0.5, "depth": 2}, "depth"),
        ({"context": 28, "horizon": 6}, "horizon"),
        ({"future_covariates": ["price"]}, "future_covariates"),
    ],
)
def test_a_warm_start_whose_weights_do_not_fit_names_the_field(
    house: House, trainer: Caller, spec: dict[str, Any], field: str
) -> None:
    house.register(parent())
    (error,) = trainer.ask("POST", "/v1/jobs", **request(warm_start_from="demand@1", spec=spec)).json()["errors"]
    assert (error["code"], error["field"]) == ("other_weights", field)
    assert "in demand@1, whose weights do not fit" in error["message"]


def test_a_warm_start_from_what_has_no_weights_or_another_frequency_is_refused(house: House, trainer: Caller) -> None:
    house.register(seasonal_naive(), model="naive")
    house.register(says(1, 2, -1, freq="h"), model="hourly")
    for name, code in [("naive@1", "bad_field"), ("hourly@1", "other_frequency")]:
        (error,) = trainer.ask("POST", "/v1/jobs", **request(warm_start_from=name)).json()["errors"]
        assert (error["code"], error["field"]) == (code, "warm_start_from")


def test_nobody_starts_from_the_version_of_another_tenant(house: House, trainer: Caller) -> None:
    house.register(parent())
    house.rival.post("/v1/datasets?name=sales", **table(series("shop", [float(i % 7) for i in range(DAYS)]), "csv"))
    mine, theirs = request(warm_start_from="nothing@1"), request(warm_start_from="demand@1")
    answers = [house.rival.ask("POST", "/v1/jobs", **asked) for asked in (mine, theirs)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[1].json()["detail"] == answers[0].json()["detail"].replace("nothing", "demand")
