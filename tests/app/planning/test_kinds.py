"""The table of job kinds, and the union of requests that follows from it."""

import pytest
from pydantic import TypeAdapter, ValidationError

from app.planning.kinds import KINDS, REQUESTED, JobRequest, kind_name

REQUESTS: TypeAdapter[JobRequest] = TypeAdapter(JobRequest)


def test_a_body_is_read_as_the_request_of_the_kind_that_it_names() -> None:
    for name, kind in REQUESTED.items():
        examples = kind.request.model_config["json_schema_extra"]["examples"]  # type: ignore[index,call-overload]
        for example in examples:
            request = REQUESTS.validate_python(example)
            assert type(request) is kind.request
            assert kind_name(request) == name


def test_a_body_without_a_kind_is_a_training_job() -> None:
    request = REQUESTS.validate_python({"model": "demand", "dataset": "sales"})
    assert kind_name(request) == "train"


@pytest.mark.parametrize("kind", ["paint", 7, None])
def test_another_kind_is_refused_with_the_kinds_that_exist(kind: object) -> None:
    with pytest.raises(ValidationError, match="use one of train, backtest, forecast, tune, retrain"):
        REQUESTS.validate_python({"kind": kind, "model": "demand"})


def test_every_kind_names_the_function_that_does_it() -> None:
    assert all(kind.work.startswith("app.work.") and ":" in kind.work for kind in KINDS.values())
