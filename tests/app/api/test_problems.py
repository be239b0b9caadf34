"""Every error answer has a code that is explained, by the service and in the documentation."""

import ast
from pathlib import Path

from app.edge import problem_json
from app.problem_pages import PROBLEM_PAGES
from app.problems import PROBLEM_TYPES
from tests.app.api.conftest import House

ROOT = Path(__file__).parents[3]


def codes_of_the_source() -> set[str]:
    """Return the second argument of each call of ``ProblemType`` and, in front of the service, ``refusal``."""
    calls = [
        node
        for file in [*ROOT.glob("app/edge/*.py"), ROOT / "app/problems.py"]
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"ProblemType", "refusal"}
    ]
    second = [node.args[1] for node in calls if len(node.args) > 1]
    return {
        argument.value for argument in second if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_every_code_has_an_explanation_and_every_explanation_a_code() -> None:
    assert codes_of_the_source() == set(PROBLEM_PAGES)
    used = {kind.code for kind in (*PROBLEM_TYPES.values(), *problem_json.FRAMEWORK.values())}
    assert used <= set(PROBLEM_PAGES)


def test_the_documentation_has_each_code_with_its_meaning_and_remedy() -> None:
    rows = [line for line in (ROOT / "docs" / "problems.md").read_text().splitlines() if line.startswith("| `")]
    assert rows == [f"| `{code}` | {page.meaning} | {page.remedy} |" for code, page in PROBLEM_PAGES.items()]


def test_the_type_of_an_error_is_the_address_of_its_explanation(house: House) -> None:
    error = house.reader.ask("GET", "/v1/models/none").json()
    page = house.reader.get(error["type"])
    assert page == {"code": "not_found", **PROBLEM_PAGES["not_found"]._asdict()}
    assert house.reader.refused("GET", "/problems/no-such-code") == (404, "not_found", None)
    assert house.client.request("GET", error["type"]).status_code == 401
