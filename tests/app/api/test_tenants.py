"""Another tenant's things read exactly as things that never existed, on every route that names one."""

import re
from hashlib import sha256
from typing import Any

import pytest

from app.edge.access import ACCESS, Access, stale, unlisted
from app.store import artifacts, datasets, jobs, schedules
from app.store.artifacts import NewPart
from app.store.job_limits import DEFAULT_LIMITS
from tests.app.api.conftest import Caller, House, forecast_request, on_both
from tests.app.api.tables import series, table
from tests.app.store.conftest import new_job
from tests.app.work.schedule_harness import PLAN
from tests.fakes import says

NOBODY = {"name": "never-was", "job_id": "f" * 32, "number": "77", "alias": "champion", "key_id": "zzzzzzzz"}
TABLE = table([("shop", "2026-01-05", 1)], "csv")
# Whoever calls it creates a thing of the name, whether or not another tenant has one.
CREATES = {("POST", "/v1/models/{name}/versions")}
# What a route with a body needs; every other route is asked without one.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/datasets/{name}/rows"): TABLE,
    ("PUT", "/v1/models/{name}/aliases/{alias}"): {"json": {"version": 1}},
    ("PATCH", "/v1/schedules/{name}"): {"json": {}},
}


def routes(house: House) -> set[tuple[str, str]]:
    """Every route of tenants, as OpenAPI lists them: without those of the operator, who sees all tenants."""
    paths = house.app.openapi()["paths"]
    listed = {(method.upper(), path) for path, verbs in paths.items() for method in verbs}
    return {route for route in listed if ACCESS[route] is not Access.OPERATOR}


def names_of(house: House, path: str) -> dict[str, str]:
    """What stands in the path for a thing of acme's that exists."""
    job = house.acme.get("/v1/jobs")["items"][0]["id"]
    [key] = [key["id"] for key in house.acme.get("/v1/keys")["items"] if key["name"] == "reader"]
    name = "sales" if path.startswith("/v1/datasets") else "demand"
    return {"name": name, "job_id": job, "number": "1", "alias": "champion", "key_id": key}


def furnish(house: House) -> None:
    """A schedule and a webhook of acme's, both named ``demand``, and a job that waits."""
    house.acme.post("/v1/webhooks", json={"name": "demand", "url": "https://9.9.9.9/", "events": ["job.failed"]})
    with house.database.write() as session:
        schedules.create(session, house.tenants["acme"], "demand", PLAN, "cli")
    furnish_job(house)


def furnish_job(house: House) -> None:
    """A job of acme's that waits."""
    with house.database.write() as session:
        jobs.enqueue(session, new_job(datasets.revision(session, house.tenants["acme"], "sales")))


def leave_file(house: House, name: str) -> None:
    """The job of acme's has left a file behind."""
    with house.database.write() as session:
        job = jobs.claim(session, "w1", 30)
        assert job is not None
        begun = artifacts.begin(session, job, name, "text/csv")
        artifacts.add_part(session, job, NewPart(begun, 1, b"ds,mean"), DEFAULT_LIMITS)
        artifacts.complete(session, job, begun, 7, sha256(b"ds,mean").hexdigest())
        jobs.finish(session, job.id, job.token, None)


def said(caller: Caller, method: str, path: str, **request: Any) -> tuple[int, str]:
    """Status and body, without what must differ: the request's id and the names that were asked for."""
    answer = caller.ask(method, path, **request)
    text = re.sub(r'"request_id":"[0-9a-f]+"', "", answer.text)
    text = re.sub(r'"instance":"[^"]+"', "", text)
    for name in (*NOBODY.values(), "sales", "demand", path.split("/")[3] if path.count("/") > 2 else path):
        text = text.replace(f"'{name}'", "NAME")
    return answer.status_code, text


def parts_before_the_whole(route: tuple[str, str]) -> tuple[str, int, str]:
    """Order deletions by resource, and delete the parts of a thing before the thing: a deleted job has no files."""
    _, path = route
    return path.split("/")[2], -path.count("/"), path


@on_both
def test_every_route_that_names_a_thing_hides_the_things_of_others(house: House) -> None:
    house.register(says(1, 2, -1))
    furnish(house)
    leave_file(house, "demand")
    before = house.acme.get("/v1/models/demand/versions"), house.acme.get("/v1/jobs")
    named = {(method, path) for method, path in routes(house) if "{" in path}
    named -= {("GET", "/problems/{code}")}  # the same for everybody
    assert len(named) >= 11
    deletions = sorted((route for route in named if route[0] == "DELETE"), key=parts_before_the_whole)
    names = {path: names_of(house, path) for _, path in named}
    for method, path in [*sorted(named - set(deletions)), *deletions]:
        request = BODIES.get((method, path), {})
        theirs = said(house.rival, method, path.format(**names[path]), **request)
        nobodys = said(house.rival, method, path.format(**NOBODY), **request)
        assert theirs == nobodys, (method, path)
        assert theirs[0] == (422 if (method, path) in CREATES else 404), (method, path)
        done = ("cancel", "approve", "reject", "rollback", "run")
        if (method, path) not in BODIES.keys() | CREATES and not path.endswith(done):  # it is there, for its owner
            status = house.acme.ask(method, path.format(**names[path])).status_code
            assert status < 300 or (method == "DELETE" and status == 409), (method, path)  # in use
    assert house.acme.get("/v1/models/demand/versions") == before[0]
    assert len(before[1]["items"]) - len(house.acme.get("/v1/jobs")["items"]) == 1  # the owner deleted it


@on_both
def test_names_in_bodies_hide_the_things_of_others_too(house: House) -> None:
    house.register(says(1, 2, -1))
    house.register(says(1, 2, -1), model="own", tenant="rival")  # over its own data set 'sales'
    house.acme.keep("secret", series("a", range(20)))
    inline = forecast_request()
    calls: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("/v1/forecasts", inline, {**inline, "model": "never-was"}),
        ("/v1/forecasts", {**inline, "version": 1}, {**inline, "model": "never-was", "version": 1}),
        ("/v1/jobs", {"model": "m", "dataset": "secret"}, {"model": "m", "dataset": "never-was"}),
    ]
    dataset = {"model": "own", "dataset": {"name": "secret"}}
    calls.append(("/v1/forecasts", dataset, {**dataset, "dataset": {"name": "never-was"}}))
    for path, theirs, nobodys in calls:
        answers = [said(house.rival, "POST", path, json=body) for body in (theirs, nobodys)]
        assert answers[0][0] == 404
        assert answers[0][1].replace("'secret'", "NAME") == answers[1][1]


@on_both
def test_lists_hold_nothing_of_others(house: House) -> None:
    house.register(says(1, 2, -1))
    furnish(house)
    lists = {path for method, path in routes(house) if method == "GET" and "{" not in path and path.startswith("/v1")}
    lists -= {"/v1/keys", "/v1/audit-events", "/v1/usage"}  # everybody has some: see the tests of each
    assert lists == {"/v1/datasets", "/v1/jobs", "/v1/models", "/v1/schedules", "/v1/webhooks"}
    for path in lists:
        assert house.rival.get(path) == {"items": [], "next_page_token": None}
        assert len(house.acme.get(path)["items"]) == 1


def test_a_page_token_of_another_tenant_opens_nothing(house: House) -> None:
    house.register(says(1))
    for _ in range(2):
        furnish_job(house)
    token = house.acme.get("/v1/jobs?page_size=1")["next_page_token"]
    assert house.rival.refused("GET", f"/v1/jobs?page_token={token}") == (422, "invalid_input", "bad_page_token")
    house.acme.keep("more", series("a", range(3)))
    token = house.acme.get("/v1/datasets?page_size=1")["next_page_token"]
    assert house.rival.get(f"/v1/datasets?page_token={token}")["items"] == []


def test_the_access_table_is_the_service(house: House) -> None:
    assert unlisted(house.app) == set()
    assert stale(house.app) == set()


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/", "/v1", "/v1/", "/v1/models/", "/static/x"])
def test_nothing_else_is_served(house: House, path: str) -> None:
    assert house.acme.ask("GET", path).status_code == 404
