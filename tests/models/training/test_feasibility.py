"""Members that cannot be trained or scored on a panel are refused, with the field and a remedy."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import InputError
from models.network.spec import Spec, Training
from models.training.feasibility import check, warm_start_specs
from models.training.member_plan import MemberPlan
from tests.fakes import random_forecaster, says, seasonal_naive, together
from tests.models.samples import panel_of, with_covariates

DAYS = 120
COLUMNS = {
    "price": [float(i % 5) for i in range(DAYS)],
    "flat": [1.0] * DAYS,
    "empty": [np.nan] * DAYS,
    "late": [np.nan] * 100 + [float(i) for i in range(20)],  # most of its values lie within the backtest
    "rare": [float(i) if i % 3 == 0 else np.nan for i in range(DAYS)],
}
PANEL = with_covariates(panel_of([float(i % 7) for i in range(DAYS)]), **COLUMNS)
SPEC = Spec(freq="D", season=7, context=14, horizon=5)


def refusal(spec=SPEC, training=None, panel=PANEL, searches=False):
    with pytest.raises(InputError) as caught:
        check(panel, [MemberPlan(SPEC, Training()), MemberPlan(spec, training or Training())], searches)
    return caught.value.faults[0]


def test_members_that_can_be_trained_and_scored_pass():
    check(PANEL, [MemberPlan(replace(SPEC, past_covariates=("price", "rare")), Training(patience=2))])


@pytest.mark.parametrize(
    ("changes", "code", "field", "message"),
    [
        ({"context": 121}, "too_short", "context", "the longest has 120 points"),
        ({"past_covariates": ("x",)}, "missing_covariate", "past_covariates", "there is no covariate 'x'"),
        ({"past_covariates": ("flat",)}, "constant_covariate", "past_covariates", "'flat' is the same everywhere"),
        ({"future_covariates": ("empty",)}, "constant_covariate", "future_covariates", "'empty' has no value"),
        ({"future_covariates": ("late",)}, "constant_covariate", "future_covariates", "before the backtest"),
        ({"future_covariates": ("rare",)}, "unknown_future", "future_covariates", "is known at only"),
        ({"transform": "log"}, "not_positive", "transform", "needs values above 0; series 's0' has 0"),
        ({"transform": "boxcox"}, "not_positive", "transform", "needs values above 0"),
        ({"static_covariates": ("price",)}, "constant_covariate", "static_covariates", "is the same everywhere"),
    ],
)
def test_a_spec_that_cannot_work_on_the_data_is_refused(changes, code, field, message):
    fault = refusal(replace(SPEC, **changes))
    assert (fault.code, fault.field) == (code, field)
    assert message in fault.message
    assert fault.hint


def test_a_training_that_needs_too_much_memory_is_refused():
    large = replace(SPEC, context=21, horizon=7, units=1024, depth=8, segment=1)
    assert refusal(large, Training(batch_size=8192)).code == "batch_too_large"


def test_a_horizon_that_leaves_too_little_to_train_on_is_refused():
    spec = replace(SPEC, horizon=119)
    with pytest.raises(InputError) as caught:
        check(PANEL, [MemberPlan(spec, Training())])
    assert (caught.value.faults[0].code, caught.value.faults[0].field) == ("too_short", "horizon")


def test_a_search_validates_before_the_backtest_and_needs_longer_series():
    short, spec = panel_of([float(i % 7) for i in range(30)]), replace(SPEC, context=8, horizon=9)
    check(short, [MemberPlan(spec, Training())])
    with pytest.raises(InputError) as caught:
        check(short, [MemberPlan(spec, Training())], searches=True)
    assert caught.value.faults[0].code == "too_short"


def parent(**changes):
    return random_forecaster(season=7, context=14, horizon=5, segment=7, units=4, **changes)


def test_a_warm_start_continues_the_members_with_weights():
    forecaster = together(parent(cell="lstm"), parent(loss="mse"), seasonal_naive(season=7, context=14, horizon=5))
    specs = warm_start_specs(PANEL, {}, forecaster, "demand@1")
    assert specs == [member.spec for member in forecaster.members[:2]]
    changed = warm_start_specs(PANEL, {"scaling": "level"}, forecaster, "demand@1")
    assert [(spec.scaling, spec.cell) for spec in changed] == [("level", "lstm"), ("level", "gru")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"units": 8}, "units"),
        ({"cell": "rnn", "units": 8}, "cell"),
        ({"dropout": 0.5, "depth": 2}, "depth"),
        ({"context": 28, "horizon": 6}, "horizon"),
        ({"future_covariates": ["price"]}, "future_covariates"),
    ],
)
def test_a_warm_start_whose_weights_do_not_fit_names_the_field(changes, field):
    with pytest.raises(InputError) as caught:
        warm_start_specs(PANEL, changes, parent(), "demand@1")
    fault = caught.value.faults[0]
    assert (fault.code, fault.field) == ("other_weights", field)
    assert "in demand@1, whose weights do not fit" in fault.message


def test_a_parent_without_weights_or_of_another_frequency_is_refused():
    for forecaster, code in [(seasonal_naive(), "bad_field"), (says(1, 2, freq="h"), "other_frequency")]:
        with pytest.raises(InputError) as caught:
            warm_start_specs(PANEL, {}, forecaster, "other@1")
        assert (caught.value.faults[0].code, caught.value.faults[0].field) == (code, "warm_start_from")


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"bounds": (0, 5)}, "bounds", "the history has the value 6, which is above 5"),
        ({"bounds": (1, None)}, "bounds", "the history has the value 0, which is below 1"),
    ],
)
def test_bounds_that_the_data_are_out_of_are_refused(changes, field, message):
    fault = refusal(replace(SPEC, **changes))
    assert (fault.code, fault.field, fault.unique_id) == ("out_of_bounds", field, "s0")
    assert fault.message == message


def test_non_negative_is_refused_for_data_below_zero():
    fault = refusal(replace(SPEC, non_negative=True), panel=panel_of([float(i % 7 - 3) for i in range(DAYS)]))
    assert (fault.code, fault.field) == ("out_of_bounds", "non_negative")
    assert fault.message == "the history has the value -3, which is below 0"
