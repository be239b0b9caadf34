"""Inputs of a forecast: future covariates, series without history, missing values."""

from typing import Any

import pytest

from tests.app.api.conftest import Caller, House, forecast_request, on_both
from tests.app.api.tables import days
from tests.fakes import random_forecaster, says, says_cold, says_price


def priced(values: list[float], start: int, **rows: Any) -> dict[str, Any]:
    return {"ds": days(10)[start : start + len(values)], "covariates": {"price": values}, **rows}


PAST = priced([1, 1, 2, 2], 0, y=[4, 6, 8, 10])


@on_both
def test_future_covariates_are_read_from_the_request(house: House) -> None:
    house.register(says_price())
    answer = house.acme.forecast(history=PAST, future=priced([0, 1, 3], 4))
    assert answer["forecasts"][0]["mean"] == [10, 13, 19]  # level 10, spread 3
    assert answer["forecasts"][0]["ds"][0] == "2026-01-05T00:00:00"


def test_future_covariates_may_be_rows_of_the_data_set(house: House) -> None:
    house.register(says_price())
    table = {"unique_id": ["shop"] * 7, "ds": days(7), "y": [4, 6, 8, 10, None, None, None]}
    house.acme.post("/v1/datasets?name=priced", json={**table, "price": [1, 1, 2, 2, 0, 1, 3]})
    dataset = {"dataset": {"name": "priced"}}
    assert house.acme.forecast(**dataset)["forecasts"][0]["mean"] == [10, 13, 19]
    changed = priced([2], 5, unique_id="shop")
    assert house.acme.forecast(**dataset, future=changed)["forecasts"][0]["mean"] == [10, 16, 19]


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"future": priced([0, 1], 4)}, "missing_future", "'price' is not known at 2026-01-07T00:00:00"),
        ({}, "missing_future", "'price' is not known at 2026-01-05T00:00:00"),
        ({"history": {"ds": days(4), "y": [4, 6, 8, 10]}}, "missing_covariate", "there is no covariate 'price'"),
        ({"future": priced(["a", "b", "c"], 4)}, "other_kind", "'price' holds text, in the data set numbers"),
        ({"future": priced([0, 1, 3], 3)}, "already_known", "the data set continues at 2026-01-05T00:00:00"),
    ],
    ids=["too short", "none", "no column", "text", "too early"],
)
def test_a_missing_covariate_is_refused_by_name(house: House, changes: dict[str, Any], code: str, words: str) -> None:
    house.register(says_price())
    asked = forecast_request(**{"history": PAST, **changes})
    answer = house.acme.ask("POST", "/v1/forecasts", json=asked)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert words in answer.json()["errors"][0]["message"]


@on_both
def test_a_series_without_history_is_forecast_from_its_static_covariates(house: House) -> None:
    house.register(says_cold(1, 2, -1, level=100, spread=10))
    new = {"unique_id": ["kiosk", "shop"], "ds": [days(1)[0]] * 2, "covariates": {"size": [1, 5]}}
    answer = house.acme.forecast(history=None, future=new)
    assert [series["unique_id"] for series in answer["forecasts"]] == ["kiosk", "shop"]
    assert [series["mean"] for series in answer["forecasts"]] == [[110, 120, 90]] * 2
    assert answer["forecasts"][0]["ds"] == ["2026-01-01T00:00:00", "2026-01-02T00:00:00", "2026-01-03T00:00:00"]


def test_a_model_that_reads_no_history_forecasts_after_a_long_one(house: House) -> None:
    house.register(says_cold(1, 2, -1, level=100, spread=10))
    long = {"ds": days(10), "y": list(range(10)), "covariates": {"size": [1] * 10}}
    answer = house.acme.forecast(history=long)
    assert answer["forecasts"][0]["mean"] == [110, 120, 90]
    assert answer["forecasts"][0]["ds"][0] == "2026-01-11T00:00:00"


def test_a_series_without_history_needs_a_model_that_reads_none(acme: Caller) -> None:
    new = {"unique_id": "kiosk", "ds": days(1), "covariates": {"size": [1]}}
    asked = {"json": forecast_request(history=None, freq=None, future=new)}
    assert acme.refused("POST", "/v1/forecasts", **asked) == (422, "invalid_input", "no_history")


def test_missing_values_are_left_out_with_a_warning(acme: Caller) -> None:
    answer = acme.forecast(history={"unique_id": "shop", "ds": days(5), "y": [4, None, 6, 8, 10]})
    # Of the last four points 6, 8, 10 are observed beside one that is missing: level 10, spread (4 + 2 + 0) / 3 = 2.
    assert answer["forecasts"][0]["mean"] == [12, 14, 8]
    (warning,) = answer["warnings"]
    assert (warning["code"], warning["unique_id"]) == ("missing_values", "shop")
    assert warning["message"].startswith("1 value")


def test_a_short_history_is_forecast_with_a_warning(acme: Caller) -> None:
    answer = acme.forecast(history={"unique_id": "shop", "ds": days(2), "y": [8, 10]})
    assert answer["forecasts"][0]["mean"] == [11, 12, 9]  # level 10, spread (2 + 0) / 2
    assert [(warning["code"], warning["unique_id"]) for warning in answer["warnings"]] == [("short_history", "shop")]


@pytest.mark.parametrize("days_sent", [[1], [1, 2], [1, 2, 3, 4, 5]], ids=["a row", "two rows", "a week"])
def test_history_that_names_no_frequency_is_read_at_that_of_the_model(house: House, days_sent: list[int]) -> None:
    house.register(says(1, 2, -1, freq="B"))
    sent = {"unique_id": "A", "ds": [f"2024-01-{day:02d}" for day in days_sent], "y": [4] * len(days_sent)}
    forecast = house.acme.forecast(history=sent, freq=None)
    first = days_sent[-1] + 1 if days_sent[-1] < 5 else 8  # the fifth is a Friday
    assert forecast["freq"] == "B"
    assert forecast["forecasts"][0]["ds"][0] == f"2024-01-{first:02d}T00:00:00"


def test_new_rows_of_a_session_need_no_frequency(house: House) -> None:
    house.register(random_forecaster(strategy="iterative", state="carried", cell="gru"))
    first, later = ({"ds": ds, "y": [5] * len(ds)} for ds in (days(12), days(13)[12:]))
    house.acme.forecast(history=first, freq=None, session="till")
    answer = house.acme.forecast(history=later, freq=None, session="till")
    assert "session_begun" not in [each["code"] for each in answer["warnings"]]
    assert answer["forecasts"][0]["ds"][0] == "2026-01-14T00:00:00"
