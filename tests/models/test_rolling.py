"""From what a network says in one pass to a forecast of any length, window by window or with a state that goes on."""

from dataclasses import replace

import numpy as np
import pytest

from models.engines.onnx import OnnxEngine
from models.rolling import begin, go_on, roll
from tests.models.samples import Says, panel_of, reader_of, small_spec, weights_of, with_covariates

NAN = np.nan
ONE = np.array([0])
SPEC = small_spec(season=1, context=4, horizon=2, scaling="last", skip=False)
AND_ONE = Says(lambda inputs: inputs["past"][:, -1:, 0] + [[1, 2]])  # the last value and one more, in window units


def rolled(spec, engine, panel, horizon):
    at = panel.observed_lengths
    return roll(reader_of(spec, panel), engine, np.arange(len(panel)), at, horizon)


def test_what_was_said_is_read_in_the_next_pass_in_units_of_the_new_window():
    # 0, 1, 2, 3 from 3 in units of 1.5: 4.5 and 6. Then 2, 3, 4.5, 6 from 6 in units of 2.125: 8.125 and 10.25
    said = rolled(SPEC, AND_ONE, panel_of([9, 0, 1, 2, 3]), 3)
    assert said.mean.tolist() == [[4.5, 6.0, 8.125]]
    assert said.spread.tolist() == [[1.5]]  # of the window that was known


def test_there_are_no_more_passes_than_needed():
    for horizon, passes in [(1, 1), (2, 1), (3, 2), (8, 4)]:
        engine = Says(AND_ONE.answer)
        rolled(SPEC, engine, panel_of(range(9)), horizon)
        assert len(engine.given) == passes


def test_covariates_go_along_with_the_moments():
    engine = Says(lambda inputs: inputs["ahead"][:, :, 0])
    panel = with_covariates(panel_of([1, 2, 3, 4, NAN, NAN, NAN, NAN]), price=np.arange(8))
    spec = replace(SPEC, future_covariates=("price",))
    rolled(spec, engine, panel, 4)
    assert [given["ahead"][0, :, 0].tolist() for given in engine.given] == [[4, 5], [6, 7]]
    assert [given["past"][0, :, 2].tolist() for given in engine.given] == [[0, 1, 2, 3], [2, 3, 4, 5]]


def test_covariates_of_the_past_end_with_what_was_observed():
    """Also in a backtest, where the panel knows them of the steps that are said: a real forecast does not."""
    engine = Says(AND_ONE.answer)
    panel = with_covariates(panel_of(range(8)), load=range(1, 9))
    spec = replace(SPEC, past_covariates=("load",))
    roll(reader_of(spec, panel), engine, ONE, np.array([4]), 6)
    assert [given["past"][0, :, 2].tolist() for given in engine.given] == [[1, 2, 3, 4], [3, 4, 0, 0], [0, 0, 0, 0]]


def test_a_missing_value_stays_missing_until_it_has_slid_out():
    engine = Says(AND_ONE.answer)
    rolled(SPEC, engine, panel_of([1, NAN, 3, 5]), 4)
    assert [given["past"][0, :, 1].tolist() for given in engine.given] == [[1, 0, 1, 1], [1, 1, 1, 1]]


def test_quantiles_are_in_units_of_the_data_and_only_the_median_is_read_on():
    spec = replace(SPEC, loss="quantile", quantiles=(0.1, 0.5, 0.9))
    engine = Says(None)
    engine.run = lambda inputs: {"said": np.float32([[[2, 0, -1], [1, 0, -2]]] * len(inputs["past"]))}
    said = rolled(spec, engine, panel_of([0, 1, 2, 3]), 4)
    assert said.levels == (0.1, 0.5, 0.9)
    assert said.mean.tolist() == [[3, 3, 3, 3]]
    assert said.quantiles[0, :2].tolist() == [[1.5, 3, 6], [0, 3, 4.5]]  # 3 and 1.5 times what was said
    # then the window is 2, 3, 3, 3, in units of 0.25
    assert said.quantiles[0, 2:].tolist() == [[2.75, 3, 3.5], [2.5, 3, 3.25]]


def test_seasonal_naive_is_the_last_season_over_and_over_with_gaps_from_the_one_before():
    spec = small_spec(strategy="seasonal_naive", season=3, context=6, horizon=3)
    panel = panel_of([1, 2, 3, 4, NAN, 6], [7, 8])
    said = rolled(spec, OnnxEngine(spec, {}), panel, 5)
    assert said.mean[0].tolist() == pytest.approx([4, 2, 6, 4, 2])
    assert said.mean[1, 1:3].tolist() == pytest.approx([7, 8])  # of its first, what it has


def test_a_constant_window_is_repeated_and_what_is_said_of_it_is_not_heard():
    said = rolled(SPEC, AND_ONE, panel_of([5, 5, 5, 5]), 5)
    assert (said.mean.tolist(), said.spread.tolist()) == ([[5.0] * 5], [[0.0]])


CARRIED = [
    {"strategy": "iterative"},
    {"strategy": "iterative", "season": 3, "cell": "lstm", "depth": 2},
    {"strategy": "direct", "season": 3, "skip": True},
    {"strategy": "seq2seq", "cell": "rnn", "season": 9, "skip": True},
    {"strategy": "iterative", "cell": "peephole", "calendar": True, "future_covariates": ("price",)},
]


@pytest.mark.parametrize("fields", CARRIED, ids=lambda f: f["strategy"] + f.get("cell", ""))
def test_to_go_on_point_by_point_is_to_read_the_whole_history_at_once(fields):
    spec = replace(SPEC, state="carried", **fields)
    engine, rng = OnnxEngine(spec, weights_of(spec)), np.random.default_rng(0)
    panel = with_covariates(panel_of(rng.normal(size=30)), price=rng.normal(size=30))
    reader = reader_of(spec, panel)
    memory = begin(spec, engine, reader.read(ONE, np.array([4]), 26))
    later = memory.batch.to_window(panel.y[None, 4:24])
    later[0, [3, 9]] = NAN
    for count in range(20):
        memory = go_on(spec, engine, memory, later[:, count : count + 1])
    at_once = go_on(spec, engine, begin(spec, engine, memory.batch), later)
    assert memory.said.mean == pytest.approx(at_once.said.mean, abs=1e-6)
    for name, state in memory.state.items():
        assert state == pytest.approx(at_once.state[name], abs=1e-6)
    assert memory.values.shape == (1, 24)


def test_a_carried_state_reads_each_point_once():
    spec = replace(SPEC, state="carried", strategy="iterative")
    counted = Counted(OnnxEngine(spec, weights_of(spec)))
    rolled(spec, counted, panel_of(np.arange(9.0) % 4), 5)
    assert counted.steps == [4, 1, 1, 1, 1]


class Counted:
    """An engine that notes how many points it is given to read."""

    def __init__(self, engine):
        self._engine, self.steps = engine, []

    def run(self, inputs):
        self.steps.append(inputs["past"].shape[1])
        return self._engine.run(inputs)
