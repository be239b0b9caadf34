"""/openapi.json: every operation is described, and its examples are true."""

import json
import re
from typing import Any

import pytest

from tests.app.api.conftest import Caller, House
from tests.app.api.tables import body
from tests.fakes import says

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture
def described(house: House) -> dict[str, Any]:
    document: dict[str, Any] = house.acme.get("/openapi.json")
    return document


def operations(document: dict[str, Any]) -> list[Operation]:
    return [(method, path, op) for path, verbs in document["paths"].items() for method, op in verbs.items()]


def references(value: Any) -> set[str]:
    """Every ``$ref`` in the document."""
    if isinstance(value, dict):
        return {value["$ref"]} if "$ref" in value else set().union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_the_document_is_one_of_openapi(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    assert described["info"]["title"] == "Forecastle"
    assert described["info"]["version"]
    for reference in references(described):
        here: Any = described
        for step in reference.removeprefix("#/").split("/"):
            here = here[step]
        assert here
    ids = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(ids) == len(set(ids))


def test_every_operation_says_what_it_is(described: dict[str, Any]) -> None:
    for method, path, operation in operations(described):
        assert operation["summary"], path
        assert operation["description"], path
        assert len(operation["tags"]) == 1, path
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_every_operation_says_how_it_refuses(described: dict[str, Any]) -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    for method, path, operation in operations(described):
        answers = operation["responses"]
        assert any(status.startswith("2") for status in answers)
        if operation.get("security") == []:
            assert path in {"/livez", "/readyz"}
            continue
        expected = {"401", "413", "422"}
        creates = (method, path) == ("post", "/v1/models/{name}/versions")  # the model, where there is none
        expected |= {"404"} if "{" in path and not creates else set()
        expected |= {"403"} if method != "get" and not path.startswith("/v1/forecasts") else set()
        expected |= {"400"} if "requestBody" in operation else set()
        assert expected <= set(answers), (method, path)
        for status, answer in answers.items():
            if status >= "4":
                assert answer["content"] == {"application/problem+json": {"schema": problem}}, (path, status)
    assert "HTTPValidationError" not in described["components"]["schemas"]


def examples(document: dict[str, Any], operation: dict[str, Any]) -> list[tuple[str, Any]]:
    """Content types and examples of an operation's body."""
    found = []
    for media_type, content in operation["requestBody"]["content"].items():
        shown = [content["example"]] if "example" in content else []
        for schema in content["schema"].get("oneOf", [content["schema"]]):
            named = schema.get("$ref", "").split("/")[-1]
            shown += (document["components"]["schemas"][named] if named else schema).get("examples", [])
        found += [(media_type, example) for example in shown]
    return found


def test_every_example_works(house: House, described: dict[str, Any]) -> None:
    acme = house.acme
    hours = {
        "unique_id": ["PJME"] * 400,
        "ds": [f"2026-01-{1 + h // 24:02}T{h % 24:02}:00" for h in range(400)],
        "y": [float(h % 24) for h in range(400)],
    }
    acme.post("/v1/datasets?name=electricity-hourly", json=hours)
    house.register(says(1, 2, freq="h"), model="electricity")
    for _ in range(2):
        house.decide(house.register(says(1, 2, freq="h"), model="electricity", alias=None), "pending")
    shown = 0
    for method, path, operation in operations(described):
        if "requestBody" not in operation or set(operation["requestBody"]["content"]) == {"application/octet-stream"}:
            continue  # the bytes of a file cannot be shown in JSON
        assert examples(described, operation), path
        for media_type, example in examples(described, operation):
            shown += 1
            caller = house.operator if path.startswith("/v1/tenants") else acme
            answer = play(caller, method, path, shown, media_type, example)
            assert answer.status_code < 300, (path, answer.text)
    assert shown == 21


def play(acme: Caller, method: str, path: str, number: int, media_type: str, example: Any) -> Any:
    """Send an example to where it can work."""
    if path == "/v1/datasets/{name}/rows":  # the rows go on from the same ones in December
        text = example if isinstance(example, str) else json.dumps(example)
        earlier = text.replace("2026-01-0", "2025-12-1").encode()
        acme.post(f"/v1/datasets?name=n{number}", **body(earlier, media_type))
    name = f"n{number}" if "datasets" in path else "rival" if "tenants" in path else "electricity"
    where = path.format(name=name, alias="champion", number=3 if "reject" in path else 2) + (
        "?name=" + name if path == "/v1/datasets" else ""
    )
    request = body(example.encode(), media_type) if isinstance(example, str) else {"json": example}
    if path == "/v1/tenants":
        request["json"] = {"name": example["name"] + "-2"}  # 'acme' exists
    if path == "/v1/jobs":
        request["json"] = {**example, "dataset": "electricity-hourly"}
    return acme.ask(method.upper(), where, **request)
