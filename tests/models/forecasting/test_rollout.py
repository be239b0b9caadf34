"""From single passes of a network to a forecast of any length, window by window or with a carried state."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from models.engines import NoNetwork
from models.engines.onnx import OnnxEngine
from models.forecasting.rollout import advance, begin, count_passes, forecast_from_state, roll, scatter, take_rows
from models.network.inputs import window_inputs
from tests.models.samples import FixedEngine, panel_of, reader_of, small_spec, weights_of, with_covariates

NAN = np.nan
ONE = np.array([0])
SPEC = small_spec(season=1, context=4, horizon=2, scaling="last", skip=False)
AND_ONE = FixedEngine(
    lambda inputs: inputs["past"][:, -1:, 0] + [[1, 2]]
)  # the last value and one more, in window units


def rolled(spec, engine, panel, horizon):
    at = panel.observed_lengths
    return roll(reader_of(spec, panel), engine, np.arange(len(panel)), at, horizon)


def test_predicted_values_are_read_in_the_next_pass_in_units_of_the_new_window():
    # 0, 1, 2, 3 from 3 in units of 1.5: 4.5 and 6. Then 2, 3, 4.5, 6 from 6 in units of 2.125: 8.125 and 10.25
    predicted = rolled(SPEC, AND_ONE, panel_of([9, 0, 1, 2, 3]), 3)
    assert predicted.median.tolist() == [[4.5, 6.0, 8.125]]
    assert predicted.spread.tolist() == [[1.5]]  # of the window that was known


def test_there_are_no_more_passes_than_needed():
    for horizon, runs in [(1, 1), (2, 1), (3, 2), (8, 4)]:
        engine = FixedEngine(AND_ONE.answer)
        rolled(SPEC, engine, panel_of(range(9)), horizon)
        assert len(engine.given) == runs


def test_covariates_move_with_the_window():
    engine = FixedEngine(lambda inputs: inputs["ahead"][:, :, 0])
    panel = with_covariates(panel_of([1, 2, 3, 4, NAN, NAN, NAN, NAN]), price=np.arange(8))
    spec = replace(SPEC, future_covariates=("price",))
    rolled(spec, engine, panel, 4)
    assert [given["ahead"][0, :, 0].tolist() for given in engine.given] == [[4, 5], [6, 7]]
    assert [given["past"][0, :, 2].tolist() for given in engine.given] == [[0, 1, 2, 3], [2, 3, 4, 5]]


def test_past_covariates_end_with_the_observed_points():
    """Also in a backtest, where the panel has their values at the forecast steps: a real forecast does not."""
    engine = FixedEngine(AND_ONE.answer)
    panel = with_covariates(panel_of(range(8)), load=range(1, 9))
    spec = replace(SPEC, past_covariates=("load",))
    roll(reader_of(spec, panel), engine, ONE, np.array([4]), 6)
    assert [given["past"][0, :, 2].tolist() for given in engine.given] == [[1, 2, 3, 4], [3, 4, 0, 0], [0, 0, 0, 0]]


def test_a_missing_value_stays_missing_until_it_leaves_the_window():
    engine = FixedEngine(AND_ONE.answer)
    rolled(SPEC, engine, panel_of([1, NAN, 3, 5]), 4)
    assert [given["past"][0, :, 1].tolist() for given in engine.given] == [[1, 0, 1, 1], [1, 1, 1, 1]]


def test_quantiles_are_in_data_units_and_only_the_median_is_fed_back():
    spec = replace(SPEC, loss="quantile", quantiles=(0.1, 0.5, 0.9))
    engine = FixedEngine(None)
    engine.run = lambda inputs: {"predicted": np.float32([[[2, 0, -1], [1, 0, -2]]] * len(inputs["past"]))}
    predicted = rolled(spec, engine, panel_of([0, 1, 2, 3]), 4)
    assert predicted.levels == (0.1, 0.5, 0.9)
    assert predicted.median.tolist() == [[3, 3, 3, 3]]
    assert predicted.quantiles[0, :2].tolist() == [[1.5, 3, 6], [0, 3, 4.5]]  # 3 and 1.5 times the output
    # then the window is 2, 3, 3, 3, in units of 0.25
    assert predicted.quantiles[0, 2:].tolist() == [[2.75, 3, 3.5], [2.5, 3, 3.25]]


def test_seasonal_naive_repeats_the_last_season_with_gaps_from_the_one_before():
    spec = small_spec(strategy="seasonal_naive", season=3, context=6, horizon=3)
    panel = panel_of([1, 2, 3, 4, NAN, 6], [7, 8])
    predicted = rolled(spec, NoNetwork(), panel, 5)
    # the second series has no value in one phase of three: there it gets its last value
    assert predicted.median.tolist() == [[4, 2, 6, 4, 2], [8, 7, 8, 8, 7]]


def test_a_constant_window_is_repeated_and_the_networks_output_ignored():
    predicted = rolled(SPEC, AND_ONE, panel_of([5, 5, 5, 5]), 5)
    assert (predicted.median.tolist(), predicted.spread.tolist()) == ([[5.0] * 5], [[0.0]])


KNOWN = {"past_covariates": ("load",), "future_covariates": ("price",), "static_covariates": ("size",)}
CARRIED = [
    {"strategy": "iterative", "skip": True, "season": 3, "calendar": True, **KNOWN},
    {"strategy": "seq2seq", "skip": True, "season": 4, "loss": "quantile", **KNOWN},
    {"strategy": "iterative"},
    {"strategy": "iterative", "season": 3, "cell": "lstm", "depth": 2},
    {"strategy": "direct", "season": 3, "skip": True},
    {"strategy": "seq2seq", "cell": "rnn", "season": 9, "skip": True},
    {"strategy": "iterative", "cell": "peephole", "calendar": True, "future_covariates": ("price",)},
]


@pytest.fixture(params=CARRIED, ids=lambda fields: "-".join(map(str, fields.values())))
def carried(request):
    """A spec, its engine, and the window of two series with all covariates of later points."""
    spec = replace(SPEC, state="carried", **request.param)
    rng = np.random.default_rng(0)
    y, other = rng.normal(size=(2, 40))
    y[[1, 3]] = NAN
    columns = {name: rng.normal(size=80) for name in ("load", "price")}
    reader = reader_of(spec, with_covariates(panel_of(y, other), size=np.repeat([1.0, 2.0], 40), **columns))
    return spec, OnnxEngine(spec, weights_of(spec)), reader.read(np.array([0, 1]), np.array([4, 5]), 35)


LATER = np.random.default_rng(1).normal(size=(2, 20)).astype(np.float32)
LATER[0, [3, 9, 10, 11, 12, 13]] = NAN


def test_reading_point_by_point_equals_reading_the_whole_history_at_once(carried):
    spec, engine, batch = carried
    network_state = begin(spec, engine, batch)
    for count in range(20):
        network_state = advance(spec, engine, network_state, LATER[:, count : count + 1])
    at_once = advance(spec, engine, begin(spec, engine, batch), LATER)
    assert network_state.prediction.median == pytest.approx(at_once.prediction.median, abs=1e-6)
    for name, state in network_state.inputs.items():
        assert state == pytest.approx(at_once.inputs[name], abs=1e-6)
    assert network_state.recent.shape == (
        2,
        spec.season if 1 < spec.season <= 4 else 0,
    )  # all that is kept of the values


def test_serving_reads_a_window_as_training_does(carried):
    spec, engine, batch = carried
    watched = Watched(engine)
    begin(spec, watched, batch)
    expected = window_inputs(spec, batch.values, batch)
    states = {name for name in watched.given[0] if name.startswith("state_")}
    assert watched.given[0].keys() - states == expected.keys()
    for name, value in expected.items():
        assert watched.given[0][name].tolist() == value.tolist()


def test_later_points_are_read_as_part_of_the_whole_history(carried):
    spec, engine, batch = carried
    watched = Watched(engine)
    network_state = begin(spec, watched, batch)
    for first, end in pairwise([0, 1, 7, 8, 13, 20]):  # at 13 more than a season is missing
        network_state = advance(spec, watched, network_state, LATER[:, first:end])
        whole = window_inputs(spec, np.concatenate([batch.values, LATER[:, :end]], axis=1), batch)
        past = np.concatenate([given["past"] for given in watched.given], axis=1)
        assert past.tolist() == whole.pop("past").tolist()
        for name, value in whole.items():
            assert watched.given[-1][name].tolist() == value.tolist()


def test_predicted_values_are_fed_back_like_observed_ones(carried):
    spec, engine, batch = carried
    network_state = advance(spec, engine, begin(spec, engine, batch), LATER[:, :5])
    predicted = forecast_from_state(spec, engine, network_state, 7)
    expected = [network_state.prediction]
    for _ in range(count_passes(spec, 7) - 1):
        network_state = advance(spec, engine, network_state, network_state.prediction.median)
        expected.append(network_state.prediction)
    mean = np.concatenate([one.median for one in expected], axis=1)[:, :7]
    assert predicted.median == pytest.approx(batch.to_data(mean), rel=1e-6)
    if spec.loss == "quantile":
        outer = np.concatenate([one.quantiles for one in expected], axis=1)[:, :7, -1]
        assert predicted.quantiles[..., -1] == pytest.approx(batch.to_data(outer), rel=1e-6)


def test_some_rows_can_advance_and_be_put_back(carried):
    spec, engine, batch = carried
    network_state = begin(spec, engine, batch)
    one = advance(spec, engine, take_rows(network_state, np.array([1])), LATER[1:, :3])
    both = scatter(
        network_state._replace(batch=network_state.batch._replace(known=network_state.batch.known[:, 3:])),
        2,
        np.array([1]),
        one,
    )
    assert both.prediction.median[0].tolist() == network_state.prediction.median[0].tolist()
    assert both.prediction.median[1] == pytest.approx(
        advance(spec, engine, network_state, LATER[:, :3]).prediction.median[1], abs=1e-6
    )
    longer = scatter(network_state, 3, np.array([2]), take_rows(network_state, np.array([0])))
    assert longer.inputs["state_0"].tolist() == [
        *network_state.inputs["state_0"].tolist(),
        network_state.inputs["state_0"][0].tolist(),
    ]


def test_reading_no_points_changes_nothing(carried):
    spec, engine, batch = carried
    network_state = begin(spec, engine, batch)
    assert advance(spec, engine, network_state, LATER[:, :0]) is network_state


def test_a_carried_state_reads_each_point_once():
    spec = replace(SPEC, state="carried", strategy="iterative")
    watched = Watched(OnnxEngine(spec, weights_of(spec)))
    rolled(spec, watched, panel_of(np.arange(9.0) % 4), 5)
    assert [given["past"].shape[1] for given in watched.given] == [4, 1, 1, 1, 1]


class Watched:
    """An engine that records copies of its inputs."""

    def __init__(self, engine):
        self._engine, self.given = engine, []

    def run(self, inputs):
        self.given.append({name: value.copy() for name, value in inputs.items()})
        return self._engine.run(inputs)
