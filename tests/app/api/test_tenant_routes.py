"""/v1/tenants: the operator makes, suspends, resumes and deletes tenants; nobody else knows that there are others."""

from datetime import UTC, datetime, timedelta

import pytest

from app.edge.key_cache import KEY_TTL_S
from app.store import firings, jobs, schedules
from tests.app.api.conftest import SALES, Caller, House, forecast_request, on_both
from tests.app.api.test_keys import Clock, two_houses  # noqa: F401 - a fixture
from tests.app.api.test_tenants import furnish_job
from tests.app.work.schedule_harness import PLAN
from tests.fakes import says


def test_an_operator_makes_a_tenant_and_its_first_key_which_manages_the_others(house: House) -> None:
    answer = house.operator.ask("POST", "/v1/tenants", json={"name": "globex"})
    assert (answer.status_code, answer.headers["location"]) == (201, "/v1/tenants/globex")
    assert answer.json() == house.operator.get("/v1/tenants/globex")
    made = house.operator.post("/v1/tenants/globex/keys", json={"name": "boss", "scope": "admin"})
    boss = Caller(house.client, made["key"])
    assert boss.get("/v1/models")["items"] == []
    assert [key["name"] for key in boss.get("/v1/keys")["items"]] == ["boss"]
    assert house.operator.refused("POST", "/v1/tenants", json={"name": "globex"}) == (409, "conflict", None)
    listed = [tenant["name"] for tenant in house.operator.get("/v1/tenants")["items"]]
    assert listed == ["acme", "rival", "office", "globex"]
    first = house.operator.get("/v1/tenants?page_size=3")
    rest = house.operator.get(f"/v1/tenants?page_token={first['next_page_token']}")
    assert [tenant["name"] for tenant in first["items"] + rest["items"]] == listed


def test_an_admin_of_one_tenant_reaches_no_other(house: House) -> None:
    for method, path in (("GET", "/v1/tenants"), ("GET", "/v1/tenants/acme"), ("POST", "/v1/tenants/acme/suspend")):
        assert house.acme.refused(method, path) == (403, "forbidden", None)


def test_an_unknown_tenant_is_not_found(house: House) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/suspend"), ("POST", "/resume")):
        assert house.operator.refused(method, f"/v1/tenants/never-was{path}") == (404, "not_found", None)


@on_both
def test_a_suspended_tenant_is_refused_within_a_second_and_comes_back_as_it_was(house: House) -> None:
    clock = house.app.guard.keys._clock = Clock()  # type: ignore[attr-defined]
    house.register(says(1, 2, -1))
    before = house.acme.forecast()
    assert house.operator.post("/v1/tenants/acme/suspend")["suspended_at"] is not None
    clock.now_s += KEY_TTL_S
    assert house.acme.refused("GET", "/v1/models") == (403, "tenant_suspended", None)
    request = forecast_request()
    assert house.reader.refused("POST", "/v1/forecasts", json=request) == (403, "tenant_suspended", None)
    assert house.rival.get("/v1/models")["items"] == []
    assert house.operator.post("/v1/tenants/acme/resume")["suspended_at"] is None
    clock.now_s += KEY_TTL_S
    assert house.acme.forecast() == before


def test_a_suspension_is_known_within_a_second_to_another_service(two_houses: tuple[House, House]) -> None:  # noqa: F811
    here, there = two_houses
    clock = there.app.guard.keys._clock = Clock()  # type: ignore[attr-defined]
    assert there.acme.ask("GET", "/v1/models").status_code == 200
    here.operator.post("/v1/tenants/acme/suspend")
    clock.now_s = KEY_TTL_S
    assert there.acme.refused("GET", "/v1/models") == (403, "tenant_suspended", None)


@on_both
def test_the_jobs_and_schedules_of_a_suspended_tenant_wait_and_its_running_jobs_finish(house: House) -> None:
    house.acme.keep("sales", SALES)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for _ in range(2):
        furnish_job(house)
    with house.database.write() as session:
        schedules.create(session, house.tenants["acme"], "nightly", PLAN, "cli")
        running = jobs.claim(session, "w1", 30)
        assert running is not None
    house.operator.post("/v1/tenants/acme/suspend")
    with house.database.write() as session:
        assert jobs.claim(session, "w1", 30) is None
        assert not jobs.pending_work(session).to_claim
        assert firings.list_due(session, tomorrow, 9) == []
        jobs.finish(session, running.id, running.token, None)
    house.operator.post("/v1/tenants/acme/resume")
    with house.database.write() as session:
        assert jobs.pending_work(session).to_claim
        assert jobs.claim(session, "w1", 30) is not None
        assert len(firings.list_due(session, tomorrow, 9)) == 1


@on_both
def test_a_tenant_is_suspended_before_it_is_deleted_and_then_its_name_is_free(house: House) -> None:
    house.register(says(1, 2, -1))
    assert house.operator.refused("DELETE", "/v1/tenants/acme") == (409, "conflict", None)
    house.operator.post("/v1/tenants/acme/suspend")
    assert house.operator.ask("DELETE", "/v1/tenants/acme").status_code == 204
    assert house.operator.refused("GET", "/v1/tenants/acme") == (404, "not_found", None)
    house.app.guard.keys._clock = Clock(1e9)  # type: ignore[attr-defined]
    assert house.acme.refused("GET", "/v1/models") == (401, "unauthorized", None)
    house.operator.post("/v1/tenants", json={"name": "acme"})
    made = house.operator.post("/v1/tenants/acme/keys", json={"name": "boss", "scope": "admin"})
    boss = Caller(house.client, made["key"])
    assert boss.get("/v1/models")["items"] == []
    boss.keep("sales", SALES)
    asked = forecast_request(dataset={"name": "sales"})
    assert boss.refused("POST", "/v1/forecasts", json=asked) == (404, "not_found", None)  # no model of the former acme


@pytest.mark.parametrize("path", ["/suspend", "/resume", ""])
def test_an_operator_does_not_lock_himself_out(house: House, path: str) -> None:
    status = house.operator.refused("POST" if path else "DELETE", f"/v1/tenants/office{path}")
    assert status == (409, "conflict", None)
