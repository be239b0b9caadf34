"""Share of seasonal naive, chosen for networks with a known slope."""

import numpy as np
import pytest

from models.engines.onnx import OnnxEngine
from models.evaluation.origins import BacktestPlan, origins_of
from models.forecasting.forecaster import Member, make_runnable, predict
from models.network.inputs import Facts
from models.training.blending import blend, seasonal_naive_for
from tests.models.samples import panel_of, small_spec, weights_of

SPEC = small_spec(season=1, context=5, horizon=3, skip=False)
PLAN = BacktestPlan(horizon=3, origins=4, stride=2)
# A window of a straight line with a slope of 1 is on average (4 + 3 + 2 + 1 + 0) / 5 = 2 away from its last value.
UNIT = 2.0


class Slope:
    """A network that continues from the last value by ``slope`` a step, in series whose window unit is 2."""

    def __init__(self, slope):
        self.slope = slope

    def run(self, inputs):
        rows = len(next(iter(inputs.values())))
        return {
            "predicted": np.tile((self.slope * np.arange(1, 4) / UNIT)[None, :, None], (rows, 1, 1)).astype(np.float32)
        }


def shares(panel, *slopes):
    """Return the shares of networks with these slopes, and the strategies of the members."""
    members = [Member(SPEC, Facts.none().to_weights()) for _ in slopes]
    left = iter([Slope(slope) for slope in slopes])
    mixed = blend(
        members,
        origins_of(panel, PLAN, 1),
        lambda spec, weights: next(left) if spec == SPEC else OnnxEngine(spec, weights),
    )
    return [(member.spec.strategy, pytest.approx(member.share)) for member in mixed]


def line(count=40):
    return panel_of(np.arange(float(count)))


def test_a_correct_network_gets_the_whole_share():
    assert shares(line(), 1.0) == [("direct", 1.0)]


def test_a_network_with_the_wrong_slope_is_replaced_by_seasonal_naive():
    assert shares(line(), -1.0) == [("seasonal_naive", 1.0)]


def test_a_network_with_twice_the_slope_gets_half_of_the_share():
    assert shares(line(), 2.0) == [("direct", 0.5), ("seasonal_naive", 0.5)]


def test_two_networks_divide_the_remaining_share():
    assert shares(line(), 1.0, 3.0) == [("direct", 0.25), ("direct", 0.25), ("seasonal_naive", 0.5)]


def test_on_constant_series_the_network_stays_as_it_is_exact_too():
    assert shares(panel_of(np.full(40, 7.0)), 1.0) == [("direct", 1.0)]


def test_on_exactly_periodic_series_seasonal_naive_has_the_whole_share():
    panel, spec = panel_of(np.resize([0.0, 3, 1], 60)), small_spec(season=3, context=6, horizon=3)
    blended = blend([Member(spec, weights_of(spec))], origins_of(panel, PLAN, 3), OnnxEngine)
    assert [(member.spec.strategy, member.share) for member in blended] == [("seasonal_naive", 1.0)]


def test_seasonal_naive_as_a_member_repeats_the_season_and_fills_gaps_from_the_one_before():
    member = seasonal_naive_for(small_spec(season=3, horizon=4))
    panel = panel_of([9.0, 9.0, 9.0, 1.0, 2.0, 3.0, 4.0, np.nan, 6.0])
    said = predict(make_runnable([member], OnnxEngine), panel, np.array([0]), np.array([9]), 4)
    assert said.median.tolist() == [pytest.approx([4.0, 2.0, 6.0, 4.0])]
