"""The table of routes: what it says, and that it is compared with what an app really serves."""

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles

from app.edge.access import ACCESS, Access, Route, allowed_methods, find_route, stale, unlisted, unlisted_access

from .conftest import toy_app


def concrete(template: str) -> str:
    return "/".join("a.B_c-9" if part.startswith("{") else part for part in template.split("/"))


def test_every_entry_is_found_by_a_path_that_fits_it() -> None:
    for (method, template), access in ACCESS.items():
        assert find_route(method, concrete(template)) == Route(template, access)


def test_only_the_two_probes_are_public() -> None:
    assert {route for route, access in ACCESS.items() if access is Access.PUBLIC} == {
        ("GET", "/livez"),
        ("GET", "/readyz"),
    }


def test_a_path_that_the_table_lacks_needs_as_much_as_its_neighbours_with_the_same_beginning() -> None:
    for path in ("/v1/keys/", "/v1/keys/-a", "/v1/keys/a/b/c", "/v1/keys\n"):
        assert {unlisted_access(method, path) for method in ("GET", "POST")} == {Access.OPERATOR}
    assert unlisted_access("HEAD", "/v1/models/-a") is Access.READ
    assert unlisted_access("PATCH", "/v1/models/-a") is Access.WRITE


def test_head_counts_as_get_and_no_other_method_does() -> None:
    assert find_route("HEAD", "/livez") == Route("/livez", Access.PUBLIC)
    assert [find_route(method, "/livez") for method in ("POST", "OPTIONS", "TRACE", "get", "")] == [None] * 5


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "livez",
        "//livez",
        "/livez/",
        "/./livez",
        "/livez\n",
        "/livez\x00",
        "/LIVEZ",
        "/v1/../livez",
        "/livez;x",
    ],
)
def test_a_path_that_only_resembles_a_public_one_is_not_in_the_table(path: str) -> None:
    assert find_route("GET", path) is None


@pytest.mark.parametrize("name", ["", "-a", ".a", "..", "a b", "a/b", "a\n", "é", "\u0661", "a" * 129, "{name}"])
def test_a_name_outside_the_grammar_is_not_in_the_table(name: str) -> None:
    assert find_route("GET", f"/v1/models/{name}") is None
    assert find_route("GET", f"/v1/models/{'a' * 128}") == Route("/v1/models/{name}", Access.READ)


def test_the_methods_of_a_path_are_those_of_all_its_routes() -> None:
    assert allowed_methods("/v1/schedules/nightly") == ["DELETE", "GET", "PATCH"]
    assert allowed_methods("/nowhere") == []


def test_routes_of_included_routers_are_compared_with_the_table() -> None:
    app = toy_app()
    assert unlisted(app) == set()
    assert ("GET", "/readyz") in stale(app)
    assert ("POST", "/v1/forecasts") not in stale(app)


def test_a_route_without_an_entry_is_found_however_deep_it_hides(tmp_path: object) -> None:
    inner, outer, mounted, app = APIRouter(), APIRouter(), FastAPI(openapi_url=None), FastAPI(openapi_url=None)
    inner.add_api_route("/deep", lambda: None, methods=["DELETE"])
    outer.include_router(inner, prefix="/b")
    app.include_router(outer, prefix="/a")
    mounted.add_route("/hello", lambda _: PlainTextResponse("hello"), methods=["GET"])
    app.mount("/mounted", mounted)
    app.mount("/files", StaticFiles(directory=str(tmp_path)))
    app.add_api_websocket_route("/live", lambda: None)
    app.add_api_route("/v1/models/{name:path}", lambda: None)
    assert unlisted(app) == {
        ("DELETE", "/a/b/deep"),
        ("GET", "/mounted/hello"),
        ("*", "/files"),
        ("*", "/live"),
        ("GET", "/v1/models/{name:path}"),
    }
