"""Suggestions for a panel if no fields are given, or only some."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.calendar import parse_freq
from models.data.windows import split
from models.errors import SpecError
from models.evaluation.origins import plan_for
from models.network.sizes import check_training
from models.training.lengths import default_horizon
from models.training.recipes import RECIPES, fields_again, suggest, suggest_training
from tests.models.samples import panel_of, with_covariates


@pytest.mark.parametrize(
    ("freq", "horizon"), [("h", 24), ("15min", 24), ("D", 7), ("W", 13), ("MS", 12), ("QE", 4), ("YE", 6), ("min", 15)]
)
def test_the_default_horizon_of_each_frequency(freq, horizon):
    assert default_horizon(parse_freq(freq)) == horizon


@pytest.mark.parametrize(
    ("freq", "points", "season", "horizon"),
    [
        ("h", 2000, 24, 24),
        ("MS", 300, 12, 12),
        ("W", 1000, 52, 13),
        ("YS", 60, 1, 6),
        ("D", 20, 7, 3),  # 7 would leave 6 to teach with
        ("D", 10, 1, 1),  # too short for a week twice, and for three days
    ],
)
def test_season_and_horizon_follow_from_frequency_and_length(freq, points, season, horizon):
    start = "2020-01-01" if freq != "W" else "2000-01-02"
    spec = suggest(panel_of(np.arange(points), freq=freq, start=start), {})
    assert (spec.freq, spec.season, spec.horizon) == (freq, season, horizon)
    assert 2 <= spec.context <= max(2, points)
    assert spec.context % spec.segment == 0


def yearly(*lengths):
    return panel_of(*[np.arange(float(length)) for length in lengths], freq="YS", start="1900-01-01")


@pytest.mark.parametrize(
    ("lengths", "context"),
    [
        # Three horizons of 6 are wanted, 18 points.
        ([100], 18),
        # 12 of 25 points are held out for the backtest; 12 of the other 13 can be read before one that follows.
        ([25] * 4, 12),
        # 3 of 15 points are left before the backtest, but the final training reads up to 9, of which 8 suffice.
        ([15] * 4, 8),
        # A quarter of the series has 28 points before the backtest; the others are masked.
        ([12, 12, 12, 40, 40], 18),
        # 7 points have one window of a horizon of 6.
        ([7] * 4, 2),
    ],
)
def test_short_series_get_the_context_that_they_can_teach(lengths, context):
    spec = suggest(yearly(*lengths), {"horizon": 6})
    assert context - spec.segment < spec.context <= context


@pytest.mark.parametrize(
    ("lengths", "context"),
    [
        # 36 points of each series are held out. 24 are left of 60: 23 are read before one that follows.
        ((60, 60, 60, 120), 23),
        # Half of the series hold three horizons of 18.
        ((60, 60, 120, 120), 54),
    ],
)
def test_months_of_different_lengths_get_the_context_that_a_quarter_of_the_series_holds(lengths, context):
    panel = panel_of(*[np.arange(float(length)) for length in lengths], freq="MS", start="1990-01-01")
    spec = suggest(panel, {"horizon": 18, "season": 12})
    assert context - spec.segment < spec.context <= context


PANELS = st.tuples(st.integers(24, 2500), st.sampled_from(["h", "15min", "D", "B", "MS", "QS", "YS"]))
NAMED = st.fixed_dictionaries(
    {},
    optional={
        "strategy": st.sampled_from(["iterative", "direct", "seq2seq", "decoder", "parallel"]),
        "horizon": st.integers(1, 5),
        "context": st.integers(2, 12),
        "cell": st.just("lstm"),
        "scaling": st.sampled_from(["level", "last", "standard"]),
    },
)


def trained_as_suggested(panel, fields, recipe):
    """Refuse suggestions that could not be trained on the panel's points before its backtest."""
    points, freq = panel
    points = min(points, 200) if freq in ("QS", "YS") else points  # longer ones leave the calendar
    panel = panel_of(np.zeros(points), freq=freq, start="2020-01-01")
    spec = suggest(panel, fields, recipe)
    check_training(spec, suggest_training(panel, spec, {}, recipe))
    plan = plan_for(panel, spec.horizon, spec.season)
    split(panel.cut(plan.held_out), spec.context, spec.horizon, hold=False)
    return spec


@given(PANELS, st.sampled_from(sorted(RECIPES)))
def test_every_recipe_can_be_trained_on_any_history_of_some_length(panel, recipe):
    trained_as_suggested(panel, {}, recipe)


@given(PANELS, NAMED)
def test_suggestions_fit_the_given_fields(panel, fields):
    spec = trained_as_suggested(panel, fields, "default")
    assert {name: getattr(spec, name) for name in fields} == fields


def test_fields_that_are_given_are_kept():
    fields = {"horizon": 3, "cell": "lstm", "context": 50, "season": 1, "freq": "d", "dropout": 0.5}
    panel = panel_of(np.arange(300))
    spec = suggest(panel, fields)
    assert (spec.horizon, spec.cell, spec.context, spec.season, spec.dropout) == (3, "lstm", 50, 1, 0.5)
    assert suggest_training(panel, spec, {"max_epochs": 3}).max_epochs == 3


def test_a_panel_with_less_data_is_trained_no_longer():
    short, long = (panel_of(*[np.arange(points)] * 5) for points in (60, 1000))
    epochs = [suggest_training(panel, suggest(panel, {}), {}).max_epochs for panel in (short, long)]
    assert epochs[0] < epochs[1]


def test_the_categories_of_text_covariates_are_filled_in():
    panel = with_covariates(
        panel_of(np.arange(60)), {"sky": ("rain", "sun")}, sky=np.arange(60) % 2, load=np.arange(60)
    )
    spec = suggest(panel, {"future_covariates": ["sky"], "past_covariates": ["load"]})
    assert spec.categories == (("sky", ("rain", "sun")),)
    assert suggest(panel, {}).categories == ()


def test_a_convlstm_gets_whole_seasons():
    spec = suggest(panel_of(np.arange(300)), {"encoder": "convlstm", "cell": "lstm"})
    assert (spec.context % spec.season, spec.segment) == (0, 1)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"horizon": "many"}, "horizon"),
        ({"season": None}, "season"),
        ({"context": -1}, "context"),
        ({"context": 0}, "context"),
        ({"units": -1}, "units"),
        ({"freq": "h"}, "freq"),
        ({"freq": "never"}, "freq"),
        ({"state": "carried", "encoder": "bidirectional"}, "state"),
    ],
)
def test_a_field_that_cannot_work_is_refused_by_name(fields, named):
    with pytest.raises(SpecError) as caught:
        suggest(panel_of(np.arange(100)), fields)
    assert [fault.field for fault in caught.value.faults] == [named]


HALF_HOURS = panel_of(*[np.arange(4000.0)] * 3, freq="30min")


@pytest.mark.parametrize("strategy", ["iterative", "seq2seq", "decoder"])
def test_a_named_strategy_that_is_defined_by_its_steps_reads_single_points(strategy):
    spec = suggest(HALF_HOURS, {"strategy": strategy, "horizon": 10})
    assert (spec.segment, spec.strategy) == (1, strategy)
    # 8 days are 384 points; one season of 48 has at most 64.
    assert spec.context == 48
    assert suggest(HALF_HOURS, {"strategy": strategy, "horizon": 10, "segment": 5, "context": 50}).segment == 5


def test_a_named_iterative_strategy_takes_a_pass_for_each_step():
    spec = suggest(HALF_HOURS, {"strategy": "iterative", "horizon": 10})
    assert -(-spec.horizon // spec.outputs) == 10


def test_a_named_parallel_strategy_has_several_segments_to_decode():
    for horizon in (48, 24, 7, 1):
        spec = suggest(HALF_HOURS, {"strategy": "parallel", "horizon": horizon})
        assert horizon // spec.segment >= min(horizon, 2)
        assert horizon % spec.segment == 0


@pytest.mark.parametrize(("horizon", "segment"), [(96, 48), (336, 48), (720, 120)])
def test_a_long_horizon_is_read_in_as_few_segments_as_context_and_horizon_allow(horizon, segment):
    panel = panel_of(*(np.arange(3000.0) + i for i in range(3)), freq="h")
    spec = suggest(panel, {"context": 720, "horizon": horizon}, "long")
    # 48 is the greatest common divisor of 720 with 96 and with 336: 15 segments. 120 makes 6, and 8 are enough.
    assert (spec.strategy, spec.segment) == ("parallel", segment)


def test_a_strategy_that_the_library_chooses_may_read_segments():
    plain = suggest(HALF_HOURS, {"horizon": 10})
    tried = suggest(HALF_HOURS, {"horizon": 10}, tried={"strategy": "seq2seq"})
    assert (tried.strategy, tried.segment, tried.context) == ("seq2seq", plain.segment, plain.context)
    assert plain.segment == 48


def test_a_stored_spec_keeps_its_segment():
    before = suggest(HALF_HOURS, {"strategy": "iterative", "segment": 48})
    assert suggest(HALF_HOURS, before.to_json()) == before


def test_a_given_context_is_read_in_more_than_one_step():
    for context in (53, 106, 169, 384):
        spec = suggest(HALF_HOURS, {"context": context})
        assert spec.context == context
        assert spec.steps > 1


PROMOTED = with_covariates(panel_of(np.arange(300.0), np.arange(300.0)), size=np.repeat([1.0, 2.0], 300))


@pytest.mark.parametrize("recipe", sorted(RECIPES))
@pytest.mark.parametrize(
    ("given", "implied"),
    [
        ({"strategy": "seasonal_naive"}, {"loss": "mae", "segment": 1}),
        ({"encoder": "convlstm"}, {"cell": "lstm", "segment": 1}),
        ({"attention": True}, {}),
        ({"state": "carried"}, {"segment": 1}),
        ({"transform": "log"}, {}),
        ({"quantiles": (0.2, 0.5, 0.8)}, {"loss": "quantile"}),
        ({"loss": "mae"}, {}),
        ({"context": 25}, {}),
        ({"context": 0, "static_covariates": ("size",)}, {"segment": 1}),
        ({"strategy": "decoder"}, {"segment": 1}),
        ({"segment": 3}, {}),
    ],
)
def test_one_given_field_is_enough_with_every_recipe(recipe, given, implied):
    spec = suggest(PROMOTED, given, recipe)
    for name, value in {**given, **implied}.items():
        assert getattr(spec, name) == value
    check_training(spec, suggest_training(PROMOTED, spec, {}, recipe))


def test_two_given_fields_that_contradict_each_other_are_refused():
    with pytest.raises(SpecError) as caught:
        suggest(PROMOTED, {"strategy": "seasonal_naive", "loss": "mse"})
    fault = caught.value.faults[0]
    assert (fault.field, fault.hint) == ("loss", "leave loss out, or use a strategy with a network, such as direct")


def test_a_field_that_does_not_exist_is_refused():
    with pytest.raises(SpecError, match="no field 'layers'"):
        suggest(panel_of(np.arange(100)), {"layers": 3})
    panel = panel_of(np.arange(100))
    with pytest.raises(SpecError, match="no field 'epochs'"):
        suggest_training(panel, suggest(panel, {}), {"epochs": 3})


@pytest.mark.parametrize(
    ("values", "fields", "non_negative"),
    [
        (range(60), {}, True),
        ([v - 1 for v in range(60)], {}, False),
        (range(60), {"non_negative": False}, False),
        (range(60), {"bounds": [-10, 100]}, False),  # given bounds are all the bounds
        (range(60), {"bounds": None}, True),
    ],
)
def test_no_value_below_zero_suggests_that_there_is_none(values, fields, non_negative):
    spec = suggest(panel_of(list(values)), fields)
    assert spec.non_negative is non_negative


def test_another_training_keeps_non_negative_only_as_long_as_the_data_are():
    counts, balances = panel_of(range(60)), panel_of([v - 1 for v in range(60)])
    spec = suggest(counts, {})
    assert fields_again(spec, counts) == spec.to_json()
    assert fields_again(spec, balances) == {**spec.to_json(), "non_negative": False}
