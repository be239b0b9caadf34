"""Shadow forecasts: which challenger makes them, how often, and that none can fail a request."""

from concurrent.futures import Future

import pytest

from app.problems import NotFound, Unavailable
from app.serving.forecast_log import LogSource
from app.serving.model_cache import LoadedModel
from app.serving.shadows import REFRESH_S, ShadowForecaster
from tests.fakes import says
from tests.models.samples import panel_of, ready_of

SOURCE = LogSource(tenant_id=7, model="demand", version_id=3, season=1, scales=None, dataset_id=5, revision=2)
PANEL = panel_of([4.0, 6.0, 8.0, 10.0])


class House:
    """Registry of one challenger and a clock, both set by the test."""

    def __init__(self, challenger: int | None = 9, error: Exception | None = None) -> None:
        self.challenger, self.error, self.now_s, self.asked = challenger, error, 100.0, 0
        self.shadows = ShadowForecaster(self.find, self.load, lambda: self.now_s)

    def find(self, tenant_id: int, model: str) -> int | None:
        assert (tenant_id, model) == (7, "demand")
        self.asked += 1
        return self.challenger

    def load(self, tenant_id: int, version_id: int) -> "Future[LoadedModel]":
        loading: Future[LoadedModel] = Future()
        made = says(2, 2, 2)
        if self.error is not None:
            loading.set_exception(self.error)
        else:
            loading.set_result(LoadedModel(made, ready_of(*made.members[0][:2]), 1))
        return loading


def test_a_challenger_forecasts_the_series_of_the_request() -> None:
    other = House().shadows.forecast(SOURCE, PANEL, 2)
    assert other is not None
    assert (other.version_id, other.prediction.median.shape) == (9, (1, 2))


@pytest.mark.parametrize("challenger", [None, 3])
def test_without_another_challenger_there_is_no_shadow_forecast(challenger: int | None) -> None:
    assert House(challenger).shadows.forecast(SOURCE, PANEL, 3) is None


def test_the_challenger_is_looked_up_every_few_seconds() -> None:
    house = House()
    for _ in range(5):
        house.shadows.forecast(SOURCE, PANEL, 3)
    assert house.asked == 1
    house.now_s += REFRESH_S
    house.shadows.forecast(SOURCE, PANEL, 3)
    assert house.asked == 2


@pytest.mark.parametrize("error", [NotFound("no version"), Unavailable("the service stops"), TimeoutError()])
def test_a_challenger_that_cannot_be_loaded_is_skipped_for_a_while(error: Exception) -> None:
    house = House(error=error)
    assert house.shadows.forecast(SOURCE, PANEL, 3) is None
    house.error = None
    assert house.shadows.forecast(SOURCE, PANEL, 3) is None
    house.now_s += REFRESH_S
    assert house.shadows.forecast(SOURCE, PANEL, 3) is not None


def test_a_series_that_a_challenger_cannot_forecast_is_no_error() -> None:
    hours = panel_of([4.0, 6.0, 8.0, 10.0], freq="h")
    assert House().shadows.forecast(SOURCE, hours, 3) is None


def test_a_large_shadow_forecast_is_followed_by_a_pause() -> None:
    house, many = House(), panel_of(*([4.0, 6.0, 8.0, 10.0] for _ in range(20)))
    assert house.shadows.forecast(SOURCE, many, 5_000) is not None
    assert house.shadows.forecast(SOURCE, PANEL, 3) is None
    house.now_s += 1
    assert house.shadows.forecast(SOURCE, PANEL, 3) is not None
