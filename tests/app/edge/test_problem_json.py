"""How errors read: problem+json, bounded, with pointers that point somewhere, and never broken by what was sent."""

import json
import logging
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from app.edge.problem_json import problem_response
from app.problems import Forbidden
from models.errors import BundleError

from .conftest import GONE, READ_KEY, WRITE_KEY, Answer, Wire

KIB_64 = 64 * 1024


def problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The problem in ``answer``, after the checks that hold for each of them."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    body: dict[str, Any] = json.loads(answer.body.decode("ascii"), parse_constant=refuse)
    assert (answer.status, body["status"], body["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"/problems/{code}"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert len(body["errors"]) <= 20
    assert body["errors_total"] >= len(body["errors"])
    assert len(answer.body) <= KIB_64
    return body


def test_each_wrong_value_is_named_by_a_json_pointer_into_the_body(wire: Wire) -> None:
    content = '{"history": {"y": [1, "two", null], "sales/day": 3}, "h/n~x": 0, "covariate": [1]}'
    body = problem(wire.post("/v1/forecasts", content), 422, "invalid_request")
    assert body["instance"] == "/v1/forecasts"
    assert {error["pointer"]: error["code"] for error in body["errors"]} == {
        "/history/y/1": "float_parsing",
        "/history/y/2": "float_type",
        "/history/sales~1day": "extra_forbidden",
        # Both branches of the union: pydantic's own place for them, /covariate/int, does not exist in the body.
        "/covariate": "string_type",
        "/h~1n~0x": "greater_than_equal",
    }
    assert all(error["message"] and error["hint"] for error in body["errors"])


def test_a_missing_field_is_named_by_where_it_belongs(wire: Wire) -> None:
    body = problem(wire.post("/v1/forecasts", '{"history": {}}'), 422, "invalid_request")
    assert [(error["pointer"], error["hint"]) for error in body["errors"]] == [("/history/y", "add this field")]
    body = problem(wire.ask("POST", "/v1/forecasts", key=READ_KEY), 422, "invalid_request")
    assert body["errors"][0]["pointer"] == ""


def test_a_wrong_query_parameter_is_named_as_a_field(wire: Wire) -> None:
    (error,) = problem(wire.ask("GET", "/v1/jobs?limit=x", key=READ_KEY), 422, "invalid_request")["errors"]
    assert error["field"] == "limit"
    assert "pointer" not in error


@pytest.mark.parametrize("content", ["{", "", "\x00", '{"history": }', "nul"])
def test_what_is_not_json_is_refused(wire: Wire, content: str) -> None:
    answer = wire.post("/v1/forecasts", content)
    code = "invalid_json" if content else "invalid_request"
    problem(answer, 400 if content else 422, code)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"y": ' + "9" * 5000 + "}", "\udcff"])
def test_json_that_chokes_the_parser_is_refused(wire: Wire, content: str) -> None:
    raw = [content.encode("utf-8", "surrogateescape")]
    answer = wire.ask("POST", "/v1/forecasts", key=READ_KEY, headers={"content-type": "application/json"}, body=raw)
    problem(answer, 400, "bad_request")


@pytest.mark.parametrize(
    "content",
    [
        '{"history": {"y": "x"}, "h/n~x": NaN}',
        '{"history": {"y": ["x", 1e999]}, "h/n~x": -Infinity}',
        '{"history": {"y": [1], "name": "\\ud800"}, "h/n~x": 0}',
        '{"history": {"y": [1], "\\ud800": 1}}',
        '{"\\ud800": {"y": [1]}}',
        "NaN",
        '"\\ud800"',
        '{"history": NaN}',
    ],
)
def test_nan_infinity_and_lone_surrogates_in_a_wrong_body_do_not_break_the_answer(wire: Wire, content: str) -> None:
    problem(wire.post("/v1/forecasts", content), 422, "invalid_request")


@pytest.mark.parametrize(("path", "code"), [("/v1/datasets", "incomplete_body"), ("/v1/forecasts", "bad_request")])
def test_a_client_that_goes_away_is_no_error_of_the_service(
    wire: Wire, path: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    problem(wire.ask("POST", path, key=WRITE_KEY, body=[b"{", GONE]), 400, code)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_what_was_sent_is_not_echoed(wire: Wire) -> None:
    answer = wire.post("/v1/forecasts", '{"history": {"y": ["my-private-number"]}}')
    problem(answer, 422, "invalid_request")
    assert b"private" not in answer.body


def test_a_hundred_thousand_wrong_elements_give_twenty_errors_and_their_number(wire: Wire) -> None:
    content = json.dumps({"history": {"y": ["x"] * 100_000}})
    body = problem(wire.post("/v1/forecasts", content), 422, "invalid_request")
    assert (len(body["errors"]), body["errors_total"]) == (20, 100_000)


def test_long_unknown_names_in_any_script_stay_bounded(wire: Wire) -> None:
    names = {f"{n}{'😀' * 2000}": 1 for n in range(30)}
    body = problem(wire.post("/v1/forecasts", json.dumps({"history": {"y": [1], **names}})), 422, "invalid_request")
    assert body["errors"][0]["pointer"].endswith("…")


def test_faults_of_the_library_name_series_row_and_remedy(wire: Wire) -> None:
    body = problem(wire.ask("GET", "/v1/jobs/faulty", key=READ_KEY), 422, "invalid_input")
    assert (len(body["errors"]), body["errors_total"]) == (20, 1000)
    error = body["errors"][1]
    assert (error["row"], error["field"], error["code"], error["hint"]) == (2, "y", "bad", "mend it")
    assert error["unique_id"].startswith("?😀")
    assert body["detail"].endswith("…")


def test_errors_of_the_service_have_their_own_face(wire: Wire) -> None:
    body = problem(wire.ask("GET", "/v1/jobs/gone", key=READ_KEY), 404, "not_found")
    assert body["detail"] == "There is no job 'gone'."
    assert problem(wire.ask("GET", "/v1/jobs/busy", key=READ_KEY), 409, "conflict")["detail"].startswith("busy ?")
    problem(wire.ask("GET", "/v1/jobs/damaged", key=READ_KEY), 500, "corrupt_bundle")
    problem(wire.ask("GET", "/nowhere", key=READ_KEY), 404, "not_found")


def test_the_path_in_an_answer_is_a_bounded_uri_whatever_was_asked_for(wire: Wire) -> None:
    body = problem(wire.ask("GET", "/a b\r\n\x00é\ud800" + "/x" * 100_000, key=READ_KEY), 404, "not_found")
    assert body["instance"].startswith("/a%20b%0D%0A%00%C3%A9%3F/x/x")
    assert len(body["instance"]) <= 257


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Forbidden(), 403, "forbidden"),
        (BundleError("x"), 500, "corrupt_bundle"),
        (HTTPException(415), 415, "unsupported_media_type"),
        (HTTPException(418), 418, "http_418"),
        (HTTPException(499, "x"), 499, "http_499"),
        (HTTPException(422, "x"), 422, "http_422"),
        (KeyError("x"), 500, "internal"),
    ],
)
def test_any_exception_becomes_a_problem(error: Exception, status: int, code: str) -> None:
    response = problem_response(error, "f00d", "/x")
    body = json.loads(response.body)
    assert (response.status_code, body["code"], body["request_id"]) == (status, code, "f00d")
