"""Contract of the intervals: it holds for every loss, transform, scaling, strategy and mixture, at any horizon."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.transforms import TRANSFORMS
from models.engines.onnx import OnnxEngine
from models.evaluation.additive_intervals import AdditiveCalibration
from models.evaluation.intervals import LEVELS, Calibration, Interval
from models.evaluation.radii import RANGES
from models.forecasting.forecaster import ForecastInput, Member, forecast, forecast_together, make_runnable
from models.forecasting.session import append, begin, forecast_session
from models.network.inputs import Facts
from models.network.losses import LOSSES
from models.network.scaling import SCALINGS
from models.network.strategies import STRATEGIES
from tests.models.kinds import spec_of
from tests.models.samples import panel_of, weights_of

HORIZON, REACH = 4, 16
WANTED = [10, 50, 80, 95]
LEARNED = np.array([2.0, 0.25], dtype=np.float32)
SCALES = np.linspace(3.0, 0.3, 99)  # adapted most where levels are low: without care, intervals would cross
KINDS = [
    *({"loss": loss, "transform": transform} for loss in LOSSES for transform in TRANSFORMS),
    *({"loss": "quantile", "scaling": scaling, "strategy": "direct"} for scaling in SCALINGS if scaling != "panel"),
    *({"loss": "quantile", "strategy": strategy} for strategy, one in STRATEGIES.items() if one.learns),
    {"strategy": "seasonal_naive"},
    {"loss": "quantile", "state": "carried", "strategy": "iterative"},
]


@lru_cache(maxsize=100)
def networks_of(kind: int):
    """Return networks of random weights; every other kind is mixed with seasonal naive, which has no transform."""
    spec = spec_of({"strategy": "direct", "horizon": HORIZON, "season": 3, "context": 9, **KINDS[kind]})
    members = [Member(spec, {**weights_of(spec), "facts/unit": LEARNED}, 0.7)]
    if kind % 2 and spec.strategy != "seasonal_naive":
        naive = spec_of({"strategy": "seasonal_naive", "horizon": HORIZON, "season": 3, "context": 9})
        members.append(Member(naive, Facts.none()._replace(unit=LEARNED).to_weights(), 0.3))
    return make_runnable(members, OnnxEngine)


def calibration_of(seed: int, family: type[Calibration]) -> Calibration:
    """Return radii that vary between steps and grow with the level; those of additive intervals may be negative."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(0.1, 3, (HORIZON, 1)) * np.sort(rng.exponential(size=99)) - (family is not Calibration)
    beyond = np.sort(rng.uniform(0.1, 4, (len(RANGES), 1)), axis=0) * np.sort(rng.exponential(size=99))
    measured = family is Calibration and seed % 3 > 0
    made = family(steps.astype(np.float32), 500, beyond.astype(np.float32) if measured else None)
    return made.with_scales(SCALES if seed % 2 else None)


def histories(seed: int):
    """Return positive series that vary, one that is short, one with a single value, and one that is constant."""
    rng = np.random.default_rng(seed)
    return panel_of(
        rng.lognormal(3, 1, 30), rng.lognormal(3, 0.1, 12) * 1e6, [5.0, 9.0], [*[np.nan] * 8, 16.0], [7.0] * 20
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(KINDS) - 1), st.integers(0, 10_000), st.sampled_from([Calibration, AdditiveCalibration]))
def test_intervals_hold_the_median_are_nested_and_never_fall_beyond_the_trained_steps(kind, seed, family):
    made = forecast(networks_of(kind), calibration_of(seed, family), histories(seed), REACH, WANTED)
    rounding = 1e-9 * np.abs(made.median)
    varies, constant = slice(0, 4), 4
    inner: Interval | None = None
    for lo, hi in made.intervals.values():
        assert np.isfinite([lo, hi]).all()
        assert ((lo <= made.median) & (made.median <= hi)).all()
        width = hi - lo
        assert (width[varies] > 0).all() or family is AdditiveCalibration
        assert (width[constant] == 0).all()
        assert (width[:, HORIZON:] >= width[:, HORIZON - 1 : -1] * (1 - 1e-9) - rounding[:, HORIZON:]).all()
        if inner is not None:
            assert ((lo <= inner.lo + rounding) & (inner.hi - rounding <= hi)).all()
        inner = Interval(lo, hi)
    if KINDS[kind].get("transform", "none") != "none":
        assert (made.median > 0).all()
        assert all((interval.lo > 0).all() for interval in made.intervals.values())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, len(KINDS) - 1), st.integers(0, 10_000))
def test_a_series_has_the_same_intervals_alone_and_beside_others(kind, seed):
    networks, calibration, panel = networks_of(kind), calibration_of(seed, Calibration), histories(seed)
    alone = [forecast(networks, calibration, panel.select([name]), REACH, WANTED) for name in panel.ids]
    inputs = [ForecastInput(panel.select([name]), REACH - 3 * i, WANTED) for i, name in enumerate(panel.ids)]
    for one, made in zip(alone, forecast_together(networks, calibration, inputs), strict=True):
        size = np.abs(one.median).max()
        assert [note.code for note in made.notes][-1:] == [note.code for note in one.notes][-1:]
        for level, (lo, hi) in made.intervals.items():
            steps = lo.shape[1]
            assert lo == pytest.approx(one.intervals[level].lo[:, :steps], rel=1e-5, abs=1e-5 * size)
            assert hi == pytest.approx(one.intervals[level].hi[:, :steps], rel=1e-5, abs=1e-5 * size)


def test_the_intervals_of_a_session_are_those_of_a_forecast():
    networks, calibration, panel = networks_of(len(KINDS) - 1), calibration_of(1, Calibration), histories(3)
    made = forecast_session(networks, calibration, begin(networks, panel, 1), REACH, WANTED)
    plain = forecast(networks, calibration, panel, REACH, WANTED)
    for level in WANTED:
        assert made.intervals[level].lo == pytest.approx(plain.intervals[level].lo, rel=1e-5)


def test_a_new_series_of_one_row_has_a_width_in_a_session_too():
    networks, calibration = networks_of(len(KINDS) - 1), calibration_of(1, Calibration)
    session = begin(networks, panel_of([5.0, 9.0, 4.0, 8.0] * 5), 2)
    rows = replace(panel_of([16.0]), ids=("new",), starts=session.tail.timestamp(0, 20)[None])
    made = forecast_session(networks, calibration, append(networks, session, rows).select(["new"]), REACH, [80])
    assert (made.intervals[80].hi - made.intervals[80].lo > 1).all()
    assert [note.code for note in made.notes if note.unique_id][-1] == "spread_unknown"


def test_one_observed_value_has_an_interval_as_wide_as_a_usual_series_varies():
    narrow = Calibration(np.full((HORIZON, len(LEVELS)), 0.01, np.float32), 1000)
    panel = panel_of([20.0, 10.0] * 20 + [np.nan] * 40 + [16.0])
    made = forecast(networks_of(0), narrow, panel, HORIZON, [80, 95])
    widths = {level: interval.hi - interval.lo for level, interval in made.intervals.items()}
    # A usual series of this model varies by a quarter of its level, 4: a normal value with this mean absolute deviation
    # has a standard deviation of 4 sqrt(pi / 2) = 5.0133; 80 % are within 1.28155 of these, 95 % within 1.95996.
    assert widths[80] == pytest.approx(np.full((1, HORIZON), 12.8496), rel=1e-4)
    assert widths[95] == pytest.approx(np.full((1, HORIZON), 19.6516), rel=1e-4)


def test_few_values_are_said_to_have_an_unknown_spread_and_equal_ones_to_be_constant():
    made = forecast(networks_of(3), calibration_of(0, Calibration), histories(1), HORIZON, [80])
    codes = {note.unique_id: note.code for note in made.notes if note.code in ("spread_unknown", "constant_history")}
    assert codes == {"s3": "spread_unknown", "s4": "constant_history"}


def test_a_history_with_zeros_is_said_to_be_read_without_the_transform():
    kind = KINDS.index({"loss": "quantile", "transform": "log"})
    made = forecast(networks_of(kind), calibration_of(0, Calibration), panel_of([0.0, 3.0] * 6, [2.0, 3.0] * 6), 2, [])
    assert [(note.code, note.unique_id) for note in made.notes] == [("not_transformed", "s0")]


def test_a_model_of_constant_series_answers_any_level_without_width():
    nothing = Calibration(np.full((HORIZON, len(LEVELS)), np.nan, np.float32), 0)
    made = forecast(networks_of(0), nothing, panel_of([5.0] * 20, [-0.25] * 20), 7, [80])
    assert made.median.tolist() == [[5.0] * 7, [-0.25] * 7]
    assert made.intervals[80].lo.tolist() == made.intervals[80].hi.tolist() == made.median.tolist()
    assert [note.code for note in made.notes][1:] == ["constant_history"] * 2
