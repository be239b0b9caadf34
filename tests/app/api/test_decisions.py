"""Decisions over the API: listed with their numbers, approved or rejected by a person, and the way back."""

from typing import Any

import pytest

from tests.app.api.conftest import House, on_both
from tests.fakes import says

DEMAND = "/v1/models/demand"
CHAMPION = f"{DEMAND}/aliases/champion"
NUMBERS = {"champion": 1, "measure": "MASE", "ours": 0.75, "theirs": 1.0, "gain": 0.25, "confidence": 0.95}


@pytest.fixture
def waiting(house: House) -> House:
    """``demand`` with a champion, version 1, and a version 2 that waits for approval."""
    house.decide(house.register(says(1, 2, -1)), "promoted")
    house.decide(house.register(says(2, 2, 2), alias=None), "pending", **NUMBERS)
    return house


def champion(house: House) -> int:
    number: int = house.acme.forecast()["model"]["version"]
    return number


def say(house: House, what: str, number: int = 2, **request: Any) -> Any:
    return house.acme.post(f"{DEMAND}/decisions/{number}/{what}", **request)


@on_both
def test_a_decision_says_in_words_and_numbers_why(waiting: House) -> None:
    newest, first = waiting.acme.get(f"{DEMAND}/decisions")["items"]
    assert (newest["version"], newest["verdict"], first["version"], first["verdict"]) == (2, "pending", 1, "promoted")
    assert (newest["reason"], newest["numbers"]) == ("MASE 0.75 is below the 1 of version 1", NUMBERS)
    assert newest["policy"] == {"approval": "manual"}


@on_both
def test_an_approved_version_is_served_from_the_next_request_on(waiting: House) -> None:
    assert champion(waiting) == 1
    answer = say(waiting, "approve", json={"reason": "seen by the desk"})
    who = waiting.acme.key.split("_")[1]
    assert (answer["verdict"], answer["decided_by"]) == ("approved", who)
    assert answer["reason"] == "MASE 0.75 is below the 1 of version 1; approved: seen by the desk"
    assert champion(waiting) == 2
    move = waiting.acme.get(f"{CHAMPION}/moves")["items"][0]
    assert (move["from_version"], move["to_version"], move["reason"]) == (1, 2, "seen by the desk")


def test_a_rejected_version_is_not_served_and_nothing_more_can_be_said_of_it(waiting: House) -> None:
    assert say(waiting, "reject")["verdict"] == "rejected"
    assert champion(waiting) == 1
    for what in ("approve", "reject"):
        assert waiting.acme.refused("POST", f"{DEMAND}/decisions/2/{what}") == (409, "conflict", None)
    assert waiting.acme.refused("POST", f"{DEMAND}/decisions/1/approve") == (409, "conflict", None)


def test_what_was_never_decided_cannot_be_approved(waiting: House) -> None:
    waiting.register(says(1, 1, 1), alias=None)
    for number in (3, 4):
        assert waiting.acme.refused("POST", f"{DEMAND}/decisions/{number}/approve")[0] == 404


def test_a_version_that_cannot_be_loaded_is_not_approved(waiting: House) -> None:
    waiting.decide(waiting.register(b"no bundle", alias=None), "pending")
    assert waiting.acme.refused("POST", f"{DEMAND}/decisions/3/approve") == (500, "corrupt_bundle", None)
    assert champion(waiting) == 1
    assert waiting.acme.get(f"{DEMAND}/decisions")["items"][0]["verdict"] == "pending"


def test_who_may_only_read_decides_nothing(waiting: House) -> None:
    assert waiting.reader.get(f"{DEMAND}/decisions") == waiting.acme.get(f"{DEMAND}/decisions")
    for path in (f"{DEMAND}/decisions/2/approve", f"{DEMAND}/decisions/2/reject", f"{CHAMPION}/rollback"):
        assert waiting.reader.refused("POST", path) == (403, "forbidden", None)


@on_both
def test_one_call_rolls_back_and_the_same_call_undoes_it(waiting: House) -> None:
    say(waiting, "approve")
    back = waiting.acme.post(f"{CHAMPION}/rollback", json={"reason": "it forgot Sundays"})
    assert (back["alias"], back["version"], champion(waiting)) == ("champion", 1, 1)
    move = waiting.acme.get(f"{CHAMPION}/moves")["items"][0]
    assert (move["from_version"], move["to_version"], move["reason"]) == (2, 1, "rolled back: it forgot Sundays")
    assert waiting.acme.post(f"{CHAMPION}/rollback")["version"] == 2


def test_there_is_no_way_back_from_the_first_version(waiting: House) -> None:
    assert waiting.acme.refused("POST", f"{CHAMPION}/rollback") == (409, "conflict", None)
    assert waiting.acme.refused("POST", f"{DEMAND}/aliases/never-was/rollback")[0] == 404


def test_nobody_rolls_back_to_what_cannot_be_loaded(house: House) -> None:
    house.register(b"no bundle")
    house.register(says(1, 2, -1))
    assert house.acme.refused("POST", f"{CHAMPION}/rollback") == (500, "corrupt_bundle", None)
    assert champion(house) == 2


def test_decisions_are_paged(waiting: House) -> None:
    page = waiting.acme.get(f"{DEMAND}/decisions?page_size=1")
    rest = waiting.acme.get(f"{DEMAND}/decisions?page_size=1&page_token={page['next_page_token']}")
    assert [one["version"] for one in page["items"] + rest["items"]] == [2, 1]


SALES = [("shop", f"2026-01-{day:02}", day) for day in range(1, 29)]
REQUEST = {"kind": "train", "model": "demand", "dataset": "sales"}


@pytest.mark.parametrize(
    ("gate", "remedy"),
    [
        ({"minimum_gain": 1}, "less than 1"),
        ({"minimum_gain": -0.1}, "greater than or equal to 0"),
        ({"confidence": 0.4}, "greater than or equal to 0.5"),
        ({"confidence": 1}, "less than 1"),
        ({"approval": "maybe"}, "'automatic' or 'manual'"),
        ({"audit": "sometimes"}, "'block', 'ask' or 'warn'"),
        ({"accept_after": 0}, "greater than or equal to 1"),
        ({"former_tolerance": -1}, "greater than or equal to 0"),
    ],
)
def test_a_policy_that_cannot_be_met_or_does_not_exist_is_refused_with_field_and_remedy(
    house: House, gate: dict[str, Any], remedy: str
) -> None:
    house.acme.keep("sales", SALES)
    problem = house.acme.ask("POST", "/v1/jobs", json={**REQUEST, "gate": gate}).json()
    assert problem["status"] == 422
    [field], [error] = gate, problem["errors"]
    assert error["pointer"].endswith(f"gate/{field}")
    assert remedy in error["message"]


@pytest.mark.parametrize(("spec", "field"), [({"bounds": [5, None]}, "bounds"), ({"bounds": [None, 20]}, "bounds")])
def test_bounds_that_exclude_the_history_are_refused_with_field_and_remedy(
    house: House, spec: dict[str, Any], field: str
) -> None:
    house.acme.keep("sales", SALES)
    problem = house.acme.ask("POST", "/v1/jobs", json={**REQUEST, "spec": {"horizon": 3, **spec}}).json()
    [error] = problem["errors"]
    assert (problem["status"], error["code"], error["field"]) == (422, "out_of_bounds", field)
    assert error["hint"]
