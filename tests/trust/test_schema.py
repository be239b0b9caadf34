"""Schemathesis over every route of the OpenAPI document, with a key that may write: no finding is allowed.

It tells apart form and content. A request of the documented form may still be refused for its content, such as a model
that does not exist or two fields that exclude each other; a refusal of its form is a fault of the document.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from tests.app.api.conftest import open_house
from tests.fakes import says
from tests.trust.conftest import listening

# Rules that JSON Schema cannot state: those between fields, and that an integer is not written as 9.0.
CONTENT = {"value_error", "query_beside_json", "int_type"}
CONFIG = {
    "seed": 1,
    "request-timeout": 10,
    "cache": {"enabled": False},
    "checks": {"positive_data_acceptance": {"enabled": False}},  # replaced by the check below
}
# Their bodies hold that of POST /v1/jobs: covering each of its values three times takes most of the time.
REPEATED = [
    {"include-name": f"{method} /v1/schedules{name}", "phases": {"coverage": {"enabled": False}}}
    for method, name in (("POST", ""), ("PATCH", "/{name}"))
]


@schemathesis.check
def a_documented_form_is_read(ctx: Any, response: Any, case: Any) -> None:
    """Fail if a request of the documented form is refused for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 422:
        return
    problem = response.json()
    if problem["code"] == "invalid_request" and any(error["code"] not in CONTENT for error in problem["errors"]):
        raise AssertionError(f"the form is refused: {problem['errors']}")


def findings(document: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Yield each finding of a run of all phases: examples, coverage, fuzzing and stateful."""
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG | config))
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            yield repr(event)
        if isinstance(event, events.ScenarioFinished):
            for node in (node for nodes in event.recorder.checks.values() for node in nodes):
                if node.failure_info is not None:
                    yield f"{event.label}: {node.failure_info.failure} {node.failure_info.code_sample}"


@pytest.mark.parametrize(
    "settings",
    [
        {"operations": REPEATED, "generation": {"max-examples": 5, "database": "none"}},
        pytest.param({"generation": {"max-examples": 100, "database": "none"}}, marks=pytest.mark.long),
    ],
    ids=["few examples", "many examples"],
)
def test_every_answer_is_as_documented(settings: dict[str, Any], sqlite_template: Path, tmp_path: Path) -> None:
    with open_house(sqlite_template, tmp_path) as house, listening(house) as address:
        house.register(says(1, 2, -1))
        caller = {
            "base-url": f"http://{address[0]}:{address[1]}",
            "headers": {"Authorization": f"Bearer {house.acme.key}"},
        }
        assert list(findings(house.acme.get("/openapi.json"), settings | caller)) == []
