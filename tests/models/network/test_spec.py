"""Specs and training settings: sizes, JSON, and the combinations that are refused."""

import pytest

from models.data.bounds import Bounds
from models.errors import SpecError
from models.network.build import input_shapes
from models.network.sizes import check_training, forecast_flop
from models.network.spec import Spec, Training
from tests.models.kinds import KNOWN, OPTIONS, PARTS, name_of, spec_of
from tests.models.samples import helpful, small_spec


@pytest.mark.parametrize("fields", [PARTS[0], PARTS[-1], *OPTIONS], ids=name_of)
def test_a_spec_goes_to_json_and_back(fields):
    spec = spec_of(fields)
    assert Spec.from_json(spec.to_json()) == spec


def test_settings_of_a_training_go_to_json_and_back():
    training = Training(clip_value=0.5, carry=3)
    assert Training.from_json(training.to_json()) == training
    assert Training.from_json({}) == Training()


@pytest.mark.parametrize(
    ("strategy", "outputs"),
    [("iterative", 2), ("direct", 4), ("seq2seq", 4), ("decoder", 4), ("parallel", 4), ("seasonal_naive", 4)],
)
def test_a_spec_knows_how_many_steps_its_network_predicts(strategy, outputs):
    assert small_spec(strategy=strategy, segment=2).outputs == outputs


@pytest.mark.parametrize(
    ("loss", "parameters"), [("mae", 1), ("mse", 1), ("huber", 1), ("quantile", 3), ("normal", 2), ("student_t", 2)]
)
def test_a_spec_knows_how_many_numbers_its_network_gives_for_each_step(loss, parameters):
    assert small_spec(loss=loss, quantiles=(0.1, 0.5, 0.9)).parameters == parameters


def test_a_spec_knows_the_channels_that_its_network_reads():
    spec = small_spec(**KNOWN, season=7)
    # price; promotion in two values; four of the calendar of days (place in week and year); holidays
    calendar = small_spec(calendar=True, season=7).ahead_channels
    assert calendar > 0
    assert spec.ahead_channels == 1 + 2 + calendar + 1
    assert spec.static_channels == 1 + 2
    assert spec.channels == 3 + 1 + spec.ahead_channels  # value, observed, lag; load
    assert input_shapes(spec) == {
        "past": (10, spec.channels),
        "static": (3,),
        "ahead": (4, spec.ahead_channels),
        "skip": (4, 2),
    }


@pytest.mark.parametrize(
    ("fields", "skip", "lags"),
    [
        ({"season": 3}, 2, True),
        ({"season": 1}, 1, False),
        ({"season": 11}, 1, False),  # its window of 10 does not hold it
        ({"season": 11, "state": "carried", "strategy": "iterative"}, 1, False),
        ({"skip": False}, 0, True),
        ({"strategy": "seasonal_naive"}, 0, True),
        ({"context": 0, "static_covariates": ("size",)}, 0, False),
    ],
)
def test_a_network_reads_the_naive_forecasts_and_lags_that_its_window_holds(fields, skip, lags):
    spec = small_spec(**fields)
    assert (spec.skip_channels, spec.lags) == (skip, lags)


BAD_FIELDS = [
    ("freq", "never"),
    ("freq", None),
    ("cell", "perceptron"),
    ("cell", None),
    ("cell", []),
    ("encoder", "none"),
    ("strategy", "guess"),
    ("season", 0),
    ("context", -1),
    ("context", 1),
    ("context", 10_001),
    ("horizon", 0),
    ("horizon", 1.5),
    ("horizon", "3"),
    ("segment", 0),
    ("units", True),
    ("units", 10**400),
    ("depth", 9),
    ("depth", float("nan")),
    ("dropout", 1.0),
    ("attention", 1),
    ("state", "solid"),
    ("scaling", "none"),
    ("transform", "sqrt"),
    ("skip", "yes"),
    ("loss", "hinge"),
    ("quantiles", ()),
    ("quantiles", (0.1, 0.9)),
    ("quantiles", (0.5, 0.1)),
    ("quantiles", (0.5, 0.5)),
    ("quantiles", (0.0, 0.5)),
    ("quantiles", (0.5, float("nan"))),
    ("quantiles", 0.5),
    ("past_covariates", ("",)),
    ("past_covariates", "load"),
    ("future_covariates", ("a", "a")),
    ("future_covariates", tuple(f"c{i}" for i in range(51))),
    ("static_covariates", ({},)),
    ("categories", (("place", ("north",)),)),  # its covariate is in no role
    ("categories", 3),
    ("categories", (({}, ("x",)),)),
    ("calendar", None),
    ("holidays", "Atlantis"),
    ("holidays", 3),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS, ids=lambda value: str(value)[:20])
def test_a_bad_field_of_a_spec_is_named(field, value):
    with pytest.raises(SpecError) as caught:
        small_spec(**{field: value})
    (fault,) = caught.value.faults
    assert fault.field == field
    assert helpful(fault)


@pytest.mark.parametrize(
    "categories",
    [
        (("a", ()),),
        (("a", (1,)),),
        (("a", ("x",)), ("a", ("y",))),
        (("a", tuple(f"v{i}" for i in range(201))),),
    ],
    ids=["empty", "numbers", "twice", "too many"],
)
def test_bad_categories_are_refused(categories):
    with pytest.raises(SpecError) as caught:
        small_spec(static_covariates=("a",), categories=categories)
    assert [fault.field for fault in caught.value.faults] == ["categories"]
    assert all(map(helpful, caught.value.faults))


TOGETHER = [
    ({"segment": 3}, "segment"),
    ({"context": 9, "segment": 3, "strategy": "decoder"}, "segment"),  # does not divide the horizon of 4
    ({"past_covariates": ("a",), "future_covariates": ("a",)}, "future_covariates"),
    ({"attention": True, "strategy": "direct"}, "attention"),
    ({"attention": True, "strategy": "decoder", "encoder": "convlstm", "cell": "lstm", "season": 5}, "attention"),
    ({"encoder": "convlstm", "cell": "gru", "season": 5}, "cell"),
    ({"encoder": "convlstm", "cell": "lstm", "season": 3}, "context"),
    ({"encoder": "convlstm", "cell": "lstm", "season": 1}, "context"),
    ({"encoder": "convlstm", "cell": "lstm", "season": 5, "segment": 2}, "segment"),
    ({"encoder": "convlstm", "cell": "lstm", "season": 5, "strategy": "seq2seq"}, "strategy"),
    ({"state": "carried", "encoder": "bidirectional"}, "state"),
    ({"state": "carried", "strategy": "decoder"}, "state"),
    ({"state": "carried", "strategy": "parallel"}, "state"),
    ({"state": "carried", "strategy": "seasonal_naive"}, "state"),
    ({"state": "carried", "segment": 2}, "segment"),
    ({"state": "carried", "scaling": "seasonal"}, "scaling"),
    ({"scaling": "seasonal", "season": 1}, "scaling"),
    ({"scaling": "seasonal", "season": 11}, "scaling"),
    ({"scaling": "seasonal", "season": 3, "strategy": "seq2seq"}, "scaling"),
    ({"scaling": "panel", "transform": "log"}, "transform"),
    ({"strategy": "seasonal_naive", "loss": "quantile"}, "loss"),
    ({"context": 0}, "context"),
    ({"context": 0, "static_covariates": ("a",), "past_covariates": ("b",)}, "past_covariates"),
    ({"context": 0, "static_covariates": ("a",), "strategy": "iterative"}, "strategy"),
    ({"context": 0, "static_covariates": ("a",), "strategy": "seq2seq"}, "strategy"),
    ({"context": 0, "static_covariates": ("a",), "encoder": "bidirectional"}, "encoder"),
    ({"context": 0, "static_covariates": ("a",), "state": "carried"}, "encoder"),
]


@pytest.mark.parametrize(("fields", "named"), TOGETHER, ids=str)
def test_contradicting_fields_are_refused_with_the_one_to_change(fields, named):
    with pytest.raises(SpecError) as caught:
        small_spec(**fields)
    (fault,) = caught.value.faults
    assert (fault.code, fault.field) == ("contradiction", named)
    assert helpful(fault)


BAD_SETTINGS = [("learning_rate", value) for value in (0, float("nan"), float("inf"), "fast", None)]
BAD_SETTINGS += [("seed", -1), ("max_epochs", 0), ("batch_size", 2.0), ("clip_norm", 0.0), ("patience", False)]
BAD_SETTINGS += [("clip_value", -1.0), ("carry", 0), ("weight_decay", 2.0)]


@pytest.mark.parametrize(("field", "value"), BAD_SETTINGS)
def test_a_bad_training_setting_is_named(field, value):
    with pytest.raises(SpecError) as caught:
        Training(**{field: value})
    assert [fault.field for fault in caught.value.faults] == [field]


@pytest.mark.parametrize(
    ("spec", "training", "named"),
    [
        ({"units": 1024, "depth": 8, "context": 1000}, {}, "batch_size"),
        ({}, {"carry": 2}, "carry"),
        ({"state": "carried"}, {"carry": 2, "patience": 3}, "patience"),
    ],
)
def test_training_settings_that_contradict_the_spec_are_refused(spec, training, named):
    with pytest.raises(SpecError) as caught:
        check_training(small_spec(**spec), Training(**training))
    assert [fault.field for fault in caught.value.faults] == [named]
    assert all(map(helpful, caught.value.faults))
    check_training(small_spec(), Training())
    check_training(small_spec(state="carried"), Training(carry=2))


def test_all_faults_of_a_spec_are_reported_together():
    with pytest.raises(SpecError) as caught:
        Spec(freq="x", season=0, context=-1, horizon=0, cell="x", strategy="x", units=0, depth=0, holidays="x")
    fields = {fault.field for fault in caught.value.faults}
    assert fields == {"freq", "season", "context", "horizon", "cell", "strategy", "units", "depth", "holidays"}


def test_unknown_and_missing_fields_are_reported_with_the_known_ones():
    with pytest.raises(SpecError) as caught:
        Spec.from_json({"freq": "D", "colour": "red", "season": 7, "context": 9})
    found = [(fault.code, fault.field) for fault in caught.value.faults]
    assert found == [("unknown_field", None), ("missing_field", "horizon")]
    assert "no field 'colour'" in str(caught.value)
    assert "the fields are freq, season, context" in str(caught.value)


def test_operations_of_a_forecast_grow_with_horizon_units_context_and_depth():
    base = small_spec(units=64)
    assert forecast_flop(base, 8) == 2 * forecast_flop(base, 4)
    for fields in (
        {"units": 128},
        {"context": 20},
        {"depth": 2},
        {"encoder": "bidirectional"},
        {"strategy": "decoder"},
    ):
        assert forecast_flop(small_spec(**{"units": 64, **fields}), 4) > forecast_flop(base, 4)
    assert forecast_flop(small_spec(units=64, segment=5), 4) < forecast_flop(base, 4)


def test_a_value_out_of_range_is_reported_to_the_last_digit() -> None:
    with pytest.raises(SpecError) as refused:
        Training(seed=2**31)
    [fault] = refused.value.faults
    assert (fault.message, fault.hint) == ("seed is 2147483648", "give 0 to 2147483647")


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((1.0,), "is no pair of numbers"),
        ((0.0, 1e101), "is no pair of numbers"),
        ((0.0, float("nan")), "is no pair of numbers"),
        ((True, 4.0), "is no pair of numbers"),
        (("0", None), "is no pair of numbers"),
        ((4.0, 4.0), "the lowest value 4 is not below the highest 4"),
    ],
)
def test_bounds_that_no_series_can_have_are_refused(bounds, message):
    with pytest.raises(SpecError) as caught:
        small_spec(bounds=bounds)
    (fault,) = caught.value.faults
    assert (fault.code, fault.field) == ("bad_field", "bounds")
    assert message in fault.message
    assert helpful(fault)


def test_bounds_below_zero_contradict_non_negative():
    with pytest.raises(SpecError) as caught:
        small_spec(bounds=(None, 0), non_negative=True)
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [("contradiction", "bounds")]


def test_the_limits_of_a_spec_are_its_bounds_and_zero_if_it_is_non_negative():
    assert small_spec().limits == Bounds()
    assert small_spec(non_negative=True, bounds=(-4, 9)).limits == Bounds(0.0, 9.0)
    assert small_spec(bounds=(None, 9)).to_json()["bounds"] == [None, 9]
    assert Spec.from_json(small_spec(bounds=(None, 9)).to_json()).bounds == (None, 9)


@pytest.mark.parametrize(
    ("fields", "gives_mean"),
    [
        ({"loss": "mse"}, True),
        ({"loss": "normal"}, True),
        ({"loss": "mse", "transform": "log"}, False),  # e to the mean of logarithms is no mean
        ({"loss": "mae"}, False),
        ({"loss": "quantile"}, False),
        ({"loss": "student_t"}, False),
        ({"strategy": "seasonal_naive"}, True),
    ],
)
def test_a_spec_knows_whether_its_network_gives_a_mean(fields, gives_mean):
    assert small_spec(**fields).gives_mean == gives_mean
