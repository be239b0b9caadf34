"""Checks of the proxy with TLS: its certificate, what it passes on, its deadline for a head, and its rights."""

import http.client
import json
import os
import socket
import ssl
import time
from typing import Any

from stack import compose, expect

HOST = "localhost"  # FORECASTLE_SITE
HTTP = int(os.environ.get("FORECASTLE_HTTP_PORT") or "80")
HTTPS = int(os.environ.get("FORECASTLE_HTTPS_PORT") or "443")
HEAD_S = 10.0  # read_header of deploy/tls/Caddyfile
PATIENCE_S = 10.0  # how much later the connection may end on a busy machine


def check_proxy(key: str, order: str, expected: dict[str, Any]) -> None:
    """Check that the proxy gives the ``expected`` forecast for ``order`` over TLS, and nothing that is private."""
    trust = ssl.create_default_context(
        cadata=compose("exec", "-T", "proxy", "cat", "/data/pki/authorities/local/root.crt")
    )
    status, headers, body = ask(trust, "POST", "/v1/forecasts", key, order)
    expect(status == 200 and json.loads(body) == expected, "the proxy gives the same forecast over TLS", (status, body))
    expect(headers.get("Strict-Transport-Security"), "it asks clients to stay with TLS", headers)
    status, _, body = ask(trust, "GET", "/internal/v1/attempts/1/1", key)
    expect((status, body) == (404, b""), "the proxy does not pass on what is private", (status, body))
    check_redirect()
    check_stranger()
    check_slow_head(trust)
    status_lines = compose("exec", "-T", "proxy", "cat", "/proc/1/status").splitlines()
    rights = {name: rest.split() for name, _, rest in (line.partition(":") for line in status_lines)}
    expect(set(rights["Uid"]) == {"10001"} and int(rights["CapEff"][0], 16) == 0, "the proxy has no rights", rights)


def ask(
    trust: ssl.SSLContext, method: str, path: str, key: str, body: str | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Return status, headers and body of one request over TLS."""
    connection = http.client.HTTPSConnection(HOST, HTTPS, timeout=30, context=trust)
    headers = {"Authorization": f"Bearer {key}"} | ({} if body is None else {"Content-Type": "application/json"})
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def check_redirect() -> None:
    """Check that a request without TLS is sent to TLS."""
    connection = http.client.HTTPConnection(HOST, HTTP, timeout=30)
    connection.request("GET", "/livez")
    answer = connection.getresponse()
    target = answer.headers["Location"]
    expect(answer.status == 308 and target == f"https://{HOST}/livez", "a request without TLS is redirected", target)


def check_stranger() -> None:
    """Check that the certificate is of the proxy's own authority, which nobody trusts unasked."""
    try:
        ask(ssl.create_default_context(), "GET", "/livez", "")
    except ssl.SSLCertVerificationError:
        return expect(True, "a client that does not know its authority refuses it")
    return expect(False, "a client that does not know its authority refuses it")


def check_slow_head(trust: ssl.SSLContext) -> None:
    """Check that a connection whose head does not end is closed."""
    plain = socket.create_connection((HOST, HTTPS), timeout=HEAD_S + PATIENCE_S)
    with trust.wrap_socket(plain, server_hostname=HOST) as connection:
        since_s = time.monotonic()
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: local")
        rest = connection.recv(1)
        expect(rest == b"", f"a head that does not end is given up, after {time.monotonic() - since_s:.0f} s", rest)
