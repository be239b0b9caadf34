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


@pytest.mark.parametrize(
    "gate", [{"minimum_gain": 1}, {"minimum_gain": -0.1}, {"confidence": 0.4}, {"confidence": 1}, {"approval": "maybe"}]
)
def test_a_policy_that_cannot_be_met_is_refused_with_its_field(house: House, gate: dict[str, Any]) -> None:
    house.acme.keep("sales", [("shop", f"2026-01-{day:02}", day) for day in range(1, 29)])
    request = {"kind": "train", "model": "demand", "dataset": "sales", "gate": gate}
    problem = house.acme.ask("POST", "/v1/jobs", json=request).json()
    assert problem["status"] == 422
    [field] = gate
    assert problem["errors"][0]["pointer"].endswith(f"gate/{field}")
