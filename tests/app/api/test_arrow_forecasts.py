"""POST /v1/forecasts in Arrow: the same request and the same answer, as tables."""

import gzip
import json
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from app.formats import ARROW
from tests.app.api.conftest import Caller, House, forecast_request
from tests.app.api.tables import arrow, columns, series, stream
from tests.fakes import says_price

ROWS = series("shop", [4, 6, 8, 10]) + series("kiosk", [1, 2, 3, 5])
TABLE = arrow(**columns(ROWS))


def ask(caller: Caller, query: str = "model=demand", data: bytes = TABLE, **headers: str) -> httpx.Response:
    sent = {"content-type": ARROW, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return caller.ask("POST", f"/v1/forecasts?{query}", content=data, headers=sent)


def table_of(answer: httpx.Response) -> Any:
    assert (answer.status_code, answer.headers["content-type"]) == (200, ARROW), answer.text
    table = pa.ipc.open_stream(answer.content).read_all()
    table.validate(full=True)
    return table


def test_an_arrow_body_is_forecast_like_the_same_rows_in_json(acme: Caller) -> None:
    inline = acme.forecast(history=columns(ROWS), levels=[80, 50], horizon=2)
    answer = ask(acme, "model=demand&levels=80,50&horizon=2")
    assert (answer.status_code, answer.json()) == (200, inline)


def test_the_answer_can_be_arrow_for_any_form_of_request(acme: Caller) -> None:
    whole = acme.forecast(history=columns(ROWS), levels=[80])
    request = forecast_request(history=columns(ROWS), levels=[80])
    asked_in_json = acme.ask("POST", "/v1/forecasts", json=request, headers={"accept": ARROW})
    asked_in_arrow = ask(acme, accept=ARROW)
    assert asked_in_json.content == asked_in_arrow.content
    table = table_of(asked_in_arrow)
    assert table.schema.names == ["unique_id", "ds", "median", "mean", "lo-80", "hi-80"]
    assert table["unique_id"].to_pylist() == ["shop"] * 3 + ["kiosk"] * 3
    assert table["mean"].to_pylist() == [value for one in whole["forecasts"] for value in one["mean"]]
    assert table["hi-80"].to_pylist() == [value for one in whole["forecasts"] for value in one["intervals"]["80"]["hi"]]
    assert [moment.isoformat() for moment in table["ds"].to_pylist()] == [
        ds for one in whole["forecasts"] for ds in one["ds"]
    ]
    facts = json.loads(table.schema.metadata[b"forecastle"])
    assert facts == {name: value for name, value in whole.items() if name != "forecasts"}


@pytest.mark.parametrize("utc", [True, False])
def test_timestamps_have_the_zone_of_the_history(acme: Caller, utc: bool) -> None:
    ds = pa.array(np.array([f"2026-01-0{day}" for day in (1, 2, 3, 4)], "datetime64[us]"))
    zoned = ds.cast(pa.timestamp("us", "UTC" if utc else None))
    data = arrow(unique_id=["a"] * 4, ds=zoned, y=[4.0, 6.0, 8.0, 10.0])
    table = table_of(ask(acme, "model=demand&levels=", data, accept=ARROW))
    assert table.schema.field("ds").type == pa.timestamp("us", "UTC" if utc else None)
    assert table["ds"].cast(pa.int64()).to_pylist()[0] == 1767571200000000  # 2026-01-05
    assert table["mean"].to_pylist() == [13, 16, 7]


def test_rows_without_a_value_hold_future_covariates(house: House) -> None:
    house.register(says_price(), model="demand")
    rows = {"unique_id": ["a"] * 7, "ds": [f"2026-01-0{day}" for day in range(1, 8)]}
    y, price = [4.0, 6.0, 8.0, 10.0, None, None, None], [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0]
    ahead = ask(house.acme, data=arrow(**rows, y=y, price=price)).json()["forecasts"][0]
    assert ahead["ds"][0] == "2026-01-05T00:00:00"
    less = arrow(**{name: column[:4] for name, column in rows.items()}, y=y[:4], price=price[:4])
    refused = ask(house.acme, data=less).json()
    assert (refused["code"], refused["errors"][0]["code"]) == ("invalid_input", "missing_future")


@pytest.mark.parametrize(
    ("query", "data", "status", "code", "first"),
    [
        ("", TABLE, 422, "invalid_request", {"field": "model", "code": "missing"}),
        ("model=demand&horizon=0", TABLE, 422, "invalid_request", {"field": "horizon", "code": "greater_than_equal"}),
        ("model=demand&levels=0", TABLE, 422, "invalid_request", {"field": "levels.0", "code": "greater_than_equal"}),
        ("model=demand&y=1", TABLE, 422, "invalid_request", {"field": "y", "code": "extra_forbidden"}),
        ("model=x", TABLE, 404, "not_found", {}),
        ("model=demand&freq=h", TABLE, 422, "invalid_input", {"code": "gap_too_long"}),
        ("model=demand&horizon=51", TABLE, 422, "invalid_input", {"code": "horizon_too_long"}),
        ("model=demand", TABLE[:-8], 422, "invalid_input", {"code": "bad_arrow"}),
        ("model=demand", b"{}", 422, "invalid_input", {"code": "bad_arrow"}),
        ("model=demand", b"", 422, "invalid_input", {"code": "bad_arrow"}),
        ("model=demand", arrow(unique_id=["a"], ds=["x"]), 422, "invalid_input", {"code": "missing_column"}),
        ("model=demand", arrow(**columns(series("a", range(501)))), 422, "invalid_input", {"code": "too_many_rows"}),
        (
            "model=demand",
            arrow(**columns([*ROWS[:2], ("shop", "2026-01-02", 8)])),
            422,
            "invalid_input",
            {"code": "duplicate_timestamp", "row": 3},
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_are_json(acme: Caller, query: str, data: bytes, status: int, code: str, first: dict[str, Any]) -> None:
    problem = ask(acme, query, data, accept=ARROW).json()
    errors = problem["errors"][0] if problem["errors"] else {}
    assert (problem["status"], problem["code"]) == (status, code)
    assert {name: errors.get(name) for name in first} == first


def test_other_answers_are_refused(acme: Caller) -> None:
    answer = acme.ask("POST", "/v1/forecasts", json=forecast_request(), headers={"accept": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_arrow_may_be_compressed_both_ways(acme: Caller) -> None:
    plain = ask(acme, accept=ARROW)
    packed = ask(acme, data=gzip.compress(TABLE), accept=ARROW, content_encoding="gzip", accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    buffers = ask(acme, data=stream(pa.ipc.open_stream(TABLE).read_all(), compression="zstd"), accept=ARROW)
    assert buffers.content == plain.content


def test_it_is_documented(acme: Caller) -> None:
    operation = acme.get("/openapi.json")["paths"]["/v1/forecasts"]["post"]
    assert {"application/json", ARROW} == set(operation["requestBody"]["content"])
    assert {"application/json", ARROW} == set(operation["responses"]["200"]["content"])
    assert {"model", "horizon", "levels"} <= {parameter["name"] for parameter in operation["parameters"]}
    assert "406" in operation["responses"]


def test_data_sets_may_come_as_arrow(acme: Caller) -> None:
    headers = {"content-type": ARROW}
    made = acme.ask("POST", "/v1/datasets?name=table", content=TABLE, headers=headers)
    assert (made.status_code, made.json()["rows_total"]) == (201, 8)
    more = arrow(**columns(series("shop", [12], "2026-01-05")))
    added = acme.ask("POST", "/v1/datasets/table/rows", content=more, headers=headers)
    assert (added.status_code, added.json()["rows_added"]) == (201, 1)
