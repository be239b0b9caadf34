"""Check of URLs that a user gives and the service connects to, so that none reaches the private network (SSRF).

A host name is resolved once, every address found is checked, and the connection is made to one of exactly these. So a
name that resolves to another address a moment later (DNS rebinding) gains nothing.
"""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from models.errors import Fault, InputError, excerpt

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that IANA has allocated
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: a gateway translates to the IPv4 address in the last 32 bits


@dataclass(frozen=True, slots=True)
class ResolvedAddress:
    """A checked URL: connect to ``ip`` and ``port``, over TLS or not, and request ``path`` of ``host``."""

    host: str
    ip: str
    port: int
    tls: bool
    path: str

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS["https" if self.tls else "http"] else f"{name}:{self.port}"


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse a list of networks such as ``10.1.0.0/16, fd00::/8``. Raise ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def resolve_url(url: str, private: Sequence[Network] = ()) -> ResolvedAddress:
    """Resolve the host of ``url`` and check its addresses: each is public, or within one of ``private``.

    Raises:
        InputError: the URL cannot be used, its host name is unknown, or one of its addresses is not allowed.
    """
    scheme, host, port, path = _parts(url)
    found = sorted(_resolve(host, port), key=lambda address: address.version)  # IPv4 first: more machines can reach it
    for address in found:
        if not _is_allowed(address, private):
            # Without the address: a stranger could read the names of a private network from it.
            message = f"{excerpt(host)} does not have a public address"
            hint = "use a public address, or ask the operator to add its network to FORECASTLE_WEBHOOK_PRIVATE_NETWORKS"
            raise _refusal("private_address", message, hint)
    return ResolvedAddress(host, str(found[0]), port, scheme == "https", path)


def _parts(url: str) -> tuple[str, str, int, str]:
    hint = "use a URL such as https://example.org/hook"
    if not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
        raise _refusal("bad_url", "there is a space or a character that is not ASCII in the URL", hint)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refusal("bad_url", f"{excerpt(url)} is no URL: {error}", hint) from error
    if parts.scheme not in PORTS or not host or port == 0:
        raise _refusal("bad_url", f"{excerpt(url)} is no URL of http or https", hint)
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refusal("bad_url", "the URL has a user, a password or a fragment", "leave it out; messages are signed")
    return (
        parts.scheme,
        host,
        port or PORTS[parts.scheme],
        (parts.path or "/") + (f"?{parts.query}" * bool(parts.query)),
    )


def _resolve(host: str, port: int) -> Iterator[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label of more than 63 characters
        message = f"{excerpt(host)} has no address: {getattr(error, 'strerror', None) or error}"
        raise _refusal("unknown_host", message, "check the name") from error
    for *_, place in found:
        yield ipaddress.ip_address(str(place[0]).partition("%")[0])


def _is_allowed(address: Address, private: Sequence[Network]) -> bool:
    target: Address = address
    if isinstance(address, ipaddress.IPv6Address):  # a gateway may translate it to an IPv4 address
        if address in NAT64:
            target = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        else:
            target = address.ipv4_mapped or address.sixtofour or address
    if any(target in network for network in private):
        return True
    is_allocated = target.version == 4 or target in UNICAST
    return is_allocated and target.is_global and not target.is_multicast


def _refusal(code: str, message: str, hint: str) -> InputError:
    return InputError([Fault(code=code, field="url", message=message, hint=hint)])
