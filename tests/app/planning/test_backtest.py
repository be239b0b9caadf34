"""Requests of the kind ``backtest``."""

from dataclasses import replace
from typing import Any

import pytest

from app.planning.backtest import BacktestPayload
from app.planning.job_kind import PinnedVersion
from app.problems import NotFound
from tests.app.planning.conftest import PlanningRoom
from tests.fakes import says
from tests.models.samples import panel_of


@pytest.fixture(name="ups")
def ups_fixture(room: PlanningRoom) -> PlanningRoom:
    """The data set ``sales``: 60 days; the version ``demand@1`` forecasts two steps."""
    room.store("sales", panel_of([float(day) for day in range(60)]))
    room.register(says(1, 2))
    return room


def request(**changes: Any) -> dict[str, Any]:
    return {"kind": "backtest", "version": "demand@champion", "dataset": "sales", **changes}


def test_horizon_and_season_are_those_of_the_version(ups: PlanningRoom) -> None:
    job = ups.plan(**request(baselines=["ets", "ets"], windows="csv"))
    payload = BacktestPayload.from_json(job.request)
    assert (job.kind, job.model) == ("backtest", "demand")
    assert payload.version is not None
    assert (payload.version.name, payload.version.reference) == ("demand@champion", "demand@1")
    assert (payload.horizon, payload.season, payload.baselines, payload.windows) == (2, 1, ("ets",), "csv")
    assert BacktestPayload.from_json(ups.plan(**request(horizon=3)).request).horizon == 3


def test_without_a_version_seasonal_naive_is_scored_with_the_season_of_the_data(ups: PlanningRoom) -> None:
    job = ups.plan(**request(version=None, horizon=4))
    payload = BacktestPayload.from_json(job.request)
    assert (job.model, payload.version, payload.horizon, payload.season) == ("seasonal_naive", None, 4, 7)


def test_data_on_which_the_version_cannot_be_scored_are_refused(ups: PlanningRoom) -> None:
    ups.register(says(1, 2, freq="h"), model="hourly")
    ups.register(says(1, 2, past_covariates=("price",)), model="priced")
    assert ups.refusal(**request(horizon=5_000)).code == "too_short"
    fault = ups.refusal(**request(version="hourly@1"))
    assert (fault.field, fault.message) == ("version", "hourly@1 has frequency h, the data D")
    assert ups.refusal(**request(version="priced@1")).code == "missing_covariate"


def test_a_version_or_data_set_that_does_not_exist_is_not_found(ups: PlanningRoom) -> None:
    for changes in ({"version": "demand@9"}, {"dataset": "nothing"}, {"revision": 2}):
        with pytest.raises(NotFound):
            ups.plan(**request(**changes))


def test_a_stored_payload_is_read_as_it_was_written() -> None:
    payload = BacktestPayload(
        version=PinnedVersion("demand@champion", 3, 17), horizon=4, season=7, baselines=("theta",), windows=None
    )
    assert payload.to_json() == {
        "version": {"name": "demand@champion", "number": 3, "id": 17},
        "horizon": 4,
        "season": 7,
        "baselines": ["theta"],
        "windows": None,
    }
    assert BacktestPayload.from_json(payload.to_json()) == payload


def test_a_backtest_of_more_values_than_a_file_may_have_is_refused_if_it_writes_one(ups: PlanningRoom) -> None:
    small = replace(ups, settings=ups.settings.model_copy(update={"max_job_points": 10}))
    fault = small.refusal(**request(windows="csv"))
    assert (fault.code, fault.field) == ("file_too_large", "horizon")
    small.plan(**request())
