"""Requests of the kind ``forecast``: batch forecasts."""

from dataclasses import replace
from typing import Any

import pytest

from app.planning.forecast import ForecastPayload
from app.planning.job_kind import PinnedVersion
from app.problems import NotFound
from models.data.bounds import Bounds
from tests.app.planning.conftest import PlanningRoom
from tests.fakes import says
from tests.models.samples import panel_of


@pytest.fixture(name="ups")
def ups_fixture(room: PlanningRoom) -> PlanningRoom:
    """The data set ``sales``: two series; the version ``demand@1`` forecasts two steps."""
    room.store("sales", panel_of(*[[float(day) for day in range(60)]] * 2))
    room.register(says(1, 2))
    return room


def request(**changes: Any) -> dict[str, Any]:
    return {"kind": "forecast", "version": "demand@champion", "dataset": "sales", **changes}


def test_fields_that_are_left_out_have_the_values_of_the_version_or_defaults(ups: PlanningRoom) -> None:
    job = ups.plan(**request())
    payload = ForecastPayload.from_json(job.request)
    assert (job.kind, job.model, payload.version.reference) == ("forecast", "demand", "demand@1")
    assert (payload.horizon, payload.levels, payload.format, payload.ids) == (2, (80,), "parquet", None)


def test_levels_are_sorted_and_series_keep_their_order(ups: PlanningRoom) -> None:
    payload = ForecastPayload.from_json(ups.plan(**request(levels=[95, 50, 95], ids=["s1", "s0", "s1"])).request)
    assert (payload.levels, payload.ids) == ((50, 95), ("s1", "s0"))


def test_a_forecast_that_the_version_cannot_make_is_refused(ups: PlanningRoom) -> None:
    fault = ups.refusal(**request(horizon=51))
    assert (fault.field, fault.hint) == ("horizon", "ask for at most 50, or raise FORECASTLE_MAX_HORIZON")
    assert ups.refusal(**request(ids=["s9"])).code == "unknown_series"
    ups.register(says(1, 2, freq="h"), model="hourly")
    assert ups.refusal(**request(version="hourly@1")).code == "other_frequency"


def test_a_version_or_data_set_that_does_not_exist_is_not_found(ups: PlanningRoom) -> None:
    for changes in ({"version": "demand@9"}, {"dataset": "nothing"}):
        with pytest.raises(NotFound):
            ups.plan(**request(**changes))


def test_a_stored_payload_is_read_as_it_was_written() -> None:
    payload = ForecastPayload(
        version=PinnedVersion("demand@1", 1, 5), horizon=4, levels=(80,), format="csv", ids=("s0", "s1")
    )
    assert payload.to_json() == {
        "version": {"name": "demand@1", "number": 1, "id": 5},
        "horizon": 4,
        "levels": [80],
        "format": "csv",
        "ids": ["s0", "s1"],
        "quantiles": [],
        "bounds": None,
    }
    assert ForecastPayload.from_json(payload.to_json()) == payload
    asked = replace(payload, quantiles=(0.1, 0.5), bounds=Bounds(lo=0.0))
    assert asked.to_json()["bounds"] == [0.0, None]
    assert ForecastPayload.from_json(asked.to_json()) == asked


def test_a_payload_of_an_earlier_release_has_neither_quantiles_nor_bounds() -> None:
    stored = {
        "version": {"name": "demand@1", "number": 1, "id": 5},
        "horizon": 4,
        "levels": [80],
        "format": "csv",
        "ids": None,
    }
    payload = ForecastPayload.from_json(stored)
    assert (payload.ids, payload.quantiles, payload.bounds) == (None, (), None)


@pytest.mark.parametrize(
    ("changes", "bounds"),
    [
        ({}, None),
        ({"non_negative": True}, Bounds(lo=0.0)),
        ({"non_negative": False}, Bounds()),
        ({"bounds": [None, 100]}, Bounds(hi=100.0)),
        ({"bounds": [-5, 100], "non_negative": True}, Bounds(0.0, 100.0)),
    ],
)
def test_bounds_of_a_request_replace_those_of_the_version(
    ups: PlanningRoom, changes: dict[str, Any], bounds: Bounds | None
) -> None:
    assert ForecastPayload.from_json(ups.plan(**request(**changes)).request).bounds == bounds


def test_bounds_that_the_data_are_out_of_are_refused_with_each_series(ups: PlanningRoom) -> None:
    fault = ups.refusal(**request(bounds=[0, 50]))
    assert (fault.code, fault.field, fault.unique_id) == ("out_of_bounds", "bounds", "s0")
    assert fault.message == "the history has the value 59, which is above 50"
    room_of_minus = panel_of([float(day - 3) for day in range(60)])
    ups.store("balance", room_of_minus)
    fault = ups.refusal(**request(dataset="balance", non_negative=True))
    assert (fault.field, fault.message) == ("non_negative", "the history has the value -3, which is below 0")
    assert "leave them out" in fault.hint
