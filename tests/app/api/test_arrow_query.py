"""Query of a request with an Arrow body: validated as strictly as a JSON body."""

from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import QueryParams

from app.api.http.arrow_query import is_arrow, parse_query, query_parameters
from app.schemas.streams import ForecastQuery


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("model=demand", {"levels": [80], "horizon": None}),
        ("model=demand&levels=80,95", {"levels": [80, 95]}),
        ("model=demand&levels=80&levels=95", {"levels": [80, 95]}),
        ("model=demand&levels=", {"levels": []}),
        ("model=demand&version=3&horizon=24&freq=h", {"version": 3, "horizon": 24, "freq": "h"}),
        ("model=demand&alias=challenger&session=till", {"alias": "challenger", "session": "till"}),
    ],
)
def test_a_query_has_the_fields_of_a_body(query: str, asked: dict[str, Any]) -> None:
    found = parse_query(QueryParams(query))
    assert found.model == "demand"
    assert {name: getattr(found, name) for name in asked} == asked


@pytest.mark.parametrize(
    ("query", "place", "code"),
    [
        ("", ("query", "model"), "missing"),
        ("model=a%20b", ("query", "model"), "string_pattern_mismatch"),
        ("model=a&model=b", ("query", "model"), "string_pattern_mismatch"),
        ("model=a&horizon=0", ("query", "horizon"), "greater_than_equal"),
        ("model=a&horizon=1.5", ("query", "horizon"), "int_parsing"),
        ("model=a&horizon=1&horizon=2", ("query", "horizon"), "int_parsing"),
        ("model=a&version=2147483648", ("query", "version"), "less_than_equal"),
        ("model=a&levels=80,x", ("query", "levels", 1), "int_parsing"),
        ("model=a&levels=100", ("query", "levels", 0), "less_than_equal"),
        ("model=a&levels=80,80", ("query",), "value_error"),
        ("model=a&levels=1,2,3,4,5,6,7,8,9,10,11", ("query", "levels"), "too_long"),
        ("model=a&version=1&alias=b", ("query",), "value_error"),
        ("model=a&freq=" + "h" * 21, ("query", "freq"), "string_too_long"),
        ("model=a&horizont=3", ("query", "horizont"), "extra_forbidden"),
    ],
)
def test_a_faulty_query_is_refused_with_the_place_of_the_fault(query: str, place: tuple[Any, ...], code: str) -> None:
    with pytest.raises(RequestValidationError) as caught:
        parse_query(QueryParams(query))
    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [(place, code)]


@pytest.mark.parametrize(
    ("content_type", "arrow"),
    [
        ("application/vnd.apache.arrow.stream", True),
        ("Application/vnd.apache.Arrow.stream ; x=y", True),
        ("application/vnd.apache.arrow.file", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_an_arrow_body_is_recognised_by_its_content_type(content_type: str, arrow: bool) -> None:
    assert is_arrow(content_type) is arrow


def test_every_field_of_a_query_is_documented() -> None:
    described = {parameter["name"]: parameter for parameter in query_parameters()}
    assert described.keys() == ForecastQuery.model_fields.keys()
    assert all(one["in"] == "query" and one["description"] and one["schema"] for one in described.values())
    assert described["levels"]["schema"]["items"]["maximum"] == 99
    assert described["levels"]["explode"] is False
