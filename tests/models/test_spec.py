"""Specs, training settings, and what a panel suggests for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backtest import plan_for
from models.calendar import parse_freq
from models.errors import SpecError
from models.recipes import default_horizon, suggest
from models.spec import Spec, Training
from models.windows import split
from tests.models.samples import helpful, panel_of, small_spec


def test_a_spec_goes_to_json_and_back():
    spec = small_spec(cell="lstm", strategy="seq2seq", depth=2)
    assert Spec.from_json(spec.to_json()) == spec
    assert Training.from_json({}) == Training()


@pytest.mark.parametrize(("strategy", "outputs"), [("iterative", 1), ("direct", 4), ("seq2seq", 4)])
def test_a_spec_knows_how_many_steps_its_network_says(strategy, outputs):
    assert small_spec(strategy=strategy).outputs == outputs


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("freq", "never"),
        ("freq", None),
        ("cell", "perceptron"),
        ("cell", None),
        ("cell", []),
        ("strategy", "guess"),
        ("season", 0),
        ("context", 1),
        ("context", 10_001),
        ("horizon", 0),
        ("horizon", 1.5),
        ("horizon", "3"),
        ("units", True),
        ("units", 10**400),
        ("depth", 9),
        ("depth", float("nan")),
    ],
)
def test_a_field_of_a_spec_that_cannot_work_is_named(field, value):
    with pytest.raises(SpecError) as caught:
        small_spec(**{field: value})
    (fault,) = caught.value.faults
    assert fault.field == field
    assert helpful(fault)


BAD_SETTINGS = [("learning_rate", value) for value in (0, float("nan"), float("inf"), "fast", None)]
BAD_SETTINGS += [("seed", -1), ("max_epochs", 0), ("batch_size", 2.0), ("clip_norm", 0.0), ("patience", False)]


@pytest.mark.parametrize(("field", "value"), BAD_SETTINGS)
def test_a_training_setting_that_cannot_work_is_named(field, value):
    with pytest.raises(SpecError) as caught:
        Training(**{field: value})
    assert [fault.field for fault in caught.value.faults] == [field]


def test_all_faults_of_a_spec_are_told_together():
    with pytest.raises(SpecError) as caught:
        Spec(freq="x", season=0, context=1, horizon=0, cell="x", strategy="x", units=0, depth=0)
    assert {fault.field for fault in caught.value.faults} == set(small_spec().to_json())


def test_unknown_and_missing_fields_are_told_with_the_known_ones():
    with pytest.raises(SpecError) as caught:
        Spec.from_json({"freq": "D", "colour": "red", "season": 7, "context": 9})
    told = [(fault.code, fault.field) for fault in caught.value.faults]
    assert told == [("unknown_field", None), ("missing_field", "horizon")]
    assert "no field 'colour'" in str(caught.value)
    assert "the fields are freq, season, context" in str(caught.value)


@pytest.mark.parametrize(
    ("freq", "horizon"), [("h", 24), ("15min", 24), ("D", 7), ("W", 13), ("MS", 12), ("QE", 4), ("YE", 6), ("min", 15)]
)
def test_the_horizon_that_people_expect(freq, horizon):
    assert default_horizon(parse_freq(freq)) == horizon


@pytest.mark.parametrize(
    ("freq", "points", "season", "context", "horizon"),
    [
        ("h", 2000, 24, 72, 24),  # three days
        ("MS", 300, 12, 36, 12),  # three years
        ("W", 1000, 52, 156, 13),  # three years
        ("YS", 60, 1, 12, 6),  # two horizons
        # five years: two horizons held out leave 36, of which 12 to choose by and 12 to be taught leave 12
        ("MS", 60, 12, 12, 12),
        # 20 points: a horizon of 6 leaves no room; one of 3 holds out 6, and 0.4 of the other 14 is 5
        ("YS", 20, 1, 5, 3),
        # 4 points: no horizon has room; the least context, which training will refuse
        ("D", 4, 7, 2, 1),
    ],
)
def test_a_panel_suggests_a_spec_by_its_frequency_and_length(freq, points, season, context, horizon):
    start = "2020-01-01" if freq != "W" else "2000-01-02"
    spec = suggest(panel_of(np.arange(points), freq=freq, start=start), {})
    assert (spec.freq, spec.season, spec.context, spec.horizon) == (freq, season, context, horizon)


@given(st.integers(24, 2500), st.sampled_from(["h", "15min", "D", "B", "MS", "QS", "YS"]))
def test_what_is_suggested_can_be_trained_on_any_history_of_some_length(points, freq):
    points = min(points, 200) if freq in ("QS", "YS") else points  # longer ones leave the calendar
    panel = panel_of(np.zeros(points), freq=freq, start="2020-01-01")
    spec = suggest(panel, {})
    plan = plan_for(panel, spec.horizon, spec.season)
    split(panel.cut(plan.held_out), spec.context, spec.horizon)


def test_fields_that_are_given_are_kept():
    spec = suggest(panel_of(np.arange(300)), {"horizon": 3, "cell": "lstm", "context": 50, "season": 1, "freq": "d"})
    assert (spec.horizon, spec.cell, spec.context, spec.season) == (3, "lstm", 50, 1)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"horizon": "many"}, "horizon"),
        ({"season": None}, "season"),
        ({"context": 0}, "context"),
        ({"units": -1}, "units"),
        ({"freq": "h"}, "freq"),
        ({"freq": "never"}, "freq"),
    ],
)
def test_a_field_that_cannot_work_is_refused_by_name(fields, named):
    with pytest.raises(SpecError) as caught:
        suggest(panel_of(np.arange(100)), fields)
    assert [fault.field for fault in caught.value.faults] == [named]


def test_a_field_that_does_not_exist_is_refused():
    with pytest.raises(SpecError, match="no field 'layers'"):
        suggest(panel_of(np.arange(100)), {"layers": 3})
