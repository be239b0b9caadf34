"""Deletion: archived first, then gone; refused with a remedy while something uses it; history stays readable."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from app.store import artifacts, checkpoints, datasets, jobs, schedules
from app.store.artifacts import NewPart
from app.store.job_limits import DEFAULT_LIMITS
from app.store.tables import Artifact, ArtifactPart, JobCheckpoint, JobEvent, Version
from tests.app.api.conftest import Caller, House, on_both
from tests.app.store.conftest import new_job
from tests.app.work.schedule_harness import PLAN
from tests.fakes import says

VERSION = "/v1/models/demand/versions/1"
ALIAS = "/v1/models/demand/aliases/champion"


def users(caller: Caller, path: str) -> list[tuple[str, str]]:
    """Return field and message of each user that a refused deletion names."""
    answer = caller.ask("DELETE", path)
    assert answer.status_code == 409, answer.text
    assert all(error["hint"] for error in answer.json()["errors"])
    return [(error["field"], error["message"]) for error in answer.json()["errors"]]


def delete(caller: Caller, path: str) -> None:
    answer = caller.ask("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b""), answer.text


@on_both
def test_a_version_is_archived_then_deleted_and_its_number_is_not_used_again(house: House) -> None:
    house.register(says(1, 2, -1))
    house.register(says(2, 2, 2))
    acme = house.acme
    delete(acme, VERSION)
    delete(acme, VERSION)  # repeating it changes nothing
    assert [one["version"] for one in acme.get("/v1/models/demand/versions")["items"]] == [2]
    [archived] = acme.get("/v1/models/demand/versions?archived=true")["items"]
    assert (archived["version"], archived["archived_at"] is None, archived["deleted_at"]) == (1, False, None)
    assert archived["archived_by"] == acme.key.split("_")[1]
    answer = acme.ask("GET", VERSION)
    assert answer.status_code == 404
    assert "POST /v1/models/demand/versions/1/restore takes it back" in answer.json()["detail"]

    delete(acme, f"{VERSION}?purge=true")
    delete(acme, f"{VERSION}?purge=true")
    with house.database.read() as session:
        bundles = session.execute(select(Version.number, Version.bundle).order_by(Version.number)).all()
    assert [(number, len(data) > 0) for number, data in bundles] == [(1, False), (2, True)]
    assert acme.refused("GET", f"{VERSION}/bundle") == (404, "not_found", None)
    assert acme.refused("POST", f"{VERSION}/restore") == (404, "not_found", None)
    assert house.register(says(1, 1, 1)).number == 3
    moves = acme.get(f"{ALIAS}/moves")["items"]
    assert [(move["from_version"], move["to_version"]) for move in moves] == [(2, 3), (1, 2), (None, 1)]


@on_both
def test_an_archived_version_can_be_restored(house: House) -> None:
    house.register(says(1, 2, -1), alias=None)
    delete(house.acme, VERSION)
    assert house.acme.refused("PUT", ALIAS, json={"version": 1})[0] == 404
    restored = house.acme.post(f"{VERSION}/restore")
    assert (restored["version"], restored["archived_at"]) == (1, None)
    house.acme.put(ALIAS, json={"version": 1})
    assert house.acme.refused("DELETE", f"{VERSION}?purge=true") == (409, "conflict", "not_archived")


@on_both
def test_a_version_in_use_is_refused_with_each_user_and_a_remedy(house: House) -> None:
    version = house.register(says(1, 2, -1))
    house.decide(version, "pending")
    tenant_id = house.tenants["acme"]
    with house.database.write() as session:
        request = {**PLAN.request, "warm_start_from": "demand@1"}
        schedules.create(session, tenant_id, "nightly", replace(PLAN, request=request), "cli")
        pinned = {"version": {"name": "demand@champion", "number": 1, "id": version.id}}
        job = jobs.enqueue(session, new_job(datasets.revision(session, tenant_id, "sales"), request=pinned))
    assert users(house.acme, VERSION) == [
        ("schedule", "schedule 'nightly' uses 'demand@1'"),
        ("alias", "alias 'champion' points at version 1"),
        ("job", f"job {job.id} uses it"),
        ("decision", "the decision about version 1 is pending"),
    ]
    assert house.rival.refused("DELETE", VERSION) == (404, "not_found", None)
    assert house.reader.refused("DELETE", VERSION) == (403, "forbidden", None)


@on_both
def test_an_alias_is_deleted_unless_a_schedule_uses_it_and_a_rollback_brings_it_back(house: House) -> None:
    house.register(says(1, 2, -1))
    with house.database.write() as session:
        schedules.create(session, house.tenants["acme"], "nightly", PLAN, "cli")
    [(field, message)] = users(house.acme, ALIAS)
    assert (field, message) == ("schedule", "schedule 'nightly' uses 'demand'")
    delete(house.acme, "/v1/schedules/nightly")
    house.acme.forecast()
    delete(house.acme, ALIAS)
    delete(house.acme, ALIAS)
    assert house.acme.refused("POST", "/v1/forecasts", json={"model": "demand", "future": FUTURE})[0] == 404
    [last, _] = house.acme.get(f"{ALIAS}/moves")["items"]
    assert (last["from_version"], last["to_version"], last["reason"]) == (1, None, "deleted by request")
    assert house.acme.refused("DELETE", "/v1/models/demand/aliases/never") == (404, "not_found", None)
    assert house.acme.post(f"{ALIAS}/rollback", json={})["version"] == 1


FUTURE: dict[str, Any] = {"ds": ["2026-01-05"], "covariates": {"size": [1]}}


@on_both
def test_a_model_is_archived_with_its_versions_then_deleted_and_its_name_can_be_used_again(house: House) -> None:
    house.register(says(1, 2, -1))
    acme = house.acme
    assert users(acme, "/v1/models/demand") == [("alias", "alias 'champion' points at version 1")]
    delete(acme, ALIAS)
    assert acme.refused("DELETE", "/v1/models/demand?purge=true") == (409, "conflict", "not_archived")
    delete(acme, "/v1/models/demand")
    assert acme.get("/v1/models")["items"] == []
    assert [one["model"] for one in acme.get("/v1/models?archived=true")["items"]] == ["demand"]
    delete(acme, "/v1/models/demand?purge=true")
    delete(acme, "/v1/models/demand?purge=true")
    assert acme.get("/v1/models/demand/decisions")["items"] == []
    assert house.register(says(1, 1, 1)).number == 2
    assert [one["model"] for one in acme.get("/v1/models")["items"]] == ["demand"]


def test_a_version_that_is_archived_elsewhere_is_not_served_after_the_refresh_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register(says(1, 2, -1), alias=None)
    assert house.acme.forecast(version=1)["model"]["version"] == 1
    delete(house.acme, VERSION)
    monkeypatch.setattr("app.serving.version_resolver.NUMBER_TTL_S", 0.0)
    asked = {"model": "demand", "version": 1, "future": FUTURE}
    assert house.acme.refused("POST", "/v1/forecasts", json=asked)[0] == 404


@on_both
def test_a_deleted_job_leaves_no_bytes_and_no_list_has_it(house: House) -> None:
    house.register(says(1, 2, -1))
    tenant_id = house.tenants["acme"]
    with house.database.write() as session:
        job = jobs.enqueue(session, new_job(datasets.revision(session, tenant_id, "sales"), kind="forecast"))
        path = f"/v1/jobs/{job.id}"
    assert users(house.acme, path) == [("job", f"job {job.id} has not ended")]
    with house.database.write() as session:
        held = jobs.claim(session, "w1", 30)
        assert held is not None
        begun = artifacts.begin(session, held, "forecast.csv", "text/csv")
        artifacts.add_part(session, held, NewPart(begun, 1, b"unique_id,ds\n"), DEFAULT_LIMITS)
        artifacts.complete(session, held, begun, 13, "0" * 64)
        checkpoints.save(session, held, b"state")
        jobs.finish(session, held.id, held.token, None)
    assert house.rival.refused("DELETE", path) == (404, "not_found", None)
    delete(house.acme, path)
    with house.database.read() as session:
        for table in (Artifact, ArtifactPart, JobCheckpoint, JobEvent):
            assert session.scalars(select(table)).all() == []
    assert house.acme.get("/v1/jobs")["items"] == []
    assert house.acme.refused("GET", path) == (404, "not_found", None)
    assert house.acme.refused("DELETE", path) == (404, "not_found", None)
