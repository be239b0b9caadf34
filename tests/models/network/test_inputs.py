"""A network's inputs from a panel. Values equal their time indices, so that a leak would show."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.network.inputs import Facts, Reader, fact_shapes, facts_in, facts_of, training_inputs, window_inputs
from models.training.fit import window_examples
from tests.models.kinds import OPTIONS, PARTS, name_of, spec_of
from tests.models.samples import panel_of, reader_of, small_spec, with_covariates

NAN = np.nan
ONE = np.array([0])


def given_at(spec, panel, at, series=0):
    """Return the inputs at one origin, without the batch axis."""
    reader = reader_of(spec, panel)
    batch = reader.read(np.array([series]), np.array([at]), spec.outputs)
    return {name: value[0] for name, value in window_inputs(spec, batch.values, batch).items()}


def plain_spec(**fields):
    """Return a spec whose window units are data units for the panel ``SIGNS``: level 0, unit 1."""
    return small_spec(**{"scaling": "standard", "context": 4, "horizon": 2, "season": 1, "skip": False, **fields})


SIGNS = panel_of([1, -1, 1, -1, 1, -1, 1, -1])


def test_a_point_is_its_value_and_an_observed_flag():
    assert given_at(plain_spec(), SIGNS, 4) == {"past": pytest.approx(np.array([[1, 1], [-1, 1], [1, 1], [-1, 1]]))}


def test_a_missing_value_is_zero_and_flagged_as_missing():
    past = given_at(plain_spec(), panel_of([5, 5, 3, NAN, NAN, 7]), 6)["past"]
    # 3 and 7 are observed: their mean is 5, in units of 2
    assert past.tolist() == [[-1, 1], [0, 0], [0, 0], [1, 1]]


def test_before_a_series_begins_nothing_was_observed():
    past = given_at(plain_spec(), SIGNS, 2)["past"]
    assert past.tolist() == [[0, 0], [0, 0], [1, 1], [-1, 1]]


def test_the_lag_is_the_value_a_season_before_the_next_one():
    # after the point 3 comes 4, which a season before was 1
    past = given_at(plain_spec(season=3, context=6), panel_of([1, -1, NAN, -1, 1, -1]), 6)["past"]
    assert past.shape == (6, 3)
    assert past[:, 2].tolist() == pytest.approx([0, 0, past[0, 0], past[1, 0], 0, past[3, 0]])


def test_a_missing_lag_is_filled_from_an_earlier_season():
    past = given_at(plain_spec(season=2, context=6), panel_of([1, -1, NAN, -1, 1, -1]), 6)["past"]
    assert past[:, 2].tolist() == [0, *past[[0, 1, 0, 3, 4], 0]]


def test_there_is_no_lag_without_a_season_or_where_the_window_does_not_hold_one():
    assert given_at(plain_spec(season=1), SIGNS, 8)["past"].shape == (4, 2)
    assert given_at(plain_spec(season=5), SIGNS, 8)["past"].shape == (4, 2)


def test_the_naive_forecasts_are_the_last_season_and_the_last_value():
    skip = given_at(plain_spec(season=3, horizon=5, skip=True), panel_of([1, 1, -1, -1]), 4)["skip"]
    assert skip.tolist() == [[1, -1], [-1, -1], [-1, -1], [1, -1], [-1, -1]]
    skip = given_at(plain_spec(season=9, skip=True), panel_of([1, 1, -1, NAN]), 4)["skip"]
    assert skip[:, 0].tolist() == pytest.approx(
        [given_at(plain_spec(), panel_of([1, 1, -1, NAN]), 4)["past"][2, 0]] * 2
    )


def covariates(load=(0, 1, 2, 3, 4, 5, 6, 7), **more):
    return with_covariates(SIGNS, more.pop("categories", None), load=load, **more)


def test_a_past_covariate_ends_with_the_past():
    spec = plain_spec(past_covariates=("load",))
    inputs = given_at(spec, covariates(), 4)
    assert inputs["past"][:, 2].tolist() == [0, 1, 2, 3]
    assert "ahead" not in inputs


def test_a_future_covariate_is_read_for_past_and_future():
    inputs = given_at(plain_spec(future_covariates=("load",)), covariates(), 4)
    assert inputs["past"][:, 2].tolist() == [0, 1, 2, 3]
    assert inputs["ahead"].tolist() == [[4], [5]]


def test_missing_covariates_are_read_as_their_mean():
    inputs = given_at(plain_spec(future_covariates=("load",)), covariates((0, NAN, 2, 3, 4, NAN, 6, 7)), 4)
    assert inputs["past"][:, 2].tolist() == [0, 0, 2, 3]
    assert inputs["ahead"].tolist() == [[4], [0]]


def test_covariates_are_standardised_by_the_training_panel():
    spec, panel = plain_spec(past_covariates=("load",)), covariates((1, 3, NAN, 1, 3, 1, 3, 1))
    facts = facts_of(spec, panel)
    mean, deviation = 13 / 7, np.sqrt(48) / 7  # of four ones and three threes
    assert facts.mean.tolist() == pytest.approx([mean])
    assert facts.deviation.tolist() == pytest.approx([deviation])
    batch = Reader(spec, facts, panel).read(ONE, np.array([8]), 2)
    assert batch.known[0, :, 0].tolist() == pytest.approx([(v - mean) / deviation for v in (3, 1, 3, 1)] + [0, 0])


def test_a_constant_covariate_is_zero():
    facts = facts_of(plain_spec(past_covariates=("load",)), covariates([7.0] * 8))
    assert (facts.mean.tolist(), facts.deviation.tolist()) == ([7.0], [0.0])
    batch = Reader(plain_spec(past_covariates=("load",)), facts, covariates([7.0] * 8)).read(ONE, np.array([8]), 2)
    assert not batch.known.any()


def test_a_text_has_a_channel_for_each_known_category_and_none_for_others():
    spec = plain_spec(future_covariates=("sky",), categories=(("sky", ("rain", "sun")),))
    panel = covariates(sky=[2, 1, 0, NAN, 2, 0, 0, 0], categories={"sky": ("fog", "rain", "sun")})
    inputs = given_at(spec, panel, 4)
    assert inputs["past"][:, 2:].tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]
    assert inputs["ahead"].tolist() == [[0, 1], [0, 0]]


def test_static_covariates_are_read_once_per_series():
    spec = plain_spec(static_covariates=("size", "place"), categories=(("place", ("north", "south")),))
    panel = with_covariates(SIGNS, {"place": ("north", "south")}, size=[3.0] * 8, place=[1] * 8)
    assert given_at(spec, panel, 4)["static"].tolist() == [3, 0, 1]


def test_the_calendar_and_holidays_are_known_ahead():
    spec = plain_spec(calendar=True, holidays="DE", season=7)
    inputs = given_at(spec, panel_of(range(8), start="2024-12-18"), 6)  # the next points are 24 and 25 December
    assert inputs["ahead"].shape == (2, spec.ahead_channels)
    assert inputs["ahead"][:, -1].tolist() == [0, 1]
    assert inputs["past"].shape == (4, spec.channels)
    again = given_at(spec, panel_of(range(8), start="2024-12-17"), 7)["ahead"]
    assert again.tolist() == inputs["ahead"].tolist()  # they depend on the time, not on the position in the series


def test_attention_sees_the_segments_with_a_value():
    spec = plain_spec(strategy="decoder", attention=True, segment=2, context=6)
    assert given_at(spec, panel_of([1, NAN, NAN, NAN, 3, 4]), 6)["seen"].tolist() == [1, 0, 1]
    assert given_at(spec, panel_of([1, 2, 3]), 3)["seen"].tolist() == [0, 1, 1]


def test_a_series_without_history_is_normalised_by_the_panel():
    spec = plain_spec(context=0, static_covariates=("size",))
    facts = facts_of(spec, with_covariates(panel_of([1, 3], [10, 20], [5, NAN, 7]), size=[0.0] * 7))
    # the means are 2, 15 and 6; from 6 the six values are 5, 3, 4, 14, 1 and 1 away
    assert facts.prior.tolist() == [6, pytest.approx(28 / 6)]
    facts = facts_of(replace(spec, transform="log"), with_covariates(panel_of([1, 0], [np.e**2]), size=[0.0] * 3))
    assert facts.prior.tolist() == [1, 1]  # logarithms 0 and 2; the value 0 has none


def test_facts_are_stored_among_the_weights():
    spec = plain_spec(past_covariates=("load",), static_covariates=("size",))
    facts = Facts(np.float32([1, 2]), np.float32([3, 4]), np.float32([5, 6]), np.float32([7, 8]))
    assert {name: value.shape for name, value in facts.to_weights().items()} == fact_shapes(spec)
    assert all((a == b).all() for a, b in zip(facts_in(facts.to_weights()), facts, strict=True))


def test_the_learned_unit_is_the_usual_spread_of_a_window_and_its_share_of_the_level():
    swings = facts_of(plain_spec(), panel_of([10.0, 30.0] * 20, [100.0, 300.0] * 20))
    assert swings.unit[1] == pytest.approx(0.5, rel=0.2)  # 10 of 20, and 100 of 200
    signed = facts_of(plain_spec(), panel_of([-10.0, 10.0] * 20))
    assert signed.unit.tolist() == [pytest.approx(10, rel=0.2), 0]
    assert facts_of(plain_spec(), panel_of([3.0] * 20)).unit.tolist() == [0, 0]


def test_facts_of_extreme_covariates_are_finite_float32():
    facts = facts_of(plain_spec(past_covariates=("load",)), covariates([1e100, -1e100] * 4))
    assert np.isfinite([*facts.mean, *facts.deviation]).all()


LONG = with_covariates(
    panel_of(np.arange(60.0) ** 2 % 17),
    {"promotion": ("none", "some"), "place": ("north", "south")},
    load=np.arange(60) % 7,
    price=np.arange(60) % 5,
    promotion=np.arange(60) % 2,
    size=np.full(60, 1.5),
    place=np.ones(60),
    area=np.full(60, 2.5),
)


@pytest.mark.parametrize("fields", [*PARTS[::9], *OPTIONS], ids=name_of)
def test_no_value_after_the_origin_changes_the_inputs(fields):
    spec = spec_of(fields)
    changed = replace(LONG, y=np.where(np.arange(60) < 30, LONG.y, 1e3))
    one, other = (given_at(spec, panel, 30) for panel in (LONG, changed))
    assert all((value == other[name]).all() for name, value in one.items())


@given(st.integers(12, 40), st.integers(1, 3), st.integers(1, 5), st.booleans())
def test_after_every_step_targets_are_later_and_inputs_earlier_values(at, segment, horizon, gaps):
    """At step j a network has read j segments: its targets are the points after them, its skip the season before."""
    y = np.arange(60.0)
    y[[at - 7, at - 3, at + 1]] = NAN if gaps else y[[at - 7, at - 3, at + 1]]
    panel = panel_of(y)
    spec = small_spec(strategy="seq2seq", context=12, horizon=horizon, segment=segment, season=4, scaling="last")
    reader = reader_of(spec, panel)
    inputs, targets = window_examples(reader, (ONE, np.array([at])))
    scale = reader.read(ONE, np.array([at]), horizon).scale
    assert targets.shape == (1, 12 // segment, horizon, 1)
    for step in range(12 // segment):
        after = at - 12 + (step + 1) * segment
        assert scale.to_data(targets[0, step].T)[0] == pytest.approx(y[after : after + horizon], nan_ok=True, abs=1e-4)
    served = given_at(spec, panel, at)
    assert inputs["skip"][0, -1].tolist() == served["skip"].tolist()
    assert inputs["past"][0].tolist() == served["past"].tolist()


def test_covariates_known_ahead_belong_to_each_step():
    spec = plain_spec(strategy="seq2seq", future_covariates=("load",))
    reader = reader_of(spec, covariates())
    batch = reader.read(ONE, np.array([4]), 2)
    both = np.concatenate([batch.values, batch.to_window(reader.future(ONE, np.array([4]), 2))], axis=1)
    assert training_inputs(spec, both, batch)["ahead"][0, ..., 0].tolist() == [[1, 2], [2, 3], [3, 4], [4, 5]]


def test_a_past_of_several_windows_is_in_units_of_the_first_with_a_value():
    spec = plain_spec(state="carried", strategy="iterative", scaling="last")
    past = np.array([[NAN, NAN, NAN, NAN, 1, 3, NAN, 5, 100, 200, 300, 400]])
    batch = reader_of(spec, SIGNS).read(ONE, np.array([8]), 1, past)
    # the second window: from 5, in units of (4 + 2 + 0) / 3
    assert batch.values[0].tolist() == pytest.approx(
        [NAN] * 4 + [-2, -1, NAN, 0, 47.5, 97.5, 147.5, 197.5], nan_ok=True
    )
    assert batch.known.shape == (1, 13, 0)
