"""Nothing that is sent ends in a 500 or in a number: each refusal is exact, short, and says what to do."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.api.bad_calls import BAD_CALLS, Bad
from tests.app.api.conftest import SALES, Caller, House, open_house
from tests.fakes import says
from tests.postgres import postgres_server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def bad_house(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A service with the data set ``sales`` and the model ``demand``, for all bad calls."""
    url = postgres_server().new_database() if request.param == "postgresql" else None
    with open_house(sqlite_template, tmp_path_factory.mktemp("bad"), url) as house:
        house.acme.keep("sales", SALES)
        house.register(says(1, 2, -1))
        yield house


def check(caller: Caller, bad: Bad) -> str | None:
    """What is not as the table says, None where all is."""
    answer = caller.ask(bad.method, bad.path, **bad.request)
    if answer.headers["content-type"] != "application/problem+json":
        return f"{bad.label}: {answer.status_code} {answer.text[:200]}"
    problem = answer.json()
    first = problem["errors"][0] if problem["errors"] else {}
    said = (problem["status"], problem["code"], {name: first.get(name) for name in bad.first})
    return None if said == (bad.status, bad.code, bad.first) else f"{bad.label}: {problem}"


def test_every_bad_call_is_refused_as_the_table_says(bad_house: House) -> None:
    before = bad_house.acme.get("/v1/datasets")
    wrong = [found for bad in BAD_CALLS if (found := check(bad_house.acme, bad)) is not None]
    assert wrong == []
    assert bad_house.acme.get("/v1/datasets") == before  # nothing of it was kept
    assert bad_house.acme.get("/v1/models/demand/aliases/champion/moves")["items"][1:] == []


def test_the_table_covers_every_route_that_can_refuse() -> None:
    assert len(BAD_CALLS) >= 60
    assert len({bad.label for bad in BAD_CALLS}) == len(BAD_CALLS)
    said = {(bad.method, bad.path.split("?")[0]) for bad in BAD_CALLS}
    assert {("POST", "/v1/forecasts"), ("POST", "/v1/datasets"), ("POST", "/v1/jobs")} <= said


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ('{"model": "demand", "history": {%s, "y": [NaN, null, NaN, null]}}', 422, "invalid_input"),
        ('{"model": "demand", "history": {%s, "y": [4, 6, Infinity, 10]}}', 422, "invalid_input"),
        ('{"model": "demand", "history": {%s, "y": [4, 6, 1e999, 10]}}', 422, "invalid_input"),
        ('{"model": "demand", "history": {%s, "y": [4, 6, "x", 10]}, "horizon": NaN}', 422, "invalid_request"),
        ('{"model": "demand", "history": {%s, "y": [4, 6, 1' + "0" * 400 + ", 10]}}", 422, "invalid_request"),
        ('{"model": "demand", "history": {%s, "y": [4, 6, 1' + "0" * 5000 + ", 10]}}", 400, "invalid_json"),
        ('{"model": "demand", "horizon": 1' + "0" * 400 + ', "history": {%s, "y": [1,2,3,4]}}', 422, "invalid_input"),
        ('{"model": "\\ud800", "history": {%s, "y": [4, 6, 8, 10]}}', 400, "invalid_json"),
        ('{"model": "a\\u0000b", "history": {%s, "y": [4, 6, 8, 10]}}', 422, "invalid_request"),
        ('{"model": "demand", "history": {"unique_id": "\\ud800", %s, "y": [4, 6, 8, 10]}}', 400, "invalid_json"),
        ('{"model": "demand", "history": {"unique_id": "a\\u0000b", %s, "y": [4, 6, 8, 10]}}', 422, "invalid_input"),
        ("[" * 100_000, 400, "invalid_json"),
        ('{"model":' * 100_000, 400, "invalid_json"),
        ("{", 400, "invalid_json"),
        ("", 400, "invalid_json"),
        ("null", 422, "invalid_request"),
        ("[]", 422, "invalid_request"),
        ("\ufeff{}", 400, "invalid_json"),
    ],
    ids=lambda value: str(value)[:90],
)
def test_raw_json_is_refused_and_never_echoed(bad_house: House, text: str, status: int, code: str) -> None:
    content = text.replace("%s", '"ds": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]').encode()
    headers = {"content-type": "application/json"}
    answer = bad_house.acme.ask("POST", "/v1/forecasts", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(answer.content) < 2_000


def flood(house: House, path: str, body: object) -> httpx.Response:
    headers = {"content-type": "application/json"}
    return house.acme.ask("POST", path, content=json.dumps(body).encode(), headers=headers)


def test_thousands_of_faults_are_counted_and_twenty_are_told(bad_house: House) -> None:
    many = 30_000
    canary = "canary" * 500
    stamps = {"ds": ["2026-01-01"] * many, "y": [1] * many}
    for body, total in [
        ({"model": "demand", "history": {**stamps, "y": ["x"] * many}}, 1),
        ({"model": "demand", "history": {**stamps, "y": [float("inf")] * many}}, many),
        ({"model": "demand", "history": {**stamps, "ds": [canary] * 1000, "y": [1] * 1000}}, 1000),
        ({"model": "demand", "dataset": {"name": "sales", "ids": [f"{canary}{i}" for i in range(100)]}}, 100),
        ({"model": "demand", **{f"f{i}": i for i in range(many)}}, 1),
        ({"model": "demand", "levels": ["x"] * many}, 1),
        ({"model": canary, "history": {canary: [canary]}}, None),
    ]:
        answer = flood(bad_house, "/v1/forecasts", body)
        assert answer.status_code == 422
        assert total is None or answer.json()["errors_total"] == total
        assert canary not in answer.text


def test_one_long_field_among_many_rows_is_refused_at_once(bad_house: House) -> None:
    rows = 400
    ids, y = ["a"] * rows, [1] * rows
    long = {"unique_id": ids, "ds": ["2026-01-01"] * (rows - 1) + ["x" * 10**6], "y": y}
    answer = flood(bad_house, "/v1/datasets?name=n", long)
    assert answer.json()["errors"][0]["row"] == rows
    ragged = ["2026-01-01"] * (rows - 1) + [["x"]]
    assert flood(bad_house, "/v1/datasets?name=n", {"unique_id": ids, "ds": ragged, "y": y}).status_code == 422
    digits = b"unique_id,ds,y\na,2026-01-01," + b"1" * 130_000 + b"x\n"
    headers = {"content-type": "text/csv"}
    refused = bad_house.acme.refused("POST", "/v1/datasets?name=n", content=digits, headers=headers)
    assert refused == (422, "invalid_input", "text_too_long")


def test_what_is_not_json_is_refused_with_what_to_send(bad_house: House) -> None:
    for media_type, status, code in [
        ("", 422, "invalid_request"),
        ("text/plain", 415, "unsupported_media_type"),
        ("application/xml", 415, "unsupported_media_type"),
    ]:
        answer = bad_house.acme.ask("POST", "/v1/forecasts", content=b"{}", headers={"content-type": media_type})
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("key", ["", "fc_aaaaaaaa_" + "x" * 43, "x" * 10_000, "\x7f"])
def test_a_wrong_key_is_refused_before_the_body_is_looked_at(bad_house: House, key: str) -> None:
    stranger = Caller(bad_house.client, key)
    assert stranger.refused("POST", "/v1/forecasts", content=b"{") == (401, "unauthorized", None)
    assert stranger.refused("GET", "/v1/nothing") == (401, "unauthorized", None)


def test_a_key_for_reading_may_forecast_but_not_write(bad_house: House) -> None:
    reader = bad_house.reader
    assert reader.forecast()["model"]["name"] == "demand"
    for method, path in [
        ("POST", "/v1/datasets?name=x"),
        ("POST", "/v1/datasets/sales/rows"),
        ("POST", "/v1/jobs"),
        ("POST", "/v1/jobs/x/cancel"),
        ("PUT", "/v1/models/demand/aliases/a"),
    ]:
        assert reader.refused(method, path, content=b"{") == (403, "forbidden", None)
