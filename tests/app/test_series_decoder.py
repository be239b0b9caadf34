"""The fast decoder of series: it accepts nothing that the schema refuses, and reads the same values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.schemas.forecasts import ForecastRequest
from app.schemas.series_decoder import decode_series_request

ONE = {"start": "2026-01-01", "y": [1, 2.5, -3e5]}
NAMES = st.sampled_from(["demand", "a.B_c-9", "", "-a", "a\n", "a" * 129, "é"])
NUMBERS = st.one_of(st.integers(-5, 2**31), st.sampled_from([1.0, True, "1", 2**31 - 1, 10**30]))
VALUES = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.text(max_size=2))
SERIES = st.fixed_dictionaries(
    {"start": st.one_of(st.text(max_size=3), st.none()), "y": st.lists(VALUES, max_size=4)},
    optional={"unique_id": st.one_of(st.text(max_size=3), st.integers()), "more": st.none()},
)
REQUESTS = st.fixed_dictionaries(
    {"model": NAMES, "series": st.lists(st.one_of(SERIES, st.just(ONE)), max_size=3)},
    optional={
        "version": NUMBERS,
        "alias": NAMES,
        "horizon": NUMBERS,
        "levels": st.lists(st.one_of(st.integers(0, 100), st.just(80.0)), max_size=11),
        "quantiles": st.lists(st.sampled_from([0.1, 0.5, 0.9, 0.975, 0.3000000001, 0, 1, 0.001, 0.333, True, "0.1"])),
        "non_negative": st.sampled_from([True, False, None, 1, "true"]),
        "bounds": st.lists(st.sampled_from([None, 0, -1.5, 100, 1e101, True, "0"]), max_size=3) | st.none(),
        "freq": st.text(max_size=21),
        "session": NAMES,
        "dataset": st.none(),
        "history": st.just({"ds": ["2026-01-01"], "y": [1]}),
        "more": st.none(),
    },
)


def values(request: Any) -> dict[str, Any]:
    """The fields of a request, its series as plain values."""
    series = [(one.unique_id, one.start, list(one.y)) for one in request.series]
    return {name: getattr(request, name) for name in ForecastRequest.model_fields if name != "series"} | {
        "series": repr(series)  # NaN equals itself
    }


@given(REQUESTS)
def test_what_it_reads_the_schema_reads_as_the_same_request(request: dict[str, Any]) -> None:
    body = json.dumps(request).encode()
    found = decode_series_request(body)
    if found is not None:
        assert values(found) == values(ForecastRequest.model_validate_json(body))


@pytest.mark.parametrize(
    ("changes", "y"),
    [
        ({}, [1.0, 2.5, -3e5]),
        ({"series": [{**ONE, "y": [None, 2**60]}], "levels": [80, 95], "horizon": 3}, [None, float(2**60)]),
        ({"version": 1, "freq": "D", "session": "mine"}, [1.0, 2.5, -3e5]),
        ({"alias": "champion", "levels": []}, [1.0, 2.5, -3e5]),
        ({"quantiles": [0.1, 0.5, 0.90], "bounds": [-3e6, None], "non_negative": False}, [1.0, 2.5, -3e5]),
    ],
)
def test_good_requests_are_read(changes: dict[str, Any], y: list[float | None]) -> None:
    body = json.dumps({"model": "demand", "series": [ONE], **changes}).encode()
    found = decode_series_request(body)
    assert found is not None
    assert list((found.series or [])[0].y) == y
    assert values(found) == values(ForecastRequest.model_validate_json(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"model": "a", "series": []}',
        b'{"model": "a", "series": [{"start": "2026-01-01", "y": [1e400]}]}',
        b'{"model": "a", "series": [{"start": "2026-01-01", "y": [NaN]}]}',
        b'{"model": "a\\n", "series": [{"start": "2026-01-01", "y": [1]}]}',
        b'{"model": "a", "series": [{"start": "\xff", "y": [1]}]}',
        b'{"model": "a", "series": [{"start": "2026-01-01", "y": [1]}], "levels": [80, 80]}',
        b'{"model": "a", "series": [{"start": "2026-01-01", "y": [1]}], "version": 1, "alias": "b"}',
        b'{"model": "a", "dataset": {"name": "b"}}',
    ],
)
def test_everything_else_is_left_to_the_schema(body: bytes) -> None:
    assert decode_series_request(body) is None


def test_the_schema_refuses_more_than_the_decoder() -> None:
    with pytest.raises(ValidationError):
        ForecastRequest.model_validate_json(b'{"model": "a\\n", "series": [{"start": "2026-01-01", "y": [1]}]}')
