"""GET /v1/usage."""

from tests.app.api.conftest import Caller, House


def test_a_tenant_sees_its_requests_and_forecasts_and_no_others(house: House, acme: Caller) -> None:
    meter = house.app.state.service.meter
    meter.flush()
    before = acme.get("/v1/usage")["items"]
    acme.forecast()  # one series of 3 steps with 4 values each
    acme.refused("GET", "/v1/models/nothing")
    house.rival.get("/v1/models")
    meter.flush()
    [day], [after] = before, acme.get("/v1/usage")["items"]
    assert (after["requests"] - day["requests"], after["series"], after["points"]) == (3, 1, 12)
    assert after["stored_bytes"] > 0
    assert house.rival.get("/v1/usage")["items"][0]["series"] == 0
    assert acme.get("/v1/usage?from=2020-01-01&to=2020-12-31") == {"items": []}


def test_days_that_cannot_be_are_refused(house: House) -> None:
    asked = "/v1/usage?from=2026-02-01&to=2026-01-01"
    assert house.acme.refused("GET", asked) == (422, "invalid_input", "bad_days")
    for day in ("yesterday", "20260131", "0"):
        assert house.acme.refused("GET", f"/v1/usage?from={day}")[:2] == (422, "invalid_request")
    assert house.acme.get("/v1/usage?to=0001-01-01") == {"items": []}
