"""Refusal of requests that were sent to another name than the service has, as by DNS rebinding.

A page of another site can have its own name resolved to this machine; the browser then lets it read the answers of the
service. Its requests have the page's name in the header Host.
"""

import ipaddress
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from app.problems import UnknownHost
from models.errors import excerpt

OWN_HOSTS = ("localhost", "127.0.0.1", "::1")  # of a service that only its own machine can reach


class HostCheck:
    """ASGI middleware that refuses requests whose header Host is none of ``hosts``; without ``hosts``, none."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app, self.hosts = app, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection.

        Raises:
            UnknownHost: the header is missing or names another host.
        """
        if self.hosts and scope["type"] == "http":
            sent = dict(reversed(scope["headers"])).get(b"host", b"").decode("latin-1")
            if host_of(sent) not in self.hosts:
                got = f"got the header Host {excerpt(sent)}" if sent else "got no header Host"
                raise UnknownHost(
                    f"{got}; send requests to {', '.join(sorted(self.hosts))}, or ask the operator to add "
                    "the name to FORECASTLE_ALLOWED_HOSTS"
                )
        await self.app(scope, receive, send)


def host_of(header: str) -> str:
    """Return the host of a header Host in lower case, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def parse_hosts(text: str) -> tuple[str, ...]:
    """Return the hosts of a list with commas."""
    return tuple(host_of(part.strip()) for part in text.split(",") if part.strip())


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a service that listens on ``host``, a name or an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
