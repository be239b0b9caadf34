"""Requests of the kind ``tune``: a training job with a search."""

from typing import Any

import pytest

from app.planning.training_payload import AutoSearch, TrainPayload
from tests.app.planning.conftest import PlanningRoom
from tests.models.samples import panel_of


@pytest.fixture(name="sales")
def sales_fixture(room: PlanningRoom) -> PlanningRoom:
    room.store("sales", panel_of([float(i % 7) for i in range(120)]))
    return room


def request(**changes: Any) -> dict[str, Any]:
    return {"kind": "tune", "model": "demand", "dataset": "sales", **changes}


def test_a_search_has_the_budget_the_trials_and_the_fixed_fields_of_the_request(sales: PlanningRoom) -> None:
    job = sales.plan(**request(spec={"cell": "lstm"}, trials=20, budget_s=90.0, register=False, promote="never"))
    payload = TrainPayload.from_json(job.request)
    assert job.kind == "tune"
    assert payload.auto == AutoSearch(90.0, {"cell": "lstm", "season": 7, "horizon": 7, "non_negative": True}, 20)
    assert (payload.register, payload.promote, payload.spec.cell) == (False, "never", "lstm")


def test_without_a_number_of_trials_the_named_candidates_are_tried(sales: PlanningRoom) -> None:
    payload = TrainPayload.from_json(sales.plan(**request()).request)
    assert payload.auto == AutoSearch(3_600, {"season": 7, "horizon": 7, "non_negative": True})
    assert payload.register is True


def test_a_field_that_cannot_work_is_refused(sales: PlanningRoom) -> None:
    assert sales.refusal(**request(spec={"cell": "ear"})).field == "cell"
    assert sales.refusal(**request(recipe="stew")).field == "recipe"
