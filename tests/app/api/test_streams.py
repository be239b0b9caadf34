"""POST /v1/forecasts/stream: the content of one answer in any number of lines or batches."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from app.forecasting import forecast
from app.formats import ARROW, LINES
from app.problems import TooManyRequests
from app.schemas.streams import StreamedSeries, StreamEnd, StreamHead
from tests.app.api.conftest import Caller, House, forecast_request, open_house
from tests.app.api.tables import arrow, columns, series
from tests.fakes import random_forecaster, says

PATH = "/v1/forecasts/stream"
SALES: dict[str, Any] = {"dataset": {"name": "sales"}}


def ask(caller: Caller, accept: str | None = None, **changes: Any) -> httpx.Response:
    headers = {} if accept is None else {"accept": accept}
    return caller.ask("POST", PATH, json=forecast_request(**changes), headers=headers)


def lines(caller: Caller, **changes: Any) -> list[Any]:
    """Return the lines of a stream that must succeed."""
    answer = ask(caller, **changes)
    assert (answer.status_code, answer.headers["content-type"]) == (200, LINES), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def batches(answer: httpx.Response) -> list[tuple[Any, Any]]:
    """Return the record batches of an Arrow stream, each with its metadata."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, ARROW), answer.text
    found = pa.ipc.open_stream(answer.content).iter_batches_with_custom_metadata()
    return [(batch, json.loads(facts[b"forecastle"]) if facts else None) for batch, facts in found]


def many(count: int, points: int = 4) -> Any:
    """Return the history of ``count`` series; the i-th is at level 100 i."""
    return columns([row for i in range(count) for row in series(f"s{i}", [100 * i + day for day in range(points)])])


def test_lines_hold_the_same_as_one_answer(acme: Caller) -> None:
    whole = acme.forecast(**SALES, levels=[80, 50])
    head, *rows, end = lines(acme, **SALES, levels=[80, 50])
    assert head == {name: value for name, value in whole.items() if name != "forecasts"}
    assert rows == [{**one, "warnings": []} for one in whole["forecasts"]]
    assert end == {"done": True, "series": 2}


def test_batches_hold_the_same_as_one_answer(acme: Caller) -> None:
    whole = acme.forecast(**SALES, levels=[80])
    answer = ask(acme, ARROW, **SALES, levels=[80])
    (batch, facts), (empty, last) = batches(answer)
    assert batch.schema.names == ["unique_id", "ds", "median", "mean", "lo-80", "hi-80"]
    assert batch["unique_id"].to_pylist() == ["shop"] * 3 + ["kiosk"] * 3
    assert [moment.isoformat() for moment in batch["ds"].to_pylist()] == [
        ds for one in whole["forecasts"] for ds in one["ds"]
    ]
    assert batch["mean"].to_pylist() == [value for one in whole["forecasts"] for value in one["mean"]]
    head = json.loads(pa.ipc.open_stream(answer.content).schema.metadata[b"forecastle"])
    assert head == {name: value for name, value in whole.items() if name != "forecasts"}
    assert (facts, empty.num_rows, last) == (None, 0, {"done": True, "series": 2})


@pytest.mark.parametrize("accept", [None, "*/*", LINES, f"text/html;q=0.9, {LINES};q=0.1", "application/*"])
def test_lines_are_the_default(acme: Caller, accept: str | None) -> None:
    assert ask(acme, accept, **SALES).headers["content-type"] == LINES


def test_other_media_types_are_refused(acme: Caller) -> None:
    answer = ask(acme, "application/json", **SALES)
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    assert all(kind in answer.json()["detail"] for kind in (LINES, ARROW))


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": {"name": "sales", "ids": ["kiosk"]}},
        {"dataset": {"name": "sales", "ids": ["kiosk", "shop"], "revision": 1}},
        {"version": 1, "horizon": 2, "levels": []},
        {"alias": "champion", "history": many(3)},
    ],
    ids=str,
)
def test_a_stream_takes_the_same_requests_as_one_answer(acme: Caller, changes: dict[str, Any]) -> None:
    head, *rows, end = lines(acme, **changes)
    whole = acme.forecast(**changes)
    assert [one["unique_id"] for one in rows] == [one["unique_id"] for one in whole["forecasts"]]
    assert [one["mean"] for one in rows] == [one["mean"] for one in whole["forecasts"]]
    assert (head["horizon"], end["series"]) == (whole["horizon"], len(rows))


def test_an_arrow_body_can_be_answered_by_a_stream(acme: Caller) -> None:
    rows = many(3)
    table = acme.ask("POST", f"{PATH}?model=demand&levels=", content=arrow(**rows), headers={"content-type": ARROW})
    assert table.content == ask(acme, history=rows, levels=[]).content


def test_the_size_of_an_answer_is_limited_and_that_of_a_stream_is_not(acme: Caller) -> None:
    """One answer may have 400 numbers, two series of 50 steps with one level; so a part has two series."""
    request = {"json": forecast_request(history=many(7), horizon=50)}
    assert acme.refused("POST", "/v1/forecasts", **request) == (422, "invalid_input", "answer_too_large")
    assert [line.get("unique_id") for line in lines(acme, history=many(7), horizon=50)[1:-1]] == [
        f"s{i}" for i in range(7)
    ]
    sizes = [batch.num_rows for batch, _ in batches(ask(acme, ARROW, history=many(7), horizon=50))]
    assert sizes == [100, 100, 100, 50, 0]


def test_the_limit_of_arithmetic_holds_for_a_part_and_not_for_the_stream(sqlite_template: Path, tmp_path: Path) -> None:
    # 10 passes of 4 steps of 6 x 1000 x 1002 operations are 0.24 billion: four series are one part
    with open_house(sqlite_template, tmp_path, max_forecast_gflop=1) as house:
        house.register(random_forecaster(strategy="iterative", units=1000))
        sizes = [batch.num_rows for batch, _ in batches(ask(house.acme, ARROW, history=many(9), horizon=10))]
        assert sizes == [40, 40, 10, 0]
        request = {"json": forecast_request(history=many(1), horizon=50)}
        assert house.acme.refused("POST", PATH, **request) == (422, "invalid_input", "too_much_work")


def test_general_warnings_are_in_the_head_and_those_of_a_series_beside_it(acme: Caller) -> None:
    history = columns(series("flat", [7] * 4) + series("gap", [1, None, 3, 5]) + series("s", [4, 6, 8, 10]))
    head, flat, gap, plain, _ = lines(acme, history=history, horizon=5)
    assert [warning["code"] for warning in head["warnings"]] == ["beyond_trained_horizon"]
    assert [(warning["code"], warning["unique_id"]) for warning in flat["warnings"]] == [("constant_history", "flat")]
    assert [warning["code"] for warning in gap["warnings"]] == ["missing_values"]
    assert plain["warnings"] == []
    (_, facts), _ = batches(ask(acme, ARROW, history=history, horizon=5))
    assert [(one["code"], one["unique_id"]) for one in facts["warnings"]] == [
        ("missing_values", "gap"),
        ("constant_history", "flat"),
    ]


@pytest.mark.parametrize("skill", [0.0, None])
def test_a_stream_of_a_version_without_skill_has_a_warning(house: House, skill: float | None) -> None:
    house.register(says(1, 2, -1), skill=skill)
    assert [warning["code"] for warning in lines(house.acme)[0]["warnings"]] == ["no_skill"]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"model": "x"}, (404, "not_found", None)),
        ({"dataset": {"name": "x"}}, (404, "not_found", None)),
        ({"dataset": {"name": "sales", "ids": ["x"]}}, (422, "invalid_input", "unknown_series")),
        ({"horizon": 51}, (422, "invalid_input", "horizon_too_long")),
        ({"horizon": 50, "levels": [50, 80, 90, 95]}, (422, "invalid_input", "answer_too_large")),
        ({"levels": [0]}, (422, "invalid_request", "greater_than_equal")),
        ({"levels": [99], "model": "few"}, (422, "invalid_input", "level_too_high")),
        ({"freq": "h"}, (422, "invalid_input", "gap_too_long")),
        ({"session": "till"}, (422, "invalid_input", "no_session")),
        (
            {"history": columns(series("b", [1, 2, 3, 5]) + series("a", [None] * 4))},
            (422, "invalid_input", "no_history"),
        ),
    ],
    ids=str,
)
def test_a_faulty_request_is_refused_before_the_first_line(
    house: House, acme: Caller, changes: dict[str, Any], refusal: tuple[int, str, str | None]
) -> None:
    house.register(says(1, 2, -1, count=9), model="few")
    assert acme.refused("POST", PATH, json=forecast_request(**changes)) == refusal


def test_a_fault_in_the_last_series_is_found_before_the_first_is_sent(acme: Caller) -> None:
    rows = [row for i in range(9) for row in series(f"s{i}", [1, 2, 3, 4] if i < 8 else [None] * 4)]
    request = {"json": forecast_request(history=columns(rows), horizon=50)}  # in parts of two
    assert acme.refused("POST", PATH, **request) == (422, "invalid_input", "no_history")


def test_a_broken_network_is_reported_by_the_status(house: House) -> None:
    made = random_forecaster(units=64)
    made.members[0].weights["head/kernel"][:] = 3e38  # type: ignore[index]
    house.register(made)
    assert house.acme.refused("POST", PATH, json=forecast_request()) == (500, "model_broken", None)


def test_an_error_after_the_first_part_is_the_last_line(
    house: House, acme: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check before the first line is switched off, so that the third part fails."""
    monkeypatch.setattr(forecast, "check_request", lambda *_: None)
    rows = [row for i in range(6) for row in series(f"s{i}", [1, 2, 3, 4] if i < 5 else [None] * 4)]
    changes = {"history": columns(rows), "horizon": 50}
    head, *rows, end = lines(acme, **changes)
    assert (head["horizon"], [one["unique_id"] for one in rows]) == (50, ["s0", "s1", "s2", "s3"])
    problem = end["error"]
    assert (problem["status"], problem["code"], problem["instance"]) == (422, "invalid_input", PATH)
    assert (problem["errors"][0]["code"], problem["errors"][0]["unique_id"]) == ("no_history", "s5")
    answer = ask(acme, ARROW, **changes)
    received = []
    with pytest.raises(pa.ArrowInvalid):
        received.extend(pa.ipc.open_stream(answer.content).iter_batches_with_custom_metadata())
    assert json.loads(received[-1][1][b"forecastle"])["error"]["code"] == "invalid_input"
    assert 'forecastle_forecasts_total{outcome="error"} 2.0' in house.operator.ask("GET", "/metrics").text


class Crowded:
    """Batcher whose queue is full for the first ``times`` forecasts."""

    def __init__(self, batcher: Any, times: int) -> None:
        self.batcher, self.times = batcher, times

    def put(self, *work: Any) -> Any:
        self.times -= 1
        if self.times >= 0:
            raise TooManyRequests("the queue is full")
        return self.batcher.put(*work)


def test_a_part_waits_where_a_single_request_is_refused(
    house: House, acme: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "RETRY_WAITS_S", (0.001, 0.001))
    service = house.app.state.service

    def crowd(times: int) -> None:
        """Let the queue be full for the first so many times."""
        door = replace(service.forecasting, batcher=Crowded(service.forecasting.batcher, times))
        monkeypatch.setitem(house.app.state._state, "service", replace(service, forecasting=door))

    crowd(2)
    assert lines(acme)[-1] == {"done": True, "series": 1}
    crowd(3)
    assert acme.refused("POST", PATH, json=forecast_request()) == (429, "too_many_requests", None)


def test_a_stream_without_a_free_slot_is_refused(house: House, acme: Caller) -> None:
    slots = house.app.state.service.stream_slots
    slots.each = 0
    answer = ask(acme)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "too_many_requests", "1")
    slots.each = 1
    assert lines(acme)[-1]["done"] is True
    assert lines(acme)[-1]["done"] is True  # given back


def test_streams_are_counted_with_their_series(house: House, acme: Caller) -> None:
    lines(acme, history=many(7), horizon=50)
    acme.ask("POST", PATH, json=forecast_request(model="x"))
    metrics = house.operator.ask("GET", "/metrics").text
    assert 'forecastle_forecasts_total{outcome="ok"} 1.0' in metrics
    assert 'forecastle_forecasts_total{outcome="error"} 1.0' in metrics
    assert "forecastle_forecast_series_total 7.0" in metrics


def test_a_key_with_scope_read_may_stream_and_another_tenant_finds_nothing(house: House, acme: Caller) -> None:
    assert lines(house.reader, **SALES)[-1]["series"] == 2
    assert house.rival.refused("POST", PATH, json=forecast_request(**SALES)) == (404, "not_found", None)
    nobody = Caller(house.client, "wrong")
    assert nobody.refused("POST", PATH, content=b"{") == (401, "unauthorized", None)


def test_a_stream_is_compressed_like_any_other_answer(acme: Caller) -> None:
    request = {"json": forecast_request(history=many(7), horizon=50)}
    plain, packed = (
        acme.ask("POST", PATH, **request, headers={"accept-encoding": coding}) for coding in ("identity", "gzip")
    )
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content  # the client has unpacked it
    assert packed.num_bytes_downloaded < plain.num_bytes_downloaded / 2


def test_it_is_documented(acme: Caller) -> None:
    document = acme.get("/openapi.json")
    operation = document["paths"][PATH]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ForecastRequest")
    content = operation["responses"]["200"]["content"]
    assert set(content) == {LINES, ARROW}
    named = [one["$ref"].split("/")[-1] for one in content[LINES]["schema"]["anyOf"]]
    assert named == ["StreamHead", "StreamedSeries", "StreamEnd", "StreamFailure"]
    assert set(named) <= set(document["components"]["schemas"])
    shown = [json.loads(line) for line in content[LINES]["example"].splitlines()]
    for kind, line in zip((StreamHead, StreamedSeries, StreamEnd), shown, strict=True):
        assert kind.model_validate(line).model_dump(mode="json") == {**line}
    assert {"401", "404", "406", "413", "422", "429", "500", "503"} <= set(operation["responses"])


def test_the_lines_fit_their_documented_schemas(acme: Caller) -> None:
    head, *rows, end = lines(acme, **SALES)
    checked: Sequence[Any] = [StreamHead.model_validate(head), *map(StreamedSeries.model_validate, rows)]
    assert [one.model_dump(mode="json") for one in checked] == [head, *rows]
    assert StreamEnd.model_validate(end).series == 2
