"""Bundles that were damaged in the database: never served, their alias falls back, and others are not concerned."""

import random

import pytest
from sqlalchemy import update

from app.problems import CorruptBundle
from app.store import registry
from app.store.tables import Version
from models.forecasting import bundle
from tests.app.api.conftest import House, forecast_request, on_both
from tests.fakes import says

OWN, OTHER = bundle.to_bytes(says(5, 5, 5)), bundle.to_bytes(says(9, 9, 9))
DAMAGES = {
    "cut": OWN[:-1],
    "empty": b"",
    "swapped": OTHER,
    "longer": OWN + b"\0",
    "flipped": OWN[:200] + bytes([OWN[200] ^ 1]) + OWN[201:],
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
        asked = forecast_request(model=kind, version=2)
        assert house.acme.refused("POST", "/v1/forecasts", json=asked) == (500, "corrupt_bundle", None)
    whole = house.acme.forecast(model="whole")
    assert (whole["model"]["version"], "fell_back" in str(whole["warnings"])) == (1, False)
    said = house.acme.get("/readyz")["checks"]["aliases"]
    assert said == f"{len(DAMAGES)} serve an earlier version than they point at"
    assert house.app.state.service.aliases.moves().fallen_back == len(DAMAGES)  # forecastle_aliases_fallen_back


def test_no_flipped_bit_of_a_bundle_is_read(house: House) -> None:
    version = house.register(says(5, 5, 5))
    chosen = random.Random(7)
    with house.database.write() as session:
        for place in chosen.sample(range(len(OWN)), 200):
            changed = bytearray(OWN)
            changed[place] ^= 1 << chosen.randrange(8)
            session.execute(update(Version).where(Version.id == version.id).values(bundle=bytes(changed)))
            with pytest.raises(CorruptBundle):
                registry.bundle(session, version.tenant_id, version.id)
