"""OpenID Connect: tokens (JWT) of one configured issuer, accepted beside API keys."""

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from app.addresses import Network, resolve_url
from app.outbound import OutboundRequest, send
from app.principal import SCOPES, Scope
from app.problems import Unavailable
from models.errors import InputError
from models.json_types import JsonObject

logger = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "ES256")  # none with a shared secret, and never "none"
DISCOVERY = "/.well-known/openid-configuration"
SCOPE_PREFIX = "forecastle:"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
MAX_ANSWER_BYTES = 256 * 1024
MAX_KEYS = 50
MIN_RSA_BITS = 2048
TIMEOUT_S = 5.0
RETRY_S = 30.0  # after an attempt to fetch the keys, whatever asks for them
MAX_AGE_S = 3_600.0  # after which the keys are fetched again, so that one that the issuer took back ends

Fetch = Callable[[str], JsonObject]  # URL -> the JSON object there


class OidcRules(NamedTuple):
    """Conditions for a token, and the names of the claims with its tenant and its scopes."""

    issuer: str
    audience: str
    tenant_claim: str = "tenant"
    scope_claim: str = "scope"
    leeway_s: float = 30.0


class Identity(NamedTuple):
    """Holder of a valid token: the issuer's name for the holder, the name of the tenant, and the scope."""

    subject: str
    tenant: str
    scope: Scope


class TokenVerifier:
    """Verifies tokens with the issuer's public keys, which are fetched at most once in ``RETRY_S``; thread-safe."""

    def __init__(self, rules: OidcRules, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        import jwt  # noqa: PLC0415 - only a service with an issuer needs it

        self._jwt, self._rules, self._fetch, self._clock = jwt, rules, fetch, clock
        self._keys: Mapping[str, Any] = {}
        self._fetched_s = self._tried_s = float("-inf")
        self._fetching = threading.Lock()

    def verify(self, token: str) -> Identity | None:
        """Return the holder of ``token``; None if it is not valid, or names no tenant or no scope.

        Raises:
            Unavailable: the issuer's keys have never been fetched.
        """
        try:
            header = self._jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                return None
            key = self._key(str(header.get("kid")))
            return None if key is None else self._identity(self._claims(token, key))
        except self._jwt.PyJWTError:
            return None

    def _claims(self, token: str, key: Any) -> JsonObject:
        claims: JsonObject = self._jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=self._rules.audience,
            issuer=self._rules.issuer,
            leeway=self._rules.leeway_s,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims

    def _identity(self, claims: JsonObject) -> Identity | None:
        tenant, granted = claims.get(self._rules.tenant_claim), claims.get(self._rules.scope_claim)
        texts = granted.split() if isinstance(granted, str) else granted if isinstance(granted, list) else []
        scopes = [scope for scope in SCOPES if SCOPE_PREFIX + scope in texts]
        return Identity(claims["sub"], tenant, scopes[-1]) if isinstance(tenant, str) and scopes else None

    def _key(self, kid: str) -> Any | None:
        now_s = self._clock()
        is_wanted = kid not in self._keys or now_s - self._fetched_s > MAX_AGE_S
        # Who comes while another thread fetches does not wait: the threads are for keys of all tenants.
        if is_wanted and now_s - self._tried_s >= RETRY_S and self._fetching.acquire(blocking=False):
            try:
                self._refresh(now_s)
            finally:
                self._fetching.release()
        if not self._keys:
            raise Unavailable("the keys of the issuer of tokens cannot be fetched at the moment; try again later")
        return self._keys.get(kid)

    def _refresh(self, now_s: float) -> None:
        self._tried_s = now_s
        try:
            described = self._fetch(self._rules.issuer.rstrip("/") + DISCOVERY)
            if described.get("issuer") != self._rules.issuer:
                raise ValueError(f"{DISCOVERY} is of another issuer")
            listed = self._fetch(str(described.get("jwks_uri"))).get("keys")
            if not isinstance(listed, list):
                raise ValueError("jwks_uri has no list of keys")
        except (OSError, HTTPException, ValueError, InputError) as error:
            logger.warning("the keys of the issuer of tokens were not fetched: %s", error)
            return
        self._keys, self._fetched_s = dict(self._usable(listed[:MAX_KEYS])), now_s

    def _usable(self, listed: Sequence[Any]) -> list[tuple[str, Any]]:
        """Return the keys by their ids: RSA keys of at least 2048 bits, and keys of the curve P-256."""
        usable = []
        for one in listed:
            if not isinstance(one, dict) or one.get("use", "sig") != "sig" or not isinstance(one.get("kid"), str):
                continue
            algorithm = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}.get((str(one.get("kty")), one.get("crv")))
            if algorithm is None or one.get("alg", algorithm) != algorithm:
                continue
            try:
                key = self._jwt.PyJWK(one, algorithm)
            except self._jwt.PyJWTError:
                continue
            if algorithm == "ES256" or key.key.key_size >= MIN_RSA_BITS:
                usable.append((one["kid"], key))
        return usable


def fetch_json(url: str, private: Sequence[Network] = (), timeout_s: float = TIMEOUT_S) -> JsonObject:
    """Return the JSON object at ``url``, which is https or on this machine; its address is checked first.

    Raises:
        InputError: the address is not allowed.
        ValueError: it is not https, or the answer is no JSON object.
        OSError, HTTPException
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ValueError(f"{url} is not https")
    request = OutboundRequest("GET", None, {"Accept": "application/json"}, MAX_ANSWER_BYTES)
    answer = send(resolve_url(url, private), ssl.create_default_context(), timeout_s, request)
    if answer.status != 200:
        raise ValueError(f"{url} answered {answer.status}")
    found = json.loads(answer.body)
    if not isinstance(found, dict):
        raise ValueError(f"{url} has no JSON object")
    return found


def looks_like_token(raw: str) -> bool:
    """Return whether a credential has the form of a token: three parts in base64url, the first of a JSON object."""
    return raw.startswith("eyJ") and raw.count(".") == 2
