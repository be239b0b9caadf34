"""Rates of requests, series and points over the API; ``demand`` forecasts 3 steps of 4 values for each series."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.store import quotas
from tests.app.api.conftest import House, forecast_request, open_house
from tests.app.api.test_session_forecasts import CARRIED, ask, posted
from tests.app.test_rates import Sender
from tests.fakes import random_forecaster, says

TWO_SERIES = {"name": "sales"}  # shop and kiosk


@pytest.fixture
def limited(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    rates = {"tenant_requests": "1000/h", "tenant_series": "5/d", "key_points": "48/d"}
    with open_house(sqlite_template, tmp_path, **rates) as house:
        house.register(says(1, 2, -1))
        yield house


def left(answer: Any) -> dict[str, int]:
    """What the header RateLimit says of each policy."""
    items = (item.split(";") for item in answer.headers["ratelimit"].split(", "))
    return {name.strip('"'): int(left.removeprefix("r=")) for name, left, _ in items}


def test_a_forecast_is_charged_by_the_series_and_values_that_it_really_has(limited: House) -> None:
    answer = limited.acme.ask("POST", "/v1/forecasts", json=forecast_request(dataset=TWO_SERIES))
    assert answer.status_code == 200
    assert (left(answer)["tenant-series"], left(answer)["key-points"]) == (3, 24)
    stream = limited.acme.ask("POST", "/v1/forecasts/stream", json=forecast_request(dataset=TWO_SERIES))
    assert stream.status_code == 200
    over = limited.acme.ask("POST", "/v1/forecasts", json=forecast_request())
    assert (over.status_code, over.json()["code"]) == (429, "rate_exceeded")
    assert int(over.headers["retry-after"]) == 21_600  # a quarter of a day, in which 12 values come back
    assert (left(over)["tenant-series"], left(over)["key-points"]) == (1, 0)
    assert limited.reader.forecast()["horizon"] == 3  # another key has its own points, and the last series
    assert limited.reader.ask("POST", "/v1/forecasts", json=forecast_request()).json()["code"] == "rate_exceeded"
    limited.acme.get("/v1/models")  # requests are another rate
    assert limited.rival.ask("POST", "/v1/forecasts", json=forecast_request()).json()["code"] == "not_found"


def test_a_forecast_that_is_larger_than_a_rate_is_refused_for_good(limited: House) -> None:
    request = forecast_request(horizon=13)
    assert limited.acme.refused("POST", "/v1/forecasts", json=request) == (422, "invalid_input", "over_rate")
    assert limited.acme.refused("POST", "/v1/forecasts/stream", json=request) == (422, "invalid_input", "over_rate")


def test_a_refused_step_of_a_session_leaves_the_session_as_it_was(limited: House) -> None:
    limited.register(random_forecaster(**CARRIED))
    limiter = limited.app.state.service.limiter
    ask(limited.acme, **posted(12, session="mine"))
    limiter.take(Sender(limited.tenants["acme"]), {"series": 4})
    step = posted(1, begin=12, session="mine")
    assert limited.acme.refused("POST", "/v1/forecasts", json=step)[:2] == (429, "rate_exceeded")
    limiter._full_at_s.clear()  # as after a day
    again, whole = ask(limited.acme, **step), ask(limited.acme, **posted(13, session="another"))
    assert again["forecasts"][0]["mean"] == pytest.approx(whole["forecasts"][0]["mean"], rel=1e-6)


def test_an_operator_sets_the_rate_of_one_tenant(limited: House) -> None:
    with limited.database.write() as session:
        quotas.set_quota(session, "acme", "tenant_requests", "1/h", "cli")
    limited.acme.get("/v1/models")
    limited.app.state.service.quotas.refresh()
    assert [limited.acme.ask("GET", "/v1/models").status_code for _ in range(2)] == [429, 429]
    assert limited.rival.ask("GET", "/v1/models").status_code == 200
