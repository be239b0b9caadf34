"""Bundles that were damaged in the database: never served, their alias falls back, and others are not concerned."""

from sqlalchemy import update

from app.store.tables import Version
from models.forecasting import bundle
from tests.app.api.conftest import House, on_both
from tests.fakes import says

OWN, OTHER = bundle.to_bytes(says(5, 5, 5)), bundle.to_bytes(says(9, 9, 9))
DAMAGES = {
    "cut": OWN[:-1],
    "empty": b"",
    "swapped": OTHER,
    "longer": OWN + b"\0",
    "flipped": OWN[:200] + b"?" + OWN[201:],
}


def put(house: House, version: Version, data: bytes) -> None:
    with house.database.write() as session:
        session.execute(update(Version).where(Version.id == version.id).values(bundle=data))


@on_both
def test_every_kind_of_damage_is_found_and_the_version_before_it_answers(house: House) -> None:
    for kind, data in DAMAGES.items():
        house.register(says(1, 2, 3), model=kind)
        put(house, house.register(says(5, 5, 5), model=kind), data)
    house.register(says(1, 2, 3), model="whole")
    for kind in DAMAGES:
        answer = house.acme.forecast(model=kind)
        assert (answer["model"]["version"], answer["warnings"][0]["code"]) == (1, "fell_back"), kind
        asked = {
            "model": kind,
            "version": 2,
            "history": {"unique_id": "s", "ds": ["2024-01-01"], "y": [1]},
            "freq": "D",
        }
        assert house.acme.refused("POST", "/v1/forecasts", json=asked) == (500, "corrupt_bundle", None)
    whole = house.acme.forecast(model="whole")
    assert (whole["model"]["version"], "fell_back" in str(whole["warnings"])) == (1, False)
    said = house.acme.get("/readyz")["checks"]["aliases"]
    assert said == f"{len(DAMAGES)} serve an earlier version than they point at"
    assert house.app.state.service.aliases.moves().fallen_back == len(DAMAGES)  # forecastle_aliases_fallen_back
