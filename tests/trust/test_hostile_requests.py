"""Requests made to do harm, sent to the whole service: each is refused in few words, and the service goes on."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app.edge.access import ACCESS
from tests.app.api.conftest import House, forecast_request
from tests.app.api.tables import body, columns, series

# As names of things: other paths, other hosts, control characters, scripts of shells and of SQL, names of devices.
NAMES = [
    *(
        "..",
        "../",
        "../../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e%2f",
        "%252e%252e%252f",
        "..%252f..%252f",
    ),
    *(
        "..\\",
        "..\\..\\windows",
        "..%5c..%5c",
        "....//",
        "....\\\\",
        "..;/",
        "/etc/passwd",
        "//etc/passwd",
        "~",
        "~root",
    ),
    *(
        "/proc/self/environ",
        "file:///etc/passwd",
        "C:\\",
        "C:/",
        "\\\\host\\x",
        "\\\\?\\C:\\",
        "$HOME",
        "${HOME}",
        "`id`",
    ),
    *(
        "$(id)",
        ";id",
        "|id",
        "&id",
        "CON",
        "NUL",
        "aux.txt",
        "COM1",
        "name.",
        ".hidden",
        "-rf",
        "--help",
        "*",
        "?",
        "[a]",
    ),
    *("{a}", "%00", "%ff%fe", "%c0%ae%c0%ae/", "%e0%80%ae", "'a'='a'", "'--", "1;select(1)", "1/**/or/**/1", '"x"'),
    *("<img>", "<script>alert(1)</script>", '=HYPERLINK("x")', "@SUM", "http://127.0.0.1/", "gopher://x", "ldap://x"),
    *(
        "＝x",
        "．．／",
        "a\u202eb\u200b",
        "é",
        "٣",
        " ",
        "a b",
        "a\nb",
        "a\r\nSet-Cookie: x=y",
        "a\0b",
        "\x1b[2J",
        "a" * 5000,
    ),
]
IDS = re.compile(r"{\w+}")


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Collect the paths of all files that this process opens during the block."""
    paths, is_on = list[str](), [True]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if is_on[0] and event == "open" and isinstance(args[0], str):
            paths.append(args[0])

    sys.addaudithook(hook)  # cannot be removed
    try:
        yield paths
    finally:
        is_on[0] = False


def test_no_name_in_a_path_opens_a_file_or_an_error(shared_house: House) -> None:
    assert len(NAMES) >= 60
    with opened_files() as files:
        for number, (method, path) in enumerate(ACCESS):
            for name in NAMES[number % 3 :: 3] if "{" in path else ():  # each name on a third of the routes
                answer = shared_house.acme.ask(method, IDS.sub(quote(name, safe="/%"), path))
                assert answer.status_code in {401, 403, 404, 405, 415, 422}, (method, path, name)
    outside = {file for file in files if not Path(file).resolve().is_relative_to(shared_house.settings.data_dir)}
    assert not [file for file in outside if "passwd" in file or "environ" in file or "windows" in file]


@pytest.mark.parametrize("path", ["/v1/forecasts", "/v1/jobs", "/v1/schedules", "/v1/webhooks", "/v1/datasets?name={}"])
def test_no_name_in_a_field_or_a_query_is_an_error_of_the_service(shared_house: House, path: str) -> None:
    for name in NAMES:
        fields = {"model": name, "dataset": name, "name": name, "url": name, "cron": name, "zone": name, "kind": name}
        answer = shared_house.acme.ask("POST", path.format(quote(name)), json=fields)
        assert answer.status_code in {404, 415, 422}, name


@pytest.mark.parametrize("header", ["range", "accept", "accept-encoding", "last-event-id", "idempotency-key", "cookie"])
def test_a_header_of_thousands_of_parts_changes_nothing(shared_house: House, header: str) -> None:
    value = {"range": "bytes=" + "0-1," * 15_000, "accept": "a/b;q=0.1," * 6_000}.get(header, "x;q=0.5," * 7_000)
    answer = shared_house.acme.ask("GET", "/v1/models", headers={header: value})
    assert answer.status_code in {200, 406}
    assert len(answer.content) < 64 * 1024


def test_a_form_of_ten_thousand_parts_is_refused_by_its_type(shared_house: House) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="../../a"\r\n\r\n1\r\n'
    for path in ("/v1/forecasts", "/v1/jobs", "/v1/datasets?name=n"):
        request = body(part * 10_000 + b"--x--\r\n", "multipart/form-data; boundary=x")
        assert shared_house.acme.refused("POST", path, **request)[:2] == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "changes",
    [
        {"horizon": 2**63},
        {"horizon": -1},
        {"horizon": 10**9},
        {"levels": [50.0] * 1_000_000},
        {"quantiles": [0.5] * 1_000_000},
        {"history": columns([(f"s{n}", "2026-01-01", 1.0) for n in range(20_000)]), "horizon": 100_000},
        {"history": {"ds": ["x"] * 100_000, "y": [1.0] * 100_000}},
        {"history": {"ds": ["2026-01-01"], "y": ["x"] * 100_000}},
        {"history": {"ds": ["2026-01-01"], "y": [1.0], **{f"c{n}": [1] for n in range(10_000)}}},
        {f"f{n}": 1 for n in range(10_000)},
        {"levels": [[[[[[]]]]]] * 10_000},
    ],
    ids=range(11),
)
def test_a_request_for_too_much_is_refused_in_few_words(shared_house: House, changes: dict[str, Any]) -> None:
    answer = shared_house.acme.ask("POST", "/v1/forecasts", json=forecast_request(**changes))  # checks the size too
    assert answer.status_code in {413, 422}


def settable(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the object schemas that a request body may have."""
    if "$ref" in schema:
        yield from settable(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    elif "properties" in schema:
        yield schema
    for one in schema.get("oneOf", schema.get("anyOf", ())):
        yield from settable(document, one)


def test_no_body_takes_a_field_that_only_answers_have(shared_house: House) -> None:
    document = shared_house.acme.get("/openapi.json")
    ours = ["id", "tenant_id", "state", "created_at", "created_by", "role", "artifact_path", "sha256", "rev", "token"]
    tried = 0
    for path, operations in document["paths"].items():
        caller = shared_house.operator if path.startswith("/v1/tenants") else shared_house.acme
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None or path.startswith("/v1/datasets"):  # the columns of a table have any name
                continue
            for schema in settable(document, content["schema"]):
                kind = schema["properties"].get("kind", {}).get("const")
                for name in ours:
                    assert name not in schema["properties"], (path, name)
                    fields = {name: 1} if kind is None else {"kind": kind, name: 1}
                    answer = caller.ask(method.upper(), IDS.sub("1", path), json=fields).json()
                    assert answer["status"] == 422, (path, answer)
                    assert any(error["code"] == "extra_forbidden" for error in answer["errors"]), (path, answer)
                    tried += 1
    assert tried >= 100


def test_no_answer_lets_a_page_of_another_origin_read_it(shared_house: House) -> None:
    origin = {"origin": "https://evil.example", "access-control-request-method": "GET", "sec-fetch-site": "cross-site"}
    for method, path in [
        ("GET", "/v1/models"),
        ("OPTIONS", "/v1/models"),
        ("GET", "/livez"),
        ("POST", "/v1/forecasts"),
    ]:
        answer = shared_house.acme.ask(method, path, headers=origin)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["x-content-type-options"] == "nosniff"
    form = body(b"model=demand", "application/x-www-form-urlencoded")
    assert shared_house.acme.refused("POST", "/v1/jobs", **form)[:2] == (415, "unsupported_media_type")


def test_a_name_with_markup_comes_back_as_json_text_only(shared_house: House) -> None:
    request = forecast_request(history=columns(series("<img src=x onerror=alert(1)>", [4, 6, 8, 10])))
    answer = shared_house.acme.ask("POST", "/v1/forecasts", json=request)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_path_and_no_name_makes_a_new_time_series(shared_house: House) -> None:
    def metric_names() -> set[str]:
        lines = shared_house.operator.ask("GET", "/metrics").text.splitlines()
        return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}

    def ask(number: int) -> None:
        shared_house.acme.ask("GET", f"/random/{number}")
        shared_house.acme.ask("GET", f"/v1/models/m{number}")
        shared_house.acme.ask("POST", "/v1/forecasts", json=forecast_request(model=f"m{number}"))

    metric_names()
    ask(0)
    before = metric_names()
    for number in range(1, 100):
        ask(number)
    assert metric_names() == before
