"""Median, mean, quantiles and bounds of answers: JSON, Arrow, streams, sessions and files of jobs say the same."""

import io
import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from app.formats import ARROW
from models.evaluation.mean import MeanCorrection
from models.forecasting.forecaster import Forecaster
from tests.app.api.conftest import Caller, House, forecast_request
from tests.app.api.tables import columns, series
from tests.fakes import says

# The history 4, 6, 8, 10: its level is the last value, 10; its spread is the mean of 6, 4, 2, 0, which is 3.
ASKED = {"levels": [80], "quantiles": [0.1, 0.5, 0.9]}


@pytest.fixture(name="counts")
def counts_fixture(house: House) -> Caller:
    """A model of counts that says 1, -2 and -9 spreads; its backtest added half a spread to the mean."""
    made = says(1, -2, -9, non_negative=True)
    calibration = made.calibration
    house.register(Forecaster(made.members, type(calibration)(calibration.radii, 199, mean=MeanCorrection(0.5))))
    return house.acme


def shop(answer: Any) -> Any:
    return answer["forecasts"][0]


def test_an_answer_has_median_mean_intervals_quantiles_and_bounds(counts: Caller) -> None:
    answer = counts.forecast(**ASKED)
    assert answer["bounds"] == [0, None]
    one = shop(answer)
    assert (one["median"], one["mean"]) == ([13, 4, 0], [14.5, 5.5, 0])
    assert one["intervals"]["80"]["lo"] == pytest.approx([10.6, 1.6, 0])
    assert one["quantiles"]["0.1"] == one["intervals"]["80"]["lo"]
    assert one["quantiles"]["0.5"] == one["median"]
    assert one["quantiles"]["0.9"] == one["intervals"]["80"]["hi"]
    assert list(one["quantiles"]) == ["0.1", "0.5", "0.9"]


def test_an_answer_has_no_negative_zero(counts: Caller) -> None:
    body = counts.ask("POST", "/v1/forecasts", json=forecast_request(**ASKED)).text
    assert re.findall(r"[\[,](-?0\.?0*)[,\]]", body.split('"forecasts":')[1]) == ["0.0"] * 7


def test_arrow_and_streams_say_what_json_says(counts: Caller) -> None:
    one = shop(counts.forecast(**ASKED))
    request = {"json": forecast_request(**ASKED)}
    table = pa.ipc.open_stream(
        counts.ask("POST", "/v1/forecasts", **request, headers={"accept": ARROW}).content
    ).read_all()
    assert table.schema.names == ["unique_id", "ds", "median", "mean", "lo-80", "hi-80", "q-0.1", "q-0.5", "q-0.9"]
    for name, values in (("median", one["median"]), ("mean", one["mean"]), ("q-0.9", one["quantiles"]["0.9"])):
        assert table[name].to_pylist() == values
    assert json.loads(table.schema.metadata[b"forecastle"])["bounds"] == [0, None]
    head, line, _ = map(json.loads, counts.ask("POST", "/v1/forecasts/stream", **request).text.splitlines())
    assert head["bounds"] == [0, None]
    assert {name: line[name] for name in one} == one


def test_the_query_beside_an_arrow_body_asks_for_the_same(counts: Caller) -> None:
    rows = columns(series("shop", [4, 6, 8, 10]))
    sink = io.BytesIO()
    batch = pa.table({"unique_id": ["shop"] * 4, "ds": rows["ds"], "y": [4.0, 6, 8, 10]})
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_table(batch)
    query = "model=demand&levels=80&quantiles=0.1,0.5,0.9&bounds=0,20&non_negative=true"
    body = {"content": sink.getvalue(), "headers": {"content-type": ARROW}}
    in_query = counts.post(f"/v1/forecasts?{query}", **body)
    in_json = counts.forecast(**ASKED, bounds=[0, 20], non_negative=True)
    assert in_query["bounds"] == in_json["bounds"] == [0, 20]
    assert shop(in_query)["quantiles"] == shop(in_json)["quantiles"]
    assert counts.post(f"/v1/forecasts?{query.replace('bounds=0,20', 'bounds=,20')}", **body)["bounds"] == [0, 20]


@pytest.mark.parametrize(
    ("changes", "bounds", "median"),
    [
        ({}, [0, None], [13, 4, 0]),
        ({"non_negative": False}, None, [13, 4, -17]),
        ({"bounds": [None, None]}, None, [13, 4, -17]),
        ({"bounds": [3, 12]}, [3, 12], [12, 4, 3]),
        ({"bounds": [-5, 12]}, [-5, 12], [12, 4, -5]),
        ({"bounds": [-5, 12], "non_negative": True}, [0, 12], [12, 4, 0]),
    ],
)
def test_a_request_may_give_other_bounds(
    counts: Caller, changes: dict[str, Any], bounds: list[float | None] | None, median: list[float]
) -> None:
    answer = counts.forecast(**changes)
    assert (answer["bounds"], shop(answer)["median"]) == (bounds, median)


def test_a_series_that_breaks_the_bounds_of_the_model_is_not_bounded(counts: Caller) -> None:
    history = columns(series("counts", [4, 6, 8, 10]) + series("balance", [-4, 6, 8, 10]))
    answer = counts.forecast(history=history)
    assert [(one["code"], one["unique_id"]) for one in answer["warnings"]] == [("not_bounded", "balance")]
    medians = {one["unique_id"]: min(one["median"]) for one in answer["forecasts"]}
    assert medians["counts"] == 0
    assert medians["balance"] < -20


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"bounds": [5, None]}, "out_of_bounds", "bounds"),
        ({"bounds": [None, 9]}, "out_of_bounds", "bounds"),
        ({"history": columns(series("b", [-1, *range(40)])), "non_negative": True}, "out_of_bounds", "non_negative"),
        ({"quantiles": [0.333]}, "value_error", "/quantiles/0"),
        ({"quantiles": [1]}, "less_than", "/quantiles/0"),
        ({"quantiles": [0.1, 0.1]}, "value_error", ""),
        ({"quantiles": [n / 100 for n in range(1, 30)]}, "too_long", "/quantiles"),
        ({"bounds": [4, 4]}, "value_error", ""),
        ({"bounds": [4]}, "too_short", "/bounds"),
        ({"bounds": [None, 0], "non_negative": True}, "value_error", ""),
    ],
)
@pytest.mark.parametrize("path", ["/v1/forecasts", "/v1/forecasts/stream"])
def test_bounds_and_quantiles_that_cannot_be_used_are_refused_with_the_field(
    counts: Caller, path: str, changes: dict[str, Any], code: str, field: str
) -> None:
    problem = counts.ask("POST", path, json=forecast_request(**changes)).json()
    error = problem["errors"][0]
    place = error.get("field", error.get("pointer"))
    assert (problem["status"], error["code"], place) == (422, code, field)
    assert error["hint"]


def test_a_quantile_that_needs_more_residuals_is_refused(house: House) -> None:
    house.register(says(1, 2, -1, count=9))
    for path in ("/v1/forecasts", "/v1/forecasts/stream"):
        problem = house.acme.ask("POST", path, json=forecast_request(quantiles=[0.99])).json()
        assert (problem["errors"][0]["code"], problem["errors"][0]["field"]) == ("level_too_high", "quantiles")


def test_a_forecast_without_a_correction_has_its_median_as_mean(acme: Caller) -> None:
    one = shop(acme.forecast())
    assert one["mean"] == one["median"] == [13, 16, 7]
    assert (one["quantiles"], acme.forecast()["bounds"]) == ({}, None)


def test_sums_of_the_mean_exceed_sums_of_the_median_where_the_backtest_says_so(counts: Caller) -> None:
    history = columns([row for i in range(5) for row in series(f"s{i}", [0, 0, 4, 0])])
    answer = counts.forecast(history=history)
    total = {name: np.sum([one[name] for one in answer["forecasts"]]) for name in ("median", "mean")}
    assert total["mean"] > total["median"] > 0
