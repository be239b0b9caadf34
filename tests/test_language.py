"""The source reads like its field: bounds on the language of docstrings, on private helpers and on untyped values."""

from ast import ClassDef
from collections import Counter

import pytest

from tests import facts

MAX_FREE_RELATIVES = 3.0  # per 1,000 docstring words; five well-known codebases have 0 to 0.4
MAX_CALLED_ONCE = 0.12  # share of functions that are private and called once
MAX_UNTYPED = 40


def test_docstrings_have_few_free_relatives() -> None:
    found = facts.docstrings(facts.sources())
    worst = [one for one in found if len(facts.FREE_RELATIVE.findall(one.text)) > 1]
    assert facts.free_relatives_per_1000(found) <= MAX_FREE_RELATIVES, worst[:10]


def test_every_docstring_is_understood_alone() -> None:
    assert facts.pointers(facts.docstrings(facts.sources())) == []


@pytest.mark.parametrize("folder", ["app", "models"])
def test_a_private_helper_that_is_called_once_is_worth_its_call(folder: str) -> None:
    once, count = facts.called_once(folder)
    assert len(once) <= MAX_CALLED_ONCE * count, once


def test_a_class_name_stands_for_one_idea() -> None:
    classes = [
        node.name for _, node in facts.definitions(facts.sources(("app", "models"))) if isinstance(node, ClassDef)
    ]
    assert [name for name, count in Counter(classes).items() if count > 1] == []


def test_values_inside_have_types() -> None:
    untyped = facts.untyped(facts.sources(("app", "models")))
    assert sum(untyped.values()) <= MAX_UNTYPED, untyped


def test_the_measures_find_what_they_look_for() -> None:
    text = {"a.py": '"""What comes of what is asked."""\n\ndef f(x: dict[str, Any]) -> None:\n    """See ``g``."""\n'}
    found = facts.docstrings(text)
    assert facts.free_relatives_per_1000(found) == pytest.approx(1_000 * 2 / 8)
    assert [one.place for one in facts.pointers(found)] == ["a.py:3"]
    assert facts.untyped(text) == {"a.py": 1}
