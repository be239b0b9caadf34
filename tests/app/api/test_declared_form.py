"""Requests whose query or Content-Type the route does not declare: refused with the nearest name, never ignored."""

import json
from typing import Any

import pytest

from app.edge.access import ACCESS, Access
from app.edge.declared_form import declared_forms
from tests.app.api.conftest import Caller, House, forecast_request

CSV = {"content": b"unique_id,ds,y\nshop,2026-01-01,4\n", "headers": {"content-type": "text/csv"}}
FORM = {"content": b'{"kind": "train"}', "headers": {"content-type": "application/x-www-form-urlencoded"}}


def first_error(caller: Caller, method: str, path: str, **request: Any) -> dict[str, Any]:
    answer = caller.ask(method, path, **request)
    assert answer.status_code == 422, answer.text
    return dict(answer.json()["errors"][0])


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("GET", "/v1/jobs?stat=failed", "did you mean 'state'?"),
        ("GET", "/v1/jobs?status=failed", "did you mean 'state'?"),
        ("GET", "/v1/models?pagesize=3", "did you mean 'page_size'?"),
        ("GET", "/v1/models/demand/quality?day=3", "did you mean 'days'?"),
        ("POST", "/v1/forecasts?horizn=3", "did you mean 'horizon'?"),
        ("POST", "/v1/forecasts/stream?level=80", "did you mean 'levels'?"),
        ("POST", "/v1/datasets?naem=sales", "did you mean 'name'?"),
        ("GET", "/openapi.json?version=3", "remove it"),
        ("GET", "/livez?verbose", "remove it"),
    ],
)
def test_an_unknown_query_parameter_is_refused_with_the_nearest_name(
    acme: Caller, method: str, path: str, hint: str
) -> None:
    error = first_error(acme, method, path)
    assert (error["code"], error["hint"]) == ("extra_forbidden", hint)
    assert error["field"] == path.partition("?")[2].partition("=")[0]


def test_every_route_refuses_a_query_parameter_that_it_does_not_declare(house: House) -> None:
    forms = declared_forms(house.app)
    assert ACCESS.keys() <= {("GET" if method == "HEAD" else method, path) for method, path in forms}
    for (method, template), access in ACCESS.items():
        path = template.replace("{token}", "1").replace("{number}", "1").replace("{", "").replace("}", "")
        if access is not Access.ATTEMPT:
            caller = house.operator if access is Access.OPERATOR else house.acme
            assert caller.ask(method, f"{path}?no_such_name=1").status_code == 422, (method, template)


def test_a_query_parameter_that_is_given_twice_is_refused_instead_of_read_once(acme: Caller) -> None:
    error = first_error(acme, "GET", "/v1/jobs?state=failed&state=queued")
    assert (error["code"], error["field"], error["hint"]) == ("repeated", "state", "give it once")


def test_a_query_beside_a_json_body_is_refused_because_it_would_be_ignored(acme: Caller) -> None:
    error = first_error(acme, "POST", "/v1/forecasts?horizon=1", json=forecast_request())
    assert (error["field"], error["hint"]) == ("horizon", "put the field into the JSON body")


@pytest.mark.parametrize(
    ("path", "body", "pointer", "hint"),
    [
        ("/v1/forecasts", {"model": "demand", "horizn": 3}, "/horizn", "did you mean 'horizon'?"),
        ("/v1/forecasts", {"model": "demand", "dataset": {"nmae": "sales"}}, "/dataset/nmae", "did you mean 'name'?"),
        ("/v1/jobs", {"kind": "tune", "dataset": "sales", "registr": True}, "/registr", "did you mean 'register'?"),
        (
            "/v1/schedules",
            {"name": "nightly", "job": {"kind": "retrain", "modle": "demand"}},
            "/job/modle",
            "did you mean 'model'?",
        ),
        ("/v1/webhooks", {"uri": "https://hooks.example.com"}, "/uri", "did you mean 'url'?"),
        ("/v1/webhooks", {"url": "https://hooks.example.com", "colour": "red"}, "/colour", "remove it"),
    ],
)
def test_an_unknown_field_of_a_body_is_refused_with_the_nearest_name(
    acme: Caller, path: str, body: dict[str, Any], pointer: str, hint: str
) -> None:
    # The field is refused alone: that a required one is missing says the same again.
    [error] = acme.ask("POST", path, json=body).json()["errors"]
    assert (error["code"], error["pointer"], error["hint"]) == ("extra_forbidden", pointer, hint)


@pytest.mark.parametrize("path", ["/v1/forecasts", "/v1/forecasts/stream"])
def test_a_csv_body_of_a_forecast_is_refused_with_the_types_that_are_read(acme: Caller, path: str) -> None:
    problem = acme.ask("POST", path, **CSV).json()
    assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")
    assert problem["detail"] == (
        "got Content-Type 'text/csv'; send application/json or application/vnd.apache.arrow.stream"
    )


@pytest.mark.parametrize("form", [CSV, FORM], ids=["csv", "form"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/jobs"), ("PUT", "/v1/models/demand/aliases/next"), ("POST", "/v1/webhooks")],
)
def test_a_body_of_another_type_is_refused_where_json_is_read(
    acme: Caller, method: str, path: str, form: dict[str, Any]
) -> None:
    problem = acme.ask(method, path, **form).json()
    assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")
    assert "send the header 'Content-Type: application/json'" in problem["detail"]


def test_json_is_read_under_any_of_its_names(acme: Caller) -> None:
    for kind in ("application/json; charset=utf-8", "application/problem+json", "APPLICATION/JSON"):
        body = json.dumps(forecast_request()).encode()
        assert acme.ask("POST", "/v1/forecasts", content=body, headers={"content-type": kind}).status_code == 200
