"""``/v1/audit-events``: every route that changes something leaves an event with its caller and request."""

from typing import Any

from app.edge.access import ACCESS, Access, find_route
from app.store import audit_chain
from models.forecasting import bundle
from tests.app.api.conftest import Caller, House, forecast_request
from tests.app.api.tables import series, table
from tests.fakes import says

ALIAS = "/v1/models/demand/aliases"
VERSIONS = "/v1/models/demand/versions"
JOB: dict[str, Any] = {"model": "demand", "dataset": "days", "spec": {"horizon": 3, "context": 7}}
PLAN = {"name": "nightly", "cron": "30 2 * * *", "job": JOB}
HOOK = {"name": "desk", "url": "https://9.9.9.9/secret", "events": ["alias.moved"]}
DAYS = table(series("shop", [float(day % 7) for day in range(120)]), "csv")
BUNDLE = {"content": bundle.to_bytes(says(1, 2, 3)), "headers": {"content-type": "application/octet-stream"}}
# A forecast changes nothing, a test message neither; the file of a job is deleted in tests/app/store.
SILENT = {
    ("POST", "/v1/webhooks/{name}/test"),
    ("DELETE", "/v1/jobs/{job_id}/artifacts/{name}"),
    ("GET", "/v1/keys"),
    ("GET", "/v1/keys/{key_id}"),
    ("GET", "/v1/audit-events"),
}
# Method, path ({id}: that of the newest answer), body, and the action.
CHANGES: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/v1/keys", {"json": {"name": "night", "scope": "read"}}, "key.created"),
    ("POST", "/v1/keys/{id}/rotate", {}, "key.rotated"),
    ("DELETE", "/v1/keys/{id}", {}, "key.revoked"),
    ("POST", "/v1/datasets?name=days", DAYS, "dataset.created"),
    ("POST", "/v1/datasets/days/rows", table([("shop", "2026-05-01", 1)], "csv"), "dataset.appended"),
    ("POST", "/v1/jobs", {"json": JOB}, "job.created"),
    ("POST", "/v1/jobs/{id}/cancel", {}, "job.cancelled"),
    ("DELETE", "/v1/jobs/{id}", {}, "job.deleted"),
    ("POST", "/v1/models/copy/versions", BUNDLE, "job.created"),
    ("PUT", f"{ALIAS}/next", {"json": {"version": 1, "reason": "try"}}, "alias.moved"),
    ("PUT", f"{ALIAS}/next", {"json": {"version": 2, "reason": "try"}}, "alias.moved"),
    ("POST", f"{ALIAS}/next/rollback", {}, "alias.moved"),
    ("DELETE", f"{ALIAS}/next", {}, "alias.deleted"),
    ("POST", f"{VERSIONS[:-9]}/decisions/2/approve", {}, "alias.moved"),
    ("POST", f"{VERSIONS[:-9]}/decisions/3/reject", {}, "decision.rejected"),
    ("DELETE", f"{VERSIONS}/1", {}, "version.archived"),
    ("POST", f"{VERSIONS}/1/restore", {}, "version.restored"),
    ("DELETE", f"{VERSIONS}/3", {}, "version.archived"),
    ("DELETE", f"{VERSIONS}/3?purge=true", {}, "version.deleted"),
    ("POST", "/v1/schedules", {"json": PLAN}, "schedule.created"),
    ("PATCH", "/v1/schedules/nightly", {"json": {"misfire": "all", "overlap": "queue"}}, "schedule.edited"),
    ("POST", "/v1/schedules/nightly/pause", {}, "schedule.paused"),
    ("POST", "/v1/schedules/nightly/resume", {}, "schedule.resumed"),
    ("POST", "/v1/schedules/nightly/run", {}, "job.created"),
    ("DELETE", "/v1/schedules/nightly", {}, "schedule.deleted"),
    ("POST", "/v1/webhooks", {"json": HOOK}, "webhook.created"),
    ("POST", "/v1/webhooks/desk/rotate", {}, "webhook.rotated"),
    ("DELETE", "/v1/webhooks/desk", {}, "webhook.deleted"),
    ("DELETE", "/v1/models/other", {}, "model.archived"),
    ("DELETE", "/v1/models/other?purge=true", {}, "model.deleted"),
]


def newest(caller: Caller) -> dict[str, Any]:
    event: dict[str, Any] = caller.get("/v1/audit-events?page_size=1")["items"][0]
    return event


def test_every_route_that_changes_something_leaves_an_event(house: House) -> None:
    for number in (1, 2, 3):
        version = house.register(says(1, 2, number), alias="champion" if number == 1 else None)
        if number > 1:
            house.decide(version, "pending")
    house.register(says(1, 2, 3), model="other", alias=None)
    newest_id = ""
    for method, path, body, action in CHANGES:
        answer = house.acme.ask(method, path.format(id=newest_id), **body)
        assert answer.status_code < 300, (method, path, answer.text)
        newest_id = answer.json().get("id", newest_id) if answer.content else newest_id
        event = newest(house.acme)
        assert (event["action"], event["request_id"]) == (action, answer.headers["x-request-id"]), path
        assert event["actor"] == house.acme.key.split("_")[1]
    covered = {(method, find_route(method, path.format(id="a").partition("?")[0])) for method, path, _, _ in CHANGES}
    templates = {(method, route.template) for method, route in covered if route is not None}
    assert {route for route, who in ACCESS.items() if who in (Access.WRITE, Access.ADMIN)} - templates == SILENT
    with house.database.read() as session:
        assert [chain.fault for chain in audit_chain.verify(session)] == [None, None, None]
    events = house.acme.get("/v1/audit-events?page_size=1000")["items"]
    assert [event["sequence"] for event in events] == list(range(len(events), 0, -1))
    assert "secret" not in str(events)
    page = house.acme.get("/v1/audit-events?page_size=3")
    assert page["items"] == events[:3]
    assert house.acme.get(f"/v1/audit-events?page_token={page['next_page_token']}")["items"][0] == events[3]


def test_a_forecast_and_a_refused_change_leave_none_and_a_key_for_reading_sees_none(house: House) -> None:
    house.register(says(1, 2, -1))
    before = newest(house.acme)
    house.acme.post("/v1/forecasts", json=forecast_request())
    assert house.acme.ask("DELETE", "/v1/webhooks/desk").status_code == 404
    assert house.acme.ask("POST", "/v1/datasets?name=sales", **DAYS).status_code == 409
    assert newest(house.acme) == before
    assert house.reader.refused("GET", "/v1/audit-events") == (403, "forbidden", None)
    assert [event["action"] for event in house.rival.get("/v1/audit-events")["items"]] == ["key.created"]
