import pytest
from pydantic import BaseModel, ValidationError

from app.planning.schedule_requests import ScheduleEdit
from app.planning.train import TrainRequest
from app.schemas.base import Answer, Body
from app.schemas.decisions import GatePolicy
from app.schemas.forecasts import DatasetRef, ForecastRequest, Future, History
from app.schemas.models import MoveRequest
from app.schemas.webhooks import WebhookRequest


def kinds_of(body: type[BaseModel]) -> set[type[BaseModel]]:
    """Every class that is a ``body`` of some kind."""
    return set(body.__subclasses__()).union(*(kinds_of(kind) for kind in body.__subclasses__()))


BODIES = sorted(kinds_of(Body), key=lambda body: body.__name__)


def test_bodies_and_their_parts_are_tried() -> None:
    asked = {ForecastRequest, TrainRequest, MoveRequest, ScheduleEdit, WebhookRequest}
    assert {*asked, GatePolicy, History, DatasetRef} <= set(BODIES)


@pytest.mark.parametrize("body", BODIES)
def test_no_body_takes_unknown_fields_or_numbers_in_quotes(body: type[BaseModel]) -> None:
    assert body.model_config["extra"] == "forbid"
    assert body.model_config["strict"] is True


def test_what_is_answered_is_never_what_is_asked() -> None:
    assert not any(issubclass(body, Answer) for body in BODIES)


@pytest.mark.parametrize("body", [ForecastRequest, TrainRequest, MoveRequest])
def test_every_example_is_a_good_request(body: type[BaseModel]) -> None:
    extra = body.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    assert [body.model_validate(example) for example in examples]


@pytest.mark.parametrize("body", BODIES)
def test_thousands_of_unknown_fields_are_one_error(body: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as caught:
        body.model_validate({f"f{i}": i for i in range(5000)})
    assert caught.value.error_count() == 1


def test_covariates_are_numbers_truth_or_text_and_stay_what_they_are() -> None:
    columns = {"x": [1, 2.5, None], "on": [True, False, None], "c": ["1", "b", None]}
    history = History.model_validate({"ds": ["a"] * 3, "y": [1, None, 3], "covariates": columns})
    assert history.covariates == columns
    assert [type(cell) for cell in history.covariates["on"]] == [bool, bool, type(None)]
    assert type(history.covariates["c"][0]) is str


@pytest.mark.parametrize("covariates", [{"x": 1}, {"x": [[1]]}, {"x": [{}]}, {f"x{i}": [1] for i in range(51)}, [[1]]])
def test_other_covariates_are_refused_in_few_errors(covariates: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Future.model_validate({"ds": ["2026-01-01"], "covariates": covariates})
    assert caught.value.error_count() <= 4


def test_a_forecast_is_asked_of_a_history_a_data_set_or_a_future_alone() -> None:
    future = {"ds": ["2026-01-01"], "covariates": {"x": [1]}}
    history = {"ds": ["2025-12-31"], "y": [1]}
    for source in ({"history": history}, {"dataset": {"name": "d"}}):
        assert ForecastRequest.model_validate({"model": "m", **source}).future is None
        assert ForecastRequest.model_validate({"model": "m", "future": future, **source}).future is not None
    assert ForecastRequest.model_validate({"model": "m", "future": future}).history is None
    for both in ({"history": history, "dataset": {"name": "d"}}, {}):
        with pytest.raises(ValidationError):
            ForecastRequest.model_validate({"model": "m", **both})
