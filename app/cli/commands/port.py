"""``forecastle serve --check-port``: an error for a port that is taken or not allowed, before a model is trained."""

import errno
import http.client
import json
import socket
from typing import Any

from app.cli.commands.console import exit_with_error
from app.cli.commands.environment import read_settings

ANSWER_S = 1.0  # for the program that has the port
FAMILY_ERRORS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


def check(host: str | None, port: int | None) -> None:
    """Exit with an error if the server could not listen on ``host`` and ``port``; None: those of the settings."""
    settings = read_settings()
    check_port(host or settings.host, settings.port if port is None else port)


def check_port(host: str, port: int) -> None:
    """Exit with an error that names the cause and a remedy if ``port`` of ``host`` cannot be listened on.

    Like the server it passes over an address of a family that the machine lacks, if the host has another.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        exit_with_error(_explain(error, host, port))
    errors = [failure for address in addresses if (failure := _bind_error(address)) is not None]
    fatal = [error for error in errors if error.errno not in FAMILY_ERRORS]
    if fatal or len(errors) == len(addresses):
        exit_with_error(_explain([*fatal, *errors][0], host, port))


def _bind_error(address: tuple[int, int, int, str, tuple[Any, ...]]) -> OSError | None:
    """Return the error of binding a socket to ``address``, a result of ``getaddrinfo``; None if it can be bound."""
    family, kind, protocol, _, place = address
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(place)
    except OSError as error:
        return error
    return None


def _explain(error: OSError, host: str, port: int) -> str:
    other = f"choose another: make serve PORT={port + 1}, forecastle serve --port {port + 1}, or FORECASTLE_PORT"
    if error.errno == errno.EADDRINUSE:
        owner = "another Forecastle, which serves already" if serves_forecastle(host, port) else "another program"
        return f"port {port} of {host} is taken by {owner}; {other}"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} is reserved for the administrator; {other.replace(str(port + 1), '8000')}"
    return f"this machine cannot listen on {host}: {error.strerror}; give --host an address of it, such as 127.0.0.1"


def serves_forecastle(host: str, port: int) -> bool:
    """Return whether the program that listens on a port answers ``/livez`` as this service does."""
    connection = http.client.HTTPConnection(ANY_ADDRESS.get(host, host), port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/livez")
        answer = json.loads(connection.getresponse().read(1000))
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(answer, dict) and answer.keys() == {"status", "checks"}
