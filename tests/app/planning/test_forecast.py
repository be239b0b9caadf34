"""Requests of the kind ``forecast``: batch forecasts."""

import json
from dataclasses import replace
from typing import Any

import pytest

from app.planning.forecast import KIND, ForecastPayload
from app.planning.job_kind import PinnedVersion
from app.problems import NotFound, QuotaExceeded
from app.store import artifacts, jobs
from app.store.artifacts import NewPart
from app.store.job_limits import DEFAULT_LIMITS, JobLimits
from models.data.bounds import Bounds
from models.errors import InputError
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
    assert (payload.levels, payload.ids, payload.ids_total, payload.positions) == ((50, 95), ("s1", "s0"), 2, (1, 0))


def test_a_job_stores_and_shows_a_few_of_many_ids_and_selects_all(room: PlanningRoom) -> None:
    panel = panel_of(*[[float(day) for day in range(20)]] * 2_000)
    room.store("wide", panel)
    room.register(says(1, 2))
    names = [f"s{number}" for number in range(1_999, -1, -2)]
    job = room.plan(**request(dataset="wide", ids=names))
    payload = ForecastPayload.from_json(job.request)
    assert payload.select(panel).ids == tuple(names)
    order = KIND.details(job.request).order
    assert order is not None
    assert (order["ids"], order["ids_total"]) == (names[:5], 1_000)
    assert "positions" not in order
    assert len(json.dumps(job.request)) < 8_000  # 1,000 positions of up to four digits


def test_a_job_of_an_earlier_release_has_all_its_ids() -> None:
    panel = panel_of(*[[1.0, 2.0]] * 8)
    stored = ForecastPayload(
        version=PinnedVersion("demand@1", 1, 5), horizon=4, levels=(80,), format="csv", ids=panel.ids[::-1]
    ).to_json()
    old = {name: value for name, value in stored.items() if name not in ("ids_total", "positions")}
    assert ForecastPayload.from_json(old).select(panel).ids == panel.ids[::-1]
    order = KIND.details(old).order
    assert order is not None
    assert (order["ids"], order["ids_total"]) == (["s7", "s6", "s5", "s4", "s3"], 8)


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
        "ids_total": None,
        "positions": None,
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


def test_a_job_of_more_values_than_a_file_may_have_is_refused(ups: PlanningRoom) -> None:
    # Two series of 5 steps, each with median, mean and one interval: 2 x 5 x 4 = 40 values.
    small = replace(ups, settings=ups.settings.model_copy(update={"max_job_points": 39}))
    fault = small.refusal(**request(horizon=5))
    assert (fault.code, fault.field) == ("file_too_large", "horizon")
    assert fault.message == "the file of 2 forecasts of 5 steps with 4 numbers each has 40"
    assert "at most 39 a job (FORECASTLE_MAX_JOB_POINTS)" in fault.hint
    ForecastPayload.from_json(small.plan(**request(horizon=5, levels=[])).request)  # 20 values


def test_a_job_of_more_arithmetic_than_one_job_may_need_is_refused(ups: PlanningRoom) -> None:
    spec = replace(says(1, 2).spec, units=1_024)
    # The default limit is 10^14 operations; a forecast of this spec needs over 10^8, so 10^7 of them need too much.
    payload = ForecastPayload(version=PinnedVersion("demand@1", 1, 5), horizon=50, levels=(), format="csv")
    with pytest.raises(InputError, match="FORECASTLE_MAX_JOB_GFLOP"):
        payload.check(JobLimits(max_points=10**12), [spec], 10**7)


def test_a_job_is_refused_while_the_files_of_its_tenant_are_at_their_limit(ups: PlanningRoom) -> None:
    with ups.database.write() as session:
        job = jobs.enqueue(session, ups.plan(**request()))
        held = jobs.claim(session, "w1", 60)
        assert held is not None
        begun = artifacts.begin(session, held, "forecast.parquet", "application/vnd.apache.parquet")
        artifacts.add_part(session, held, NewPart(begun, 1, b"x" * 2_000), DEFAULT_LIMITS)
    assert held.id == job.id
    full = replace(ups, settings=ups.settings.model_copy(update={"max_stored_artifact_bytes": 2_000}))
    with pytest.raises(QuotaExceeded) as caught:
        full.plan(**request())
    assert caught.value.faults[0].message == "the files of your jobs have 2000 bytes, and 2000 are allowed"
    ups.plan(**request())
