"""Tokens of an issuer in the place of a key: the same routes, the same tenant, the same borders."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.api.conftest import Caller, House, open_house
from tests.app.issuer import Issuer, issuer
from tests.fakes import says


@pytest.fixture(name="open_to_tokens")
def open_to_tokens_fixture(sqlite_template: Path, tmp_path: Path) -> Iterator[tuple[House, Issuer]]:
    with issuer() as it:
        changes = {"oidc_issuer": it.url, "oidc_audience": "forecastle", "oidc_private_networks": "127.0.0.0/8"}
        with open_house(sqlite_template, tmp_path, **changes) as house:
            yield house, it


def test_a_token_is_as_good_as_a_key_of_its_tenant_and_scope(open_to_tokens: tuple[House, Issuer]) -> None:
    house, it = open_to_tokens
    house.register(says(1, 2, -1))
    alice = Caller(house.client, it.token())
    assert alice.forecast() == house.acme.forecast()
    assert alice.refused("DELETE", "/v1/models/demand") == (403, "forbidden", None)
    writer = Caller(house.client, it.token(scope="forecastle:write"))
    writer.post("/v1/webhooks", json={"name": "desk", "url": "https://9.9.9.9/", "events": ["job.failed"]})
    assert house.acme.get("/v1/webhooks/desk")["created_by"] == "oidc:alice"
    assert Caller(house.client, it.token(tenant="rival")).get("/v1/models")["items"] == []


def test_a_token_of_no_tenant_or_of_another_service_is_refused_and_a_suspension_holds(
    open_to_tokens: tuple[House, Issuer],
) -> None:
    house, it = open_to_tokens
    for token in (it.token(tenant="never-was"), it.token(aud="other"), it.token() + "x"):
        assert Caller(house.client, token).refused("GET", "/v1/models") == (401, "unauthorized", None)
    house.operator.post("/v1/tenants/acme/suspend")
    assert Caller(house.client, it.token()).refused("GET", "/v1/models") == (403, "tenant_suspended", None)


def test_without_an_issuer_a_token_is_an_unknown_key(house: House) -> None:
    assert Caller(house.client, "eyJhbGciOiJub25lIn0.e30.").refused("GET", "/v1/models") == (401, "unauthorized", None)
