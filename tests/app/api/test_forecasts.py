import json
from pathlib import Path

import pytest
from sqlalchemy import update

from app.store.tables import Version
from models.forecasting import bundle
from models.network.sizes import forecast_flop
from tests.app.api.conftest import Caller, House, forecast_request, on_both, open_house
from tests.app.api.tables import columns, days, series
from tests.fakes import random_forecaster, report, says, seasonal_naive, together

# The history 4, 6, 8, 10: its level is the last value, 10; its spread is the mean of 6, 4, 2, 0, which is 3.
# The model says 1, 2, -1 spreads.


@on_both
def test_a_forecast_equals_the_one_worked_out_by_hand(house: House, acme: Caller) -> None:
    answer = acme.forecast(levels=[80, 50])
    (shop,) = answer["forecasts"]
    assert (shop["unique_id"], shop["mean"]) == ("shop", [13, 16, 7])
    assert shop["ds"] == ["2026-01-05T00:00:00", "2026-01-06T00:00:00", "2026-01-07T00:00:00"]
    # The radius of level 80 is 0.8 spreads, 2.4.
    assert shop["intervals"]["80"]["lo"] == pytest.approx([10.6, 13.6, 4.6])
    assert shop["intervals"]["80"]["hi"] == pytest.approx([15.4, 18.4, 9.4])
    assert shop["intervals"]["50"]["lo"] == [11.5, 14.5, 5.5]
    assert (answer["freq"], answer["horizon"], answer["warnings"]) == ("D", 3, [])


@on_both
def test_a_forecast_states_its_version_and_backtest(house: House) -> None:
    made = says(1, 2, -1)
    house.register(made)
    answer = house.acme.forecast()
    assert answer["model"] == {
        "name": "demand",
        "version": 1,
        "sha256": bundle.sha256(bundle.to_bytes(made)),
        "cell": "gru",
        "strategy": "direct",
        "members": 1,
        "trained_horizon": 3,
    }
    assert answer["skill"] == 0.25
    assert answer["backtest"] == {
        "skill": 0.25,
        "mase": 0.75,
        "seasonal_naive_mase": 1.0,
        "horizon": 3,
        "windows": 4,
        "coverage": {"80": 0.75, "95": None},
    }


@on_both
def test_inline_history_and_data_set_give_equal_forecasts(house: House, acme: Caller) -> None:
    inline = acme.forecast(history=columns(series("shop", [4, 6, 8, 10]) + series("kiosk", [1, 2, 3, 5])))
    assert acme.forecast(dataset={"name": "sales"}) == inline
    assert acme.forecast(dataset={"name": "sales", "revision": 1}) == inline
    kiosk = acme.forecast(dataset={"name": "sales", "ids": ["kiosk"]})
    assert kiosk["forecasts"] == inline["forecasts"][1:]
    # Level 5, spread (4 + 3 + 2 + 0) / 4 = 2.25.
    assert kiosk["forecasts"][0]["mean"] == [7.25, 9.5, 2.75]
    turned = acme.forecast(dataset={"name": "sales", "ids": ["kiosk", "shop"]})
    assert turned["forecasts"] == inline["forecasts"][::-1]


@pytest.mark.parametrize(
    ("freq", "past", "future"),
    [
        ("h", [f"2026-03-01T{h:02}:00" for h in (20, 21, 22, 23)], ["2026-03-02", "2026-03-02T01:00:00"]),
        (
            "15min",
            [f"2026-03-01T23:{m:02}:00Z" for m in (0, 15, 30, 45)],
            ["2026-03-02T00:00:00Z", "2026-03-02T00:15:00Z"],
        ),
        ("D", ["2028-02-25", "2028-02-26", "2028-02-27", "2028-02-28"], ["2028-02-29", "2028-03-01"]),
        ("B", ["2026-01-07", "2026-01-08", "2026-01-09", "2026-01-12"], ["2026-01-13", "2026-01-14"]),
        ("W", ["2026-12-06", "2026-12-13", "2026-12-20", "2026-12-27"], ["2027-01-03", "2027-01-10"]),
        ("MS", ["2026-09-01", "2026-10-01", "2026-11-01", "2026-12-01"], ["2027-01-01", "2027-02-01"]),
        ("ME", ["2027-10-31", "2027-11-30", "2027-12-31", "2028-01-31"], ["2028-02-29", "2028-03-31"]),
        ("QS", ["2026-01-01", "2026-04-01", "2026-07-01", "2026-10-01"], ["2027-01-01", "2027-04-01"]),
    ],
)
def test_the_timestamps_follow_the_history(house: House, freq: str, past: list[str], future: list[str]) -> None:
    house.register(says(1, 2, -1, freq=freq))
    history = {"ds": past, "y": [4, 6, 8, 10]}
    for given in (freq, None):
        answer = house.acme.forecast(history=history, freq=given, horizon=2)
        assert answer["freq"] == freq
        assert answer["forecasts"][0]["ds"] == [moment if "T" in moment else f"{moment}T00:00:00" for moment in future]
        assert answer["forecasts"][0]["unique_id"] == "series"


def test_fractions_of_a_second_are_kept(house: House) -> None:
    house.register(says(1, freq="s"))
    stamps = [f"2026-01-01T00:00:0{s}.250000" for s in range(4)]
    answer = house.acme.forecast(history={"ds": stamps, "y": [4, 6, 8, 10]}, freq="s")
    assert answer["forecasts"][0]["ds"] == ["2026-01-01T00:00:04.250000"]


def test_a_shorter_horizon_is_the_beginning_of_the_trained_one(acme: Caller) -> None:
    assert acme.forecast(horizon=1)["forecasts"][0]["mean"] == [13]
    assert acme.forecast(horizon=3) == acme.forecast()


def test_a_longer_horizon_is_rolled_forward_with_a_warning(acme: Caller) -> None:
    answer = acme.forecast(horizon=7)
    (shop,) = answer["forecasts"]
    # The network reads its own predictions: 10, 13, 16, 7 have the level 7 and the spread (3 + 6 + 9 + 0) / 4 = 4.5;
    # 7, 11.5, 16, 2.5 have the level 2.5 and the spread 6.75.
    assert shop["mean"] == [13, 16, 7, 11.5, 16, 2.5, 9.25]
    # Beyond step 3 the radius grows with the square root of the step: 2.4 * sqrt(6 / 3).
    assert shop["intervals"]["80"]["hi"][5] - 2.5 == pytest.approx(2.4 * 2**0.5)
    assert [(warning["code"], warning["unique_id"]) for warning in answer["warnings"]] == [
        ("beyond_trained_horizon", None)
    ]


def test_an_iterative_network_reads_its_own_predictions(house: House) -> None:
    house.register(says(2, strategy="iterative", horizon=1))
    # 6, 8, 10, 16 have the spread 6, and 8, 10, 16, 28 have 12.5.
    assert house.acme.forecast(horizon=3)["forecasts"][0]["mean"] == [16, 28, 53]


@on_both
def test_members_are_forecast_together(house: House) -> None:
    house.register(together(says(1, 2, -1), says(3, 2, 1)))
    answer = house.acme.forecast()
    assert answer["forecasts"][0]["mean"] == [16, 16, 10]  # level 10, spread 3, and the means 2, 2, 0
    assert answer["model"]["members"] == 2


def test_arithmetic_is_bounded_for_all_members_together(sqlite_template: Path, tmp_path: Path) -> None:
    one = says(0, 0, 0, units=64)
    steps = int(0.6e9 / forecast_flop(one.spec, 3)) * 3  # 0.6 billion operations for one, 1.2 for two
    limits = {"max_horizon": steps, "max_forecast_points": 2 * steps, "max_forecast_gflop": 1}
    with open_house(sqlite_template, tmp_path, **limits) as house:
        house.register(one)
        assert house.acme.forecast(horizon=steps, levels=[])["horizon"] == steps
        house.register(together(one, one))
        request = {"json": forecast_request(horizon=steps, levels=[])}
        assert house.acme.refused("POST", "/v1/forecasts", **request) == (422, "invalid_input", "too_much_work")


def test_a_backtest_that_the_parent_was_trained_on_has_a_warning(house: House, acme: Caller) -> None:
    with house.database.write() as session:
        session.execute(update(Version).values(scores=report(parent_knew_backtest=True).to_json()))
    assert [warning["code"] for warning in acme.forecast()["warnings"]] == ["optimistic_backtest"]


def test_intervals_whose_backtest_held_far_fewer_or_more_values_than_they_say_have_a_warning(
    house: House, acme: Caller
) -> None:
    with house.database.write() as session:
        off = report(coverage={"80": 0.47, "95": 0.9}).to_json()
        session.execute(update(Version).values(scores=off))
    (warning,) = acme.forecast()["warnings"]
    assert warning["code"] == "coverage_off"
    assert warning["message"] == "its intervals of 80 % held 47 % of the values in its backtest"


def test_a_served_baseline_has_a_warning(house: House) -> None:
    house.register(seasonal_naive(season=2), skill=0.0)
    answer = house.acme.forecast()
    assert answer["forecasts"][0]["mean"] == pytest.approx([8, 10, 8])
    assert [warning["code"] for warning in answer["warnings"]] == ["baseline_served"]


@pytest.mark.parametrize("skill", [0.0, -0.5, None])
def test_a_version_without_skill_has_a_warning(house: House, skill: float | None) -> None:
    house.register(says(1, 2, -1), skill=skill)
    answer = house.acme.forecast()
    assert answer["skill"] == skill
    assert [warning["code"] for warning in answer["warnings"]] == ["no_skill"]


def test_a_constant_history_is_repeated_with_a_warning(acme: Caller) -> None:
    answer = acme.forecast(history=columns(series("flat", [7] * 4) + series("shop", [4, 6, 8, 10])))
    flat, shop = answer["forecasts"]
    assert flat["mean"] == flat["intervals"]["80"]["lo"] == flat["intervals"]["80"]["hi"] == [7, 7, 7]
    assert shop["mean"] == [13, 16, 7]
    assert [(warning["code"], warning["unique_id"]) for warning in answer["warnings"]] == [("constant_history", "flat")]


@on_both
def test_version_and_alias_choose_the_version_that_answers(house: House) -> None:
    house.register(says(1, 2, -1))
    house.register(says(0, 0, 0), alias="challenger")
    house.register(says(5, 5, 5), alias=None)
    mean = {
        "champion": house.acme.forecast()["forecasts"][0]["mean"],
        "challenger": house.acme.forecast(alias="challenger")["forecasts"][0]["mean"],
        "third": house.acme.forecast(version=3)["forecasts"][0]["mean"],
    }
    assert mean == {"champion": [13, 16, 7], "challenger": [10, 10, 10], "third": [25, 25, 25]}
    assert house.acme.forecast(alias="challenger")["model"]["version"] == 2


def test_a_moved_alias_answers_at_once(house: House, acme: Caller) -> None:
    house.register(says(0, 0, 0), alias=None)
    assert acme.forecast()["model"]["version"] == 1
    acme.put("/v1/models/demand/aliases/champion", json={"version": 2})
    assert acme.forecast()["model"]["version"] == 2


def test_interleaved_rows_are_the_same_series(acme: Caller) -> None:
    shop, kiosk = series("shop", [4, 6, 8, 10]), series("kiosk", [1, 2, 3, 5])
    mixed = [row for pair in zip(shop, kiosk, strict=True) for row in pair]
    assert acme.forecast(history=columns(mixed)) == acme.forecast(history=columns(shop + kiosk))


@on_both
def test_a_refusal_of_a_missing_version_lists_the_existing_ones(house: House, acme: Caller) -> None:
    sayings = {
        "no model 'x'": {"model": "x"},
        "has no alias 'x'; aliases: champion": {"alias": "x"},
        "has no version 9; its versions are 1 to 1": {"version": 9},
        "no data set 'x'": {"dataset": {"name": "x"}},
        "has no revision 2; the newest is 1": {"dataset": {"name": "sales", "revision": 2}},
    }
    for words, changes in sayings.items():
        answer = acme.ask("POST", "/v1/forecasts", json=forecast_request(**changes))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert words in answer.json()["detail"]


def test_limits_hold_for_steps_and_for_values(acme: Caller) -> None:
    assert len(acme.forecast(horizon=50)["forecasts"][0]["mean"]) == 50
    assert (
        len(acme.forecast(horizon=50, dataset={"name": "sales"})["forecasts"]) == 2
    )  # with one level 400 numbers, the limit
    for horizon, code in [(51, "horizon_too_long"), (10**30, "horizon_too_long"), (2**63, "horizon_too_long")]:
        request = {"json": forecast_request(horizon=horizon)}
        assert acme.refused("POST", "/v1/forecasts", **request) == (422, "invalid_input", code)
    three = columns([row for name in "abc" for row in series(name, [4, 6, 8, 10])])
    request = {"json": forecast_request(horizon=34, history=three)}
    assert acme.refused("POST", "/v1/forecasts", **request) == (422, "invalid_input", "answer_too_large")


@on_both
def test_a_damaged_bundle_is_never_served(house: House, acme: Caller) -> None:
    with house.database.write() as session:
        session.execute(update(Version).values(bundle=bundle.to_bytes(says(9, 9, 9))))
    for _ in range(2):
        assert acme.refused("POST", "/v1/forecasts", json=forecast_request()) == (500, "corrupt_bundle", None)


def test_bytes_that_are_not_a_bundle_are_never_served(house: House) -> None:
    house.register(b"\x80\x04 pickled nonsense")
    assert house.acme.refused("POST", "/v1/forecasts", json=forecast_request()) == (500, "corrupt_bundle", None)


@pytest.mark.parametrize("strategy", ["direct", "iterative"])
def test_numbers_that_are_not_finite_are_never_served(house: House, strategy: str) -> None:
    made = random_forecaster(strategy=strategy, units=64)  # the sum of so many states is over 1
    made.members[0].weights["head/kernel"][:] = 3e38
    house.register(made)
    assert house.acme.refused("POST", "/v1/forecasts", json=forecast_request()) == (500, "model_broken", None)


@pytest.mark.parametrize("y", [[1e100, -1e100, 1e100, -1e100], [5e-324, 0, 5e-324, 0], [1e-320, 1, -0.0, 2**60]])
def test_extreme_histories_give_finite_numbers(acme: Caller, y: list[float]) -> None:
    answer = acme.ask("POST", "/v1/forecasts", json=forecast_request(history={"ds": days(4), "y": y}))
    assert answer.status_code == 200
    assert not {"NaN", "Infinity", "null"} & set(json.dumps(answer.json()["forecasts"]).replace(",", " ").split())


def test_too_high_a_level_for_few_residuals_is_refused(house: House) -> None:
    house.register(says(1, 2, -1, count=9))  # 9 / 10: 90 % at most
    assert list(house.acme.forecast(levels=[90])["forecasts"][0]["intervals"]) == ["90"]
    request = {"json": forecast_request(levels=[91])}
    assert house.acme.refused("POST", "/v1/forecasts", **request) == (422, "invalid_input", "level_too_high")


def test_without_levels_there_are_no_intervals(acme: Caller) -> None:
    assert acme.forecast(levels=[])["forecasts"][0]["intervals"] == {}


def test_requests_are_counted_by_outcome(house: House, acme: Caller) -> None:
    acme.forecast(dataset={"name": "sales"})
    acme.ask("POST", "/v1/forecasts", json=forecast_request(model="x"))
    metrics = house.operator.ask("GET", "/metrics").text
    assert 'forecastle_forecasts_total{outcome="ok"} 1.0' in metrics
    assert 'forecastle_forecasts_total{outcome="error"} 1.0' in metrics
    assert "forecastle_forecast_series_total 2.0" in metrics
