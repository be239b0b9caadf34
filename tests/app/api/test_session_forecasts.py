"""Sessions, series given by their start, and aliases that move between requests."""

import threading
import time
from typing import Any

import pytest

from app.store import registry
from tests.app.api.conftest import Caller, House, forecast_request, on_both
from tests.app.api.tables import columns, days, series
from tests.fakes import random_forecaster, says

CARRIED = {"strategy": "iterative", "state": "carried", "cell": "gru"}


def values(count: int, begin: int = 0) -> list[float]:
    return [float(10 + (7 * i) % 5 + i / 10) for i in range(begin, begin + count)]


def posted(count: int, begin: int = 0, **more: Any) -> dict[str, Any]:
    """Return ``count`` days of one series from day ``begin`` on."""
    start = days(begin + 1)[-1]
    one = {"unique_id": "shop", "start": start, "y": values(count, begin)}
    return forecast_request(history=None, freq=None, series=[one], **more)


def ask(acme: Caller, **request: Any) -> Any:
    return acme.post("/v1/forecasts", json=request)


def codes(answer: Any) -> list[str]:
    return [warning["code"] for warning in answer["warnings"]]


def test_series_given_by_their_start_are_forecast_like_rows(house: House, acme: Caller) -> None:
    rows = acme.forecast(history=columns(series("a", [4, 6, 8, 10]) + series("b", [1, 2, 3, 5])))
    two = [
        {"unique_id": "a", "start": days(1)[0], "y": [4, 6, 8, 10]},
        {"unique_id": "b", "start": days(1)[0], "y": [1, 2, 3, 5]},
    ]
    assert acme.forecast(history=None, freq=None, series=two) == rows
    wrong = {"json": forecast_request(history=None, freq=None, series=[{**two[0], "y": [4, "six"]}])}
    assert acme.refused("POST", "/v1/forecasts", **wrong)[0] == 422


@on_both
def test_a_session_with_only_new_points_gives_the_forecast_of_the_whole_history(house: House) -> None:
    house.register(random_forecaster(**CARRIED))
    first = ask(house.acme, **posted(12, session="mine"))
    assert codes(first) == ["session_begun"]
    later = ask(house.acme, **posted(1, begin=12, session="mine"))
    assert codes(later) == []
    whole = ask(house.acme, **posted(13, session="another"))
    assert later["forecasts"][0]["ds"] == whole["forecasts"][0]["ds"]
    assert later["forecasts"][0]["mean"] == pytest.approx(whole["forecasts"][0]["mean"], rel=1e-6)


def test_an_unknown_session_does_not_begin_with_too_few_points(house: House) -> None:
    house.register(random_forecaster(**CARRIED))
    refused = house.acme.refused("POST", "/v1/forecasts", json=posted(1, begin=12, session="mine"))
    assert refused == (422, "invalid_input", "unknown_session")


def test_a_model_without_carried_state_has_no_sessions(house: House, acme: Caller) -> None:
    assert acme.refused("POST", "/v1/forecasts", json=posted(4, session="mine")) == (422, "invalid_input", "no_state")


def test_sessions_of_two_tenants_are_separate(house: House) -> None:
    house.register(random_forecaster(**CARRIED))
    house.register(random_forecaster(**CARRIED), tenant="rival")
    ask(house.acme, **posted(12, session="mine"))
    refused = house.rival.refused("POST", "/v1/forecasts", json=posted(1, begin=12, session="mine"))
    assert refused == (422, "invalid_input", "unknown_session")


def test_after_a_rollback_a_session_does_not_continue_without_the_newer_points(house: House) -> None:
    """Version 1 reads up to day 12, version 2 up to day 14; version 1 must then not treat day 13 as missing."""
    house.register(random_forecaster(1, **CARRIED))
    house.register(random_forecaster(2, **CARRIED), alias=None)
    unknown = (422, "invalid_input", "unknown_session")
    ask(house.acme, **posted(12, session="mine"))
    house.acme.put("/v1/models/demand/aliases/champion", json={"version": 2})
    assert house.acme.refused("POST", "/v1/forecasts", json=posted(1, begin=12, session="mine")) == unknown
    assert ask(house.acme, **posted(13, session="mine"))["model"]["version"] == 2
    assert codes(ask(house.acme, **posted(1, begin=13, session="mine"))) == []
    house.acme.put("/v1/models/demand/aliases/champion", json={"version": 1})
    assert house.acme.refused("POST", "/v1/forecasts", json=posted(1, begin=14, session="mine")) == unknown
    again, whole = (ask(house.acme, **posted(15, session=name)) for name in ("mine", "another"))
    assert (again["model"]["version"], codes(again)) == (1, ["session_begun"])
    assert again["forecasts"] == whole["forecasts"]


def test_an_alias_and_a_number_have_separate_sessions(house: House) -> None:
    """An alias and a number of the same version have one session each of the same name."""
    house.register(random_forecaster(**CARRIED))
    ask(house.acme, **posted(12, session="mine"))
    refused = house.acme.refused("POST", "/v1/forecasts", json=posted(1, begin=12, session="mine", version=1))
    assert refused == (422, "invalid_input", "unknown_session")
    assert codes(ask(house.acme, **posted(12, session="mine", version=1))) == ["session_begun"]
    assert codes(ask(house.acme, **posted(1, begin=12, session="mine"))) == []


@on_both
def test_a_session_of_a_data_set_reads_appended_rows_and_begins_again_by_itself(house: House) -> None:
    house.register(random_forecaster(**CARRIED))
    acme, request = house.acme, forecast_request(dataset={"name": "shop"}, session="mine")
    acme.keep("shop", [("shop", ds, y) for ds, y in zip(days(12), values(12), strict=True)])
    assert codes(ask(acme, **request)) == ["session_begun"]
    row = {"unique_id": ["shop"], "ds": [days(13)[-1]], "y": values(1, 12)}
    acme.post("/v1/datasets/shop/rows", json=row)
    later = ask(acme, **request)
    assert codes(later) == []
    house.app.state.service.forecasting.sessions._cache._tenants.clear()  # as after a restart
    again = ask(acme, **request)
    assert codes(again) == ["session_begun"]
    assert again["forecasts"][0]["mean"] == pytest.approx(later["forecasts"][0]["mean"], rel=1e-6)


def test_an_alias_that_another_process_moves_is_followed_within_a_second(house: House, acme: Caller) -> None:
    """Requests go on meanwhile; none fails, and after a second none is answered by the old version."""
    house.register(says(2, 2, 2), alias=None)
    assert acme.forecast()["model"]["version"] == 1
    seen: list[tuple[float, int]] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.append((time.monotonic(), acme.forecast()["model"]["version"]))

    watching = threading.Thread(target=watch)
    watching.start()
    move = registry.Move(model="demand", alias="champion", number=2, reason="better", moved_by="cli")
    with house.database.write() as session:
        registry.move_alias(session, house.tenants["acme"], move)
    moved_s = time.monotonic()
    time.sleep(1.6)
    stop.set()
    watching.join()
    late = [at_s - moved_s for at_s, version in seen if version == 1]
    assert seen[-1][1] == 2
    assert max(late) < 1.5  # a second, and what a busy machine adds


def test_the_process_that_moves_an_alias_serves_the_new_version_at_once(house: House, acme: Caller) -> None:
    house.register(says(2, 2, 2), alias=None)
    for version in (2, 1, 2):
        acme.put("/v1/models/demand/aliases/champion", json={"version": version})
        assert acme.forecast()["model"]["version"] == version


def test_a_version_that_cannot_be_loaded_is_not_promoted(house: House, acme: Caller) -> None:
    house.register(b"no bundle at all", alias=None)
    refused = acme.refused("PUT", "/v1/models/demand/aliases/champion", json={"version": 2})
    assert refused[:2] == (500, "corrupt_bundle")
    assert acme.forecast()["model"]["version"] == 1


def test_an_alias_falls_back_from_a_version_that_cannot_be_loaded_with_a_warning(house: House, acme: Caller) -> None:
    house.register(b"no bundle at all")
    answer = acme.forecast()
    assert answer["model"]["version"] == 1
    assert codes(answer) == ["fell_back"]
    assert "earlier version" in house.acme.get("/readyz")["checks"]["aliases"]


def test_an_alias_falls_back_from_a_network_with_infinite_numbers(house: House, acme: Caller) -> None:
    broken = says(0, 0, 0, cell="rnn", units=8)
    broken.members[0].weights["encoder_0/bias"][:] = 50  # each unit says 1,
    broken.members[0].weights["head/kernel"][:] = 3e38  # and the sum of what they mean is not finite
    house.register(broken)
    answer = acme.forecast()
    assert answer["model"]["version"] == 1
    assert codes(answer) == ["fell_back"]
    asked = {"json": forecast_request(version=2)}
    assert acme.refused("POST", "/v1/forecasts", **asked)[:2] == (500, "model_broken")
