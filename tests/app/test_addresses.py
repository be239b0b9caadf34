"""The check of URLs against private addresses, in every spelling."""

import pytest

from app.addresses import ResolvedAddress, parse_networks, resolve_url
from models.errors import InputError


def refusal(url: str, private: str = "") -> str:
    """Return the error code with which ``url`` is refused."""
    with pytest.raises(InputError) as caught:
        resolve_url(url, parse_networks(private))
    [fault] = caught.value.faults
    assert fault.field == "url"
    assert fault.hint
    return fault.code


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "localhost",
        "LocalHost",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[::127.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2001:0:53aa:64c:0:0:80ff:fffe]",
        "[2001:db8::1]",
        "[fd00:ec2::254]",
    ],
)
def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    assert refusal(f"http://{host}/hook") == "private_address"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://9.9.9.9/a/b?c=d", ResolvedAddress("9.9.9.9", "9.9.9.9", 443, True, "/a/b?c=d")),
        ("http://9.9.9.9", ResolvedAddress("9.9.9.9", "9.9.9.9", 80, False, "/")),
        ("HTTP://9.9.9.9:8080/", ResolvedAddress("9.9.9.9", "9.9.9.9", 8080, False, "/")),
        ("https://[2620:fe::fe]:8443/x", ResolvedAddress("2620:fe::fe", "2620:fe::fe", 8443, True, "/x")),
        ("http://[64:ff9b::9.9.9.9]/", ResolvedAddress("64:ff9b::9.9.9.9", "64:ff9b::909:909", 80, False, "/")),
    ],
)
def test_a_public_url_is_parsed(url: str, target: ResolvedAddress) -> None:
    assert resolve_url(url) == target


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://9.9.9.9/", "9.9.9.9"),
        ("https://9.9.9.9:80/", "9.9.9.9:80"),
        ("http://[2620:fe::fe]/", "[2620:fe::fe]"),
        ("http://[2620:fe::fe]:81/", "[2620:fe::fe]:81"),
    ],
)
def test_the_header_host_follows_http(url: str, authority: str) -> None:
    assert resolve_url(url).authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "9.9.9.9",
        "//9.9.9.9/",
        "ftp://9.9.9.9/",
        "file:///etc/passwd",
        "http:///hook",
        "http://9.9.9.9:0/",
        "http://9.9.9.9:65536/",
        "http://9.9.9.9:x/",
        "http://user@9.9.9.9/",
        "http://user:word@9.9.9.9/",
        "http://9.9.9.9/#part",
        "http://9.9.9.9/a b",
        "http://9.9.9.9/\r\nX-Header: 1",
        "http://b\u00fccher.example/",
        "http://[::1/",
    ],
)
def test_a_malformed_url_is_refused(url: str) -> None:
    assert refusal(url) == "bad_url"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid"])
def test_a_name_without_an_address_is_refused(host: str) -> None:
    assert refusal(f"https://{host}/") == "unknown_host"


def test_an_operator_may_allow_a_private_network_and_only_that() -> None:
    allowed = parse_networks("10.1.0.0/16, fd00::/8")
    assert resolve_url("http://10.1.2.3/", allowed).ip == "10.1.2.3"
    assert resolve_url("http://[fd00::1]/", allowed).ip == "fd00::1"
    assert resolve_url("http://[::ffff:10.1.2.3]/", allowed).port == 80
    assert refusal("http://10.2.0.1/", "10.1.0.0/16, fd00::/8") == "private_address"


@pytest.mark.parametrize("text", ["10.1.0.1/16", "here", "10.1.0.0/33"])
def test_a_malformed_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|host bits"):
        parse_networks(text)
