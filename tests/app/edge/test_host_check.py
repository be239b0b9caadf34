"""A request to a name that the service does not have is refused; a loopback address has the names of its machine."""

import asyncio
from typing import Any

import pytest

from app.cli.commands.serve import risks, with_own_hosts
from app.edge.host_check import HostCheck, host_of, is_loopback, parse_hosts
from app.problems import UnknownHost, problem_type
from app.settings import Settings


def ask(hosts: tuple[str, ...], *sent: bytes) -> str:
    """Return "served", or the words of the refusal."""

    async def app(*_: Any) -> None:
        pass

    scope = {"type": "http", "headers": [(b"host", one) for one in sent]}

    async def no_message(*_: Any) -> Any:
        raise AssertionError("nothing is read or sent")

    try:
        asyncio.run(HostCheck(app, hosts)(scope, no_message, no_message))
    except UnknownHost as error:
        return str(error)
    return "served"


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:8000", b"127.0.0.1:8000", b"[::1]", b"[::1]:8000", b"forecasts.example.com:443"]
)
def test_a_name_of_the_service_is_served_with_any_port(host: bytes) -> None:
    assert ask(parse_hosts("localhost, 127.0.0.1,[::1],Forecasts.Example.com:443"), host) == "served"


@pytest.mark.parametrize(
    "host", [b"evil.example", b"localhost.evil.example", b"127.0.0.1.evil.example:80", b"", b"[::1", b"a" * 9_000]
)
def test_another_name_is_refused_with_the_remedy(host: bytes) -> None:
    said = ask(("localhost",), host)
    assert said.endswith("send requests to localhost, or ask the operator to add the name to FORECASTLE_ALLOWED_HOSTS")
    assert len(said) < 250


def test_a_missing_host_is_refused_and_of_two_the_first_counts() -> None:
    assert ask(("localhost",)).startswith("got no header Host")
    assert ask(("localhost",), b"evil.example", b"localhost").startswith("got the header Host 'evil.example'")
    known = problem_type(UnknownHost(""))
    assert known is not None
    assert (known.status, known.code) == (421, "unknown_host")


def test_without_a_list_every_name_is_served() -> None:
    assert ask((), b"evil.example") == ask(()) == "served"
    assert host_of("") == ""


@pytest.mark.parametrize(
    ("host", "given", "expected"),
    [
        ("127.0.0.1", None, "127.0.0.1,localhost,127.0.0.1,::1"),
        ("127.0.0.9", None, "127.0.0.9,localhost,127.0.0.1,::1"),
        ("::1", None, "::1,localhost,127.0.0.1,::1"),
        ("127.0.0.1", "forecasts.example.com", "forecasts.example.com"),
        ("0.0.0.0", None, None),  # noqa: S104
    ],
)
def test_a_service_that_only_its_machine_reaches_has_the_names_of_the_machine(
    host: str, given: str | None, expected: str | None
) -> None:
    assert with_own_hosts(Settings(host=host, allowed_hosts=given)).allowed_hosts == expected


def test_a_start_as_root_or_without_tls_is_remarked() -> None:
    assert risks(Settings(host="127.0.0.1"), 1000) == []
    [root] = risks(Settings(host="localhost"), 0)
    assert "runs as root" in root
    [plain] = risks(Settings(host="10.0.0.5"), 1000)
    assert plain.startswith("10.0.0.5 is served over plain HTTP")
    assert not is_loopback("0.0.0.0")  # noqa: S104
