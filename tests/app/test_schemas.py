import pytest
from pydantic import BaseModel, ValidationError

from app import schemas
from app.schemas import Answer, Body, ForecastRequest, MoveRequest, TrainRequest

BODIES = [ForecastRequest, TrainRequest, MoveRequest, schemas.History, schemas.DatasetRef]


def test_every_body_is_known_here() -> None:
    assert set(Body.__subclasses__()) == set(BODIES)


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
