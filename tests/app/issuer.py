"""An issuer of tokens on this machine: real keys, and the documents of OpenID Connect from a real HTTP server."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGERS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1())


@dataclass
class Issuer:
    """The issuer at ``url``: ``keys`` are those that it publishes, ``asked`` the paths that were fetched."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    documents: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def token(self, key: Any = RSA_KEY, algorithm: str = "RS256", kid: str = "r1", **changes: Any) -> str:
        """Return a token for an hour; a claim that is None is left out."""
        now_s = int(time.time())
        claims = {"iss": self.url, "aud": "forecastle", "sub": "alice", "exp": now_s + 3600, "iat": now_s}
        claims |= {"tenant": "acme", "scope": "openid forecastle:read", **changes}
        known = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(known, key, algorithm=algorithm, headers={"kid": kid})


def published(key: Any, kid: str) -> dict[str, Any]:
    """Return the public part of a key as an issuer publishes it."""
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Run an issuer with the keys r1 (RSA) and e1 (P-256)."""
    it = Issuer(keys=[published(RSA_KEY, "r1"), published(EC_KEY, "e1")])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            it.asked.append(self.path)
            document = it.documents.get(self.path)
            self.send_response(200 if document is not None else 500)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.url = f"http://127.0.0.1:{server.server_port}"
    it.documents["/.well-known/openid-configuration"] = {"issuer": it.url, "jwks_uri": f"{it.url}/keys"}
    it.documents["/keys"] = {"keys": it.keys}
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
