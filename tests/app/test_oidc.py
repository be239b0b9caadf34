"""Tokens of an issuer: what is accepted, what is not, and how often the issuer is asked."""

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jwt
import pytest

from app.addresses import parse_networks
from app.oidc import MAX_AGE_S, RETRY_S, Identity, OidcRules, TokenVerifier, fetch_json, looks_like_token
from app.problems import Unavailable
from app.settings import Settings
from models.errors import InputError
from tests.app.issuer import EC_KEY, OTHER_CURVE, RSA_KEY, SMALL_KEY, STRANGERS_KEY, Issuer, issuer, published

LOCAL = parse_networks("127.0.0.0/8")


class Clock:
    """Clock that moves when told."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(name="it")
def it_fixture() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


def verifier(it: Issuer, clock: Clock | None = None) -> TokenVerifier:
    return TokenVerifier(OidcRules(it.url, "forecastle"), partial(fetch_json, private=LOCAL), clock or Clock())


def test_a_token_names_its_holder_tenant_and_widest_scope(it: Issuer) -> None:
    verify = verifier(it).verify
    assert verify(it.token()) == Identity("alice", "acme", "read")
    assert verify(it.token(EC_KEY, "ES256", "e1")) == Identity("alice", "acme", "read")
    wide = it.token(scope=["forecastle:read", "forecastle:admin", "email"])
    assert verify(wide) == Identity("alice", "acme", "admin")
    assert looks_like_token(wide)
    assert it.asked == ["/.well-known/openid-configuration", "/keys"]  # once for all


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"nbf": 2**33},
        {"aud": "another service"},
        {"aud": None},
        {"iss": "https://id.example.org"},
        {"sub": None},
        {"tenant": None},
        {"tenant": 7},
        {"scope": "read admin"},
        {"scope": None},
        {"scope": 7},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_nobodys(it: Issuer, changes: dict[str, Any]) -> None:
    assert verifier(it).verify(it.token(**changes)) is None


def test_the_clock_of_the_issuer_may_differ_by_the_leeway(it: Issuer) -> None:
    now_s, verify = int(time.time()), verifier(it).verify
    assert verify(it.token(exp=now_s - 10)) is not None
    assert verify(it.token(exp=now_s - 60)) is None
    assert verify(it.token(nbf=now_s + 10)) is not None


def test_only_signatures_by_the_issuers_public_keys_count(it: Issuer) -> None:
    verify = verifier(it).verify
    unsigned = jwt.encode({"sub": "alice"}, None, algorithm="none", headers={"kid": "r1"})
    shared = it.token("a secret of thirty-two characters", "HS256")
    for forged in (unsigned, shared, it.token(EC_KEY, "ES256", "r1"), it.token(kid="e1"), it.token()[:-9], "eyJ.x.y"):
        assert verify(forged) is None
    assert verify(it.token(STRANGERS_KEY)) is None


def test_weak_keys_and_keys_for_another_use_are_not_taken(it: Issuer) -> None:
    it.keys += [published(SMALL_KEY, "small"), published(OTHER_CURVE, "p384"), {"kty": "oct", "k": "AA", "kid": "hmac"}]
    it.keys += [{**published(RSA_KEY, "enc"), "use": "enc"}, {**published(RSA_KEY, "ps"), "alg": "PS256"}, {}]
    verify = verifier(it).verify
    assert verify(it.token()) is not None
    assert verify(it.token(kid="enc")) is None
    assert verify(it.token(kid="ps")) is None
    assert verify(it.token(kid="small")) is None
    assert verify(it.token(OTHER_CURVE, "ES384", "p384")) is None


def test_a_new_key_of_the_issuer_is_fetched_and_unknown_ones_do_not_flood_it(it: Issuer) -> None:
    clock = Clock()
    verify = verifier(it, clock).verify
    assert verify(it.token()) is not None
    it.keys.append(published(RSA_KEY, "r2"))
    for kid in ("r2", "x", "y"):
        assert verify(it.token(kid=kid)) is None
    assert len(it.asked) == 2
    clock.now_s += RETRY_S
    assert verify(it.token(kid="r2")) is not None
    for kid in ("x", "y"):
        assert verify(it.token(kid=kid)) is None
    assert len(it.asked) == 4


def test_a_key_that_the_issuer_took_back_ends_within_an_hour(it: Issuer) -> None:
    clock = Clock()
    verify = verifier(it, clock).verify
    assert verify(it.token()) is not None
    it.keys[:] = [published(EC_KEY, "e1")]
    clock.now_s += MAX_AGE_S + 1
    assert verify(it.token()) is None


def test_while_the_issuer_is_down_known_keys_go_on_and_without_any_the_service_is_unavailable(it: Issuer) -> None:
    clock = Clock()
    known, new = verifier(it, clock), verifier(it, clock)
    assert known.verify(it.token()) is not None
    it.documents.clear()
    clock.now_s += MAX_AGE_S + 1
    assert known.verify(it.token()) is not None
    with pytest.raises(Unavailable, match="keys of the issuer of tokens cannot be fetched"):
        new.verify(it.token())


@pytest.mark.parametrize("document", [{"issuer": "https://id.example.org"}, {"keys": 1}, [], "x"])
def test_a_description_of_another_issuer_or_without_keys_is_not_used(it: Issuer, document: Any) -> None:
    it.documents["/.well-known/openid-configuration"] = document
    with pytest.raises(Unavailable):
        verifier(it).verify(it.token())


def test_keys_come_only_from_checked_addresses_over_tls(it: Issuer) -> None:
    with pytest.raises(InputError, match="does not have a public address"):
        fetch_json(f"{it.url}/keys")
    with pytest.raises(ValueError, match="is not https"):
        fetch_json("http://id.example.org/keys")
    assert it.asked == []


def test_an_issuer_needs_an_audience_and_a_service_without_one_does_not_load_the_library() -> None:
    with pytest.raises(ValueError, match="oidc_audience"):
        Settings(oidc_issuer="https://id.example.org")
    program = "import sys; import app.main; sys.exit('jwt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
