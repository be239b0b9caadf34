"""Properties of forecasts for every history: permutations, batches, repetitions, order of levels."""

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app.api.conftest import Caller, House, forecast_request, open_house
from tests.app.api.tables import columns, series
from tests.fakes import random_forecaster

NUMBERS = st.floats(-1e9, 1e9, allow_subnormal=False).map(lambda value: round(value, 3))
HISTORIES = st.lists(st.lists(NUMBERS, min_size=4, max_size=7), min_size=1, max_size=5)
few = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def caller(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Return a caller whose model has random weights, so that its forecast depends on every input."""
    with open_house(sqlite_template, tmp_path_factory.mktemp("house")) as house:
        house.register(random_forecaster(season=2))
        yield house.acme


def history(values: list[list[float]]) -> dict[str, list[object]]:
    return columns([row for i, y in enumerate(values) for row in series(f"s{i}", y)])


@few
@given(HISTORIES)
def test_a_batch_gives_the_forecasts_of_its_series_one_by_one(caller: Caller, values: list[list[float]]) -> None:
    together = caller.forecast(history=history(values))["forecasts"]
    for i, y in enumerate(values):
        (alone,) = caller.forecast(history=columns(series(f"s{i}", y)))["forecasts"]
        assert alone["ds"] == together[i]["ds"]
        size = max(map(abs, y)) + 1
        assert alone["mean"] == pytest.approx(together[i]["mean"], rel=1e-6, abs=1e-6 * size)


@few
@given(HISTORIES, st.randoms())
def test_the_order_of_the_series_changes_only_the_order(caller: Caller, values: list[list[float]], rng: object) -> None:
    groups = [series(f"s{i}", y) for i, y in enumerate(values)]
    shuffled = list(groups)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    answers = [
        {
            one["unique_id"]: one
            for one in caller.forecast(history=columns(list(chain.from_iterable(order))))["forecasts"]
        }
        for order in (groups, shuffled)
    ]
    assert answers[0].keys() == answers[1].keys()
    for name, one in answers[0].items():
        # Rows of another place in the batch may be summed in another order.
        size = max(abs(value) for group in groups for _, _, value in group) + 1
        assert one["mean"] == pytest.approx(answers[1][name]["mean"], rel=1e-6, abs=1e-6 * size)


@few
@given(HISTORIES)
def test_the_same_request_twice_gives_the_same_bytes(caller: Caller, values: list[list[float]]) -> None:
    request = {"json": forecast_request(history=history(values), levels=[80, 95])}
    first, second = (caller.ask("POST", "/v1/forecasts", **request) for _ in range(2))
    assert first.content == second.content


@few
@given(HISTORIES, st.lists(st.integers(1, 99), min_size=2, max_size=3, unique=True), st.integers(1, 8))
def test_intervals_are_nested_and_every_number_is_finite(
    caller: Caller, values: list[list[float]], levels: list[int], horizon: int
) -> None:
    answer = caller.forecast(history=history(values), levels=levels, horizon=horizon)
    for one in answer["forecasts"]:
        assert len(one["ds"]) == len(one["mean"]) == horizon
        inner = {"lo": one["mean"], "hi": one["mean"]}
        for level in sorted(levels):
            outer = one["intervals"][str(level)]
            assert all(o <= i for o, i in zip(outer["lo"], inner["lo"], strict=True))
            assert all(o >= i for o, i in zip(outer["hi"], inner["hi"], strict=True))
            assert all(map(math.isfinite, outer["lo"] + outer["hi"]))
            inner = outer


def test_the_answer_follows_shift_and_scale(caller: Caller) -> None:
    y = [4.0, 6.0, 5.0, 10.0, 7.0]
    plain = caller.forecast(history=history([y]))["forecasts"][0]["mean"]
    moved = caller.forecast(history=history([[100 + 8 * value for value in y]]))["forecasts"][0]["mean"]
    assert moved == pytest.approx([100 + 8 * value for value in plain], rel=1e-5)


def test_only_the_newest_points_change_the_forecast(caller: Caller) -> None:
    long, short = [1.0, 99.0, 4.0, 6.0, 5.0, 10.0], [4.0, 6.0, 5.0, 10.0]
    answers = [caller.forecast(history=history([y]))["forecasts"][0]["mean"] for y in (long, short)]
    assert answers[0] == answers[1]


def test_each_tenant_has_its_own_model_of_a_name(house: House) -> None:
    house.register(random_forecaster(1))
    house.register(random_forecaster(2), tenant="rival")
    mine, theirs = (caller.forecast()["model"]["sha256"] for caller in (house.acme, house.rival))
    assert mine != theirs
