"""Forecasts as lines and as Arrow: the same numbers as everywhere, and an end that cannot be missed."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from app.formats import ArrowStream, LineStream, forecast_to_arrow
from models.data.calendar import parse_freq
from models.evaluation.intervals import Interval
from models.forecasting.forecast import Forecast, Note

MEAN = np.array([[13.0, 16.0, 0.1 + 0.2], [1e-300, -2.5, 7.0]])
NOTES = (
    Note(code="beyond_trained_horizon", message="of all"),
    Note(code="short_history", message="of one", unique_id="kiösk"),
)
FACTS = {"model": {"name": "demand"}, "horizon": 3, "warnings": []}


def made(freq: str = "D", starts: tuple[str, ...] = ("2026-01-05", "2026-02-01"), **changes: Any) -> Forecast:
    """Three days of a shop and a kiosk."""
    whole = {
        "ids": ("shop", "kiösk"),
        "freq": parse_freq(freq),
        "starts": np.array(starts, "datetime64[us]"),
        "median": MEAN,
        "mean": MEAN + 0.25,
        "intervals": {80: Interval(MEAN - 1, MEAN + 1), 95: Interval(MEAN - 2, MEAN + 2)},
        "notes": NOTES,
    }
    return Forecast(**{**whole, **changes})


def lines(data: bytes) -> list[Any]:
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def test_lines_say_what_a_forecast_says() -> None:
    stream = LineStream()
    data = stream.begin(FACTS, made()) + stream.part(made()) + stream.end({"done": True, "series": 2})
    first, shop, kiosk, last = lines(data)
    assert (first, last) == (FACTS, {"done": True, "series": 2})
    assert shop == {
        "unique_id": "shop",
        "ds": ["2026-01-05T00:00:00", "2026-01-06T00:00:00", "2026-01-07T00:00:00"],
        "median": [13.0, 16.0, 0.1 + 0.2],
        "mean": [13.25, 16.25, 0.1 + 0.2 + 0.25],
        "intervals": {
            "80": {"lo": (MEAN[0] - 1).tolist(), "hi": (MEAN[0] + 1).tolist()},
            "95": {"lo": (MEAN[0] - 2).tolist(), "hi": (MEAN[0] + 2).tolist()},
        },
        "quantiles": {},
        "warnings": [],
    }
    assert (kiosk["unique_id"], kiosk["ds"][0], kiosk["median"]) == ("kiösk", "2026-02-01T00:00:00", MEAN[1].tolist())
    assert kiosk["warnings"] == [{"code": "short_history", "message": "of one", "unique_id": "kiösk"}]


@pytest.mark.parametrize("utc", [True, False])
@pytest.mark.parametrize(
    ("freq", "starts"),
    [
        ("D", ("2026-01-05", "2026-02-01")),
        ("15min", ("2026-01-05T23:45", "1999-12-31T23:30")),
        ("ME", ("2024-01-31", "2025-01-31")),
        ("B", ("2026-01-08", "2026-01-09")),
        ("ms", ("2026-01-05T00:00:00.998", "2026-01-05T00:00:01")),
        ("s", ("2026-01-05T00:00:00.25", "2026-01-05T00:00:01")),
        ("YS", ("1700-01-01", "2250-01-01")),
    ],
)
def test_timestamps_are_those_of_the_forecast(freq: str, starts: tuple[str, str], utc: bool) -> None:
    whole = made(freq, starts, utc=utc)
    said = lines(LineStream().part(whole))
    assert [line["ds"] for line in said] == [whole.stamps(0), whole.stamps(1)]
    table = pa.ipc.open_stream(forecast_to_arrow(whole, FACTS)).read_all()
    assert table.schema.field("ds").type == pa.timestamp("us", "UTC" if utc else None)
    times = np.concatenate([whole.times(0), whole.times(1)])
    assert table["ds"].cast(pa.int64()).to_pylist() == times.astype(np.int64).tolist()


def test_arrow_has_a_row_for_each_series_and_step() -> None:
    table = pa.ipc.open_stream(forecast_to_arrow(made(), FACTS)).read_all()
    table.validate(full=True)
    assert table.schema.names == ["unique_id", "ds", "median", "mean", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert table["unique_id"].to_pylist() == ["shop"] * 3 + ["kiösk"] * 3
    assert table["median"].to_pylist() == MEAN.ravel().tolist()
    assert table["mean"].to_pylist() == (MEAN + 0.25).ravel().tolist()
    assert table["lo-95"].to_pylist() == (MEAN - 2).ravel().tolist()
    assert json.loads(table.schema.metadata[b"forecastle"]) == FACTS


def test_parts_of_wider_arrays_are_written_as_they_are() -> None:
    """A forecast may be a view of one that was made for several requests."""
    wide = np.arange(20.0).reshape(2, 10)
    part = made(median=wide[:, :3], intervals={80: Interval(wide[:, 3:6], wide[:, 6:9])})
    table = pa.ipc.open_stream(forecast_to_arrow(part, FACTS)).read_all()
    assert table["median"].to_pylist() == [0, 1, 2, 10, 11, 12]
    assert table["lo-80"].to_pylist() == [3, 4, 5, 13, 14, 15]
    said = lines(LineStream().part(part))
    assert [line["median"] for line in said] == [[0, 1, 2], [10, 11, 12]]
    assert said[1]["intervals"]["80"] == {"lo": [13, 14, 15], "hi": [16, 17, 18]}


def batches(data: bytes) -> list[tuple[Any, Any]]:
    """Each record batch and its facts."""
    found = pa.ipc.open_stream(data).iter_batches_with_custom_metadata()
    return [(batch, json.loads(facts[b"forecastle"]) if facts else None) for batch, facts in found]


def test_an_arrow_stream_can_be_read_as_it_comes() -> None:
    stream, quiet = ArrowStream(), made(notes=())
    data = stream.begin(FACTS, quiet) + stream.part(quiet)
    assert pa.ipc.open_stream(data).read_next_batch().num_rows == 6  # all of the first part, before there is more
    data += stream.part(made()) + stream.end({"done": True, "series": 4})
    (_, nothing), (second, warned), (empty, last) = batches(data)
    assert (nothing, second.num_rows, empty.num_rows) == (None, 6, 0)
    assert warned == {"warnings": [{"code": "short_history", "message": "of one", "unique_id": "kiösk"}]}
    assert last == {"done": True, "series": 4}
    assert pa.ipc.open_stream(data).read_all().num_rows == 12
    assert json.loads(pa.ipc.open_stream(data).schema.metadata[b"forecastle"]) == FACTS


def test_an_arrow_stream_that_failed_is_whole_for_no_reader() -> None:
    stream = ArrowStream()
    data = stream.begin(FACTS, made()) + stream.part(made()) + stream.end({"error": {"code": "model_broken"}})
    reader, told = pa.ipc.open_stream(data).iter_batches_with_custom_metadata(), []
    with pytest.raises(pa.ArrowInvalid):
        told.extend(reader)
    assert [batch.num_rows for batch, _ in told] == [6, 0]
    assert json.loads(told[1][1][b"forecastle"]) == {"error": {"code": "model_broken"}}
    with pytest.raises(pa.ArrowInvalid):
        pa.ipc.open_stream(data).read_all()


def test_the_quantiles_asked_for_have_a_column_each_and_a_place_in_every_line() -> None:
    forecast = made(intervals={}, quantiles={0.1: MEAN - 1, 0.975: MEAN + 2})
    table = pa.ipc.open_stream(forecast_to_arrow(forecast, {})).read_all()
    assert table.schema.names == ["unique_id", "ds", "median", "mean", "q-0.1", "q-0.975"]
    assert table["q-0.975"].to_pylist() == (MEAN + 2).ravel().tolist()
    line = lines(LineStream().part(forecast))[0]
    assert line["quantiles"] == {"0.1": (MEAN[0] - 1).tolist(), "0.975": (MEAN[0] + 2).tolist()}


def test_without_levels_there_are_median_and_mean_alone() -> None:
    table = pa.ipc.open_stream(forecast_to_arrow(made(intervals={}), {})).read_all()
    assert table.schema.names == ["unique_id", "ds", "median", "mean"]
    assert lines(LineStream().part(made(intervals={})))[0]["intervals"] == {}
