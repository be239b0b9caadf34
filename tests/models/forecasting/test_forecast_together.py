"""A series gets the same forecast in any batch: a property of every family of networks, with extreme neighbours too."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.data.chunks import split_series
from models.forecasting.forecaster import forecast_together, predict
from models.forecasting.split import ForecastInput
from tests.models.kinds import name_of, pairs, spec_of
from tests.models.samples import flat_calibration, known_panel, ready_of, weights_of

AHEAD = 12
SIZES = st.sampled_from([1e-3, 1.0, 1e6, 1e90])


@st.composite
def histories(draw):
    """1 to 6 series of 1 to 25 points, each of its own scale, with gaps; the last point is observed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    made = []
    for length in draw(st.lists(st.integers(1, 25), min_size=1, max_size=6)):
        y = draw(SIZES) * np.round(rng.normal(draw(st.sampled_from([0, 5])), 1, length), 3)
        y[:-1][rng.random(length - 1) < draw(st.sampled_from([0, 0.1, 0.8]))] = np.nan
        made.append(y)
    return known_panel(rng, AHEAD, *made)


@lru_cache(maxsize=64)
def networks_of(number):
    spec = spec_of(FAMILIES[number])
    return ready_of(spec, weights_of(spec))


FAMILIES = pairs()
few = settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("number", range(len(FAMILIES)), ids=lambda number: name_of(FAMILIES[number]))
@few
@given(panel=histories(), horizon=st.integers(1, 9))
def test_a_series_gets_the_same_prediction_in_a_batch_as_alone(number, panel, horizon):
    networks, at = networks_of(number), panel.observed_lengths
    together = predict(networks, panel, np.arange(len(panel)), at, horizon)
    for i in range(len(panel)):
        alone = predict(networks, panel, np.array([i]), at[i : i + 1], horizon)
        size = max(1.0, np.nanmax(np.abs(panel.series(i))), np.abs(alone.median).max())
        assert np.abs(alone.median[0] - together.median[i]).max() <= 1e-6 * size
        assert (alone.spread[0] == together.spread[i]).all()
        if alone.quantiles is not None:
            size = max(size, np.abs(alone.quantiles).max())
            assert np.abs(alone.quantiles[0] - together.quantiles[i]).max() <= 1e-6 * size


PLAIN = [number for number, fields in enumerate(FAMILIES) if "static_covariates" not in fields]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    number=st.sampled_from(PLAIN),
    panel=histories(),
    most=st.integers(1, 3),
    wants=st.lists(st.tuples(st.integers(1, 9), st.sampled_from([(), (80,), (50, 95)])), min_size=6, max_size=6),
)
def test_requests_forecast_in_one_pass_get_the_same_as_each_alone(number, panel, most, wants):
    """Requests with different horizons and levels, as the batcher joins them."""
    networks, calibration = networks_of(number), flat_calibration(4)
    parts = list(split_series(without_covariates(panel), most))
    asks = [ForecastInput(part, *want) for part, want in zip(parts, wants, strict=False)]
    for ask, made in zip(asks, forecast_together(networks, calibration, asks), strict=True):
        (alone,) = forecast_together(networks, calibration, [ask])
        assert (made.ids, made.notes, made.median.shape) == (alone.ids, alone.notes, alone.median.shape)
        assert (made.starts == alone.starts).all()
        sizes = np.array([[max(1.0, np.nanmax(np.abs(y)))] for _, y in ask.panel])
        sizes = np.maximum(sizes, np.abs(alone.median).max(axis=1, keepdims=True))
        assert (np.abs(made.median - alone.median) <= 1e-6 * sizes).all()
        for level in ask.levels:
            for side in ("lo", "hi"):
                one, other = (getattr(each.intervals[level], side) for each in (made, alone))
                assert (np.abs(one - other) <= 1e-6 * np.maximum(sizes, np.abs(other))).all()


def without_covariates(panel):
    """Return the series without future covariates: panels with covariates are forecast alone."""
    return panel.__class__(
        panel.ids,
        panel.starts,
        np.concatenate([y[:-AHEAD] for _, y in panel]),
        np.cumsum([0, *(panel.lengths - AHEAD)]),
        panel.freq,
    )
