"""Texts of errors."""

import pytest

from models.errors import Fault, Findings, InputError, SpecError, excerpt


def fault(**where):
    return Fault(code="c", message="it is wrong", hint="mend it", **where)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ({}, "it is wrong; mend it"),
        ({"field": "y"}, "y: it is wrong; mend it"),
        ({"row": 3, "field": "y"}, "row 3: it is wrong; mend it"),
        ({"unique_id": "a", "row": 3}, "series 'a', row 3: it is wrong; mend it"),
        ({"unique_id": "a", "field": "y"}, "series 'a': it is wrong; mend it"),
    ],
)
def test_a_fault_names_its_place(where, text):
    assert str(fault(**where)) == text


def test_an_error_holds_twenty_faults_and_the_true_total():
    error = InputError([fault(row=row) for row in range(1, 31)])
    assert (len(error.faults), error.total) == (20, 30)
    assert str(error).endswith("row 20: it is wrong; mend it (and 10 more)")


def test_a_single_fault_is_the_whole_text():
    assert str(SpecError([fault()])) == "it is wrong; mend it"


def test_findings_keep_the_first_faults_and_count_all():
    made, found = [], Findings()
    found.check()
    found.add(range(10, 1000), lambda row: made.append(row) or fault(row=row))
    found.add([3], lambda row: fault(row=row))
    with pytest.raises(InputError) as caught:
        found.check()
    assert (len(made), caught.value.total) == (20, 991)
    assert [fault.row for fault in caught.value.faults] == [3, *range(10, 29)]


def test_an_excerpt_is_short_for_any_value():
    assert excerpt("abc") == "'abc'"
    assert excerpt("x" * 1000) == "'" + "x" * 38 + "…"
    assert len(excerpt(list(range(10_000)), 80)) == 80


def test_an_error_of_a_single_fault_names_its_place() -> None:
    error = SpecError.of("bad_field", "horizon is 0", "give 1 or more", field="horizon")
    assert isinstance(error, SpecError)
    assert error.total == 1
    assert error.faults == (Fault(code="bad_field", message="horizon is 0", hint="give 1 or more", field="horizon"),)
    assert str(InputError.of("c", "no value", "send some", unique_id="a", row=3)) == (
        "series 'a', row 3: no value; send some"
    )
