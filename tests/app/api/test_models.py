import pytest

from models.forecasting import bundle
from tests.app.api.conftest import Caller, House, on_both
from tests.fakes import report, says

DEMAND = "/v1/models/demand"
CHAMPION = f"{DEMAND}/aliases/champion"


@on_both
def test_versions_are_listed_newest_first_with_what_they_are(house: House) -> None:
    made = [says(step, step, step) for step in range(3)]
    for one in made:
        house.register(one)
    listed = house.acme.get(f"{DEMAND}/versions")["items"]
    assert [one["version"] for one in listed] == [3, 2, 1]
    newest = house.acme.get(f"{DEMAND}/versions/3")
    assert newest == listed[0]
    data = bundle.to_bytes(made[2])
    assert (newest["sha256"], newest["size_bytes"]) == (bundle.sha256(data), len(data))
    assert (newest["spec"], newest["scores"], newest["skill"]) == (made[2].spec.to_json(), report(0.25).to_json(), 0.25)
    sales = house.acme.get("/v1/datasets/sales")
    assert (newest["dataset"], newest["revision"], newest["data_sha256"]) == ("sales", 1, sales["sha256"])
    assert (newest["origin"], newest["job_id"]) == ("import", None)
    assert (newest["created_by"], newest["model"]) == ("cli", "demand")


@on_both
def test_an_alias_is_promoted_and_rolled_back_and_every_move_is_told(house: House) -> None:
    for _ in range(2):
        house.register(says(1), alias=None)
    acme, who = house.acme, house.acme.key.split("_")[1]
    assert acme.get(f"{DEMAND}/aliases") == []
    for version, reason in [(1, "the first"), (2, "approved"), (2, "approved again"), (1, "rolled back")]:
        moved = acme.put(CHAMPION, json={"version": version, "reason": reason})
        assert (moved["alias"], moved["version"]) == ("champion", version)
    moves = acme.get(f"{CHAMPION}/moves")["items"]
    assert [(m["from_version"], m["to_version"], m["reason"], m["moved_by"]) for m in moves] == [
        (2, 1, "rolled back", who),
        (1, 2, "approved", who),
        (None, 1, "the first", who),
    ]
    assert acme.get(f"{DEMAND}/aliases") == [moved]
    assert acme.get(DEMAND)["aliases"] == [moved]


def test_repeating_a_move_changes_nothing(house: House, acme: Caller) -> None:
    before = acme.get(f"{CHAMPION}/moves")
    answers = [acme.put(CHAMPION, json={"version": 1, "reason": "again"}) for _ in range(2)]
    assert answers[0] == answers[1]
    assert acme.get(f"{CHAMPION}/moves") == before


def test_moves_and_versions_are_paged(house: House) -> None:
    acme = house.acme
    for _ in range(3):
        house.register(says(1))
    for path, key in [(f"{CHAMPION}/moves", "to_version"), (f"{DEMAND}/versions", "version")]:
        page = acme.get(f"{path}?page_size=2")
        house.register(says(1), model="other")
        rest = acme.get(f"{path}?page_size=2&page_token={page['next_page_token']}")
        assert [item[key] for item in page["items"] + rest["items"]] == [3, 2, 1]


@on_both
def test_models_are_listed_oldest_first(house: House) -> None:
    for model in ("demand", "supply", "demand"):
        house.register(says(1), model=model)
    page = house.acme.get("/v1/models?page_size=1")
    rest = house.acme.get(f"/v1/models?page_size=5&page_token={page['next_page_token']}")
    listed = page["items"] + rest["items"]
    pointed = {one["model"]: [alias["version"] for alias in one["aliases"]] for one in listed}
    assert list(pointed.items()) == [("demand", [2]), ("supply", [1])]
    assert house.acme.get("/v1/models/supply") == listed[1]


def test_a_reason_may_be_left_out_and_be_in_any_script(house: House, acme: Caller) -> None:
    house.register(says(1), alias=None)
    acme.put(CHAMPION, json={"version": 2})
    acme.put(CHAMPION, json={"version": 1, "reason": "größer 🚀\nzweite Zeile"})
    reasons = [move["reason"] for move in acme.get(f"{CHAMPION}/moves")["items"]]
    assert reasons == ["größer 🚀\nzweite Zeile", "moved by request", "better"]


@pytest.mark.parametrize("name", ["from_version", "moved_by", "moved_at", "alias", "tenant_id", "model"])
def test_what_only_the_service_decides_cannot_be_sent(acme: Caller, name: str) -> None:
    problem = acme.ask("PUT", CHAMPION, json={"version": 1, name: 1}).json()
    assert (problem["status"], problem["errors"][0]["pointer"]) == (422, f"/{name}")
    assert len(acme.get(f"{CHAMPION}/moves")["items"]) == 1


def test_an_alias_of_digits_is_refused_as_nobody_could_ask_for_it(house: House) -> None:
    house.register(says(1))
    refused = house.acme.refused("PUT", f"{DEMAND}/aliases/7", json={"version": 1})
    assert refused == (422, "invalid_input", "bad_alias")
    assert house.acme.put(f"{DEMAND}/aliases/v7", json={"version": 1})["version"] == 1


def test_an_alias_that_was_never_moved_has_no_moves(acme: Caller) -> None:
    assert acme.get(f"{DEMAND}/aliases/prod/moves") == {"items": [], "next_page_token": None}
