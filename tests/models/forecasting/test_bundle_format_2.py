"""A bundle of format 2 with quantiles and seasonal naive: its additive intervals are served, and keep the contract."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.data.serialization import unpack
from models.engines.onnx import OnnxEngine
from models.evaluation.additive_intervals import AdditiveCalibration
from models.evaluation.intervals import Calibration
from models.forecasting import bundle
from models.forecasting.forecaster import forecast, make_runnable
from tests.models.samples import panel_of, small_spec, weights_of

OLD = Path(__file__).parent / "bundles" / "format_2"
DATA = (OLD / "quantile_direct.bundle").read_bytes()
RECORDED = json.loads((OLD / "forecasts.json").read_text())


def made(horizon, levels):
    back = bundle.from_bytes(DATA)
    return forecast(
        make_runnable(back.members, OnnxEngine), back.calibration, panel_of(*RECORDED["series"]), horizon, levels
    )


def test_a_bundle_of_format_2_gives_the_same_forecasts_and_intervals_as_before():
    found = made(3, [80, 95])
    assert found.median == pytest.approx(np.array(RECORDED["median"]), rel=1e-6)
    for level, interval in RECORDED["intervals"].items():
        assert found.intervals[int(level)].lo == pytest.approx(np.array(interval["lo"]), rel=1e-6)
        assert found.intervals[int(level)].hi == pytest.approx(np.array(interval["hi"]), rel=1e-6)


def test_its_negative_radii_narrow_an_interval_no_further_than_to_the_median():
    """Its radii are -0.4 window units at 1 %, which crossed the bounds."""
    for lo, hi in made(3, [1, 5, 20]).intervals.values():
        assert ((lo < hi) & (hi > lo)).all()
    found = made(3, [1, 5, 20])
    assert all(((lo <= found.median) & (found.median <= hi)).all() for lo, hi in found.intervals.values())


def test_its_intervals_do_not_begin_again_beyond_the_trained_steps():
    (interval,) = made(12, [80]).intervals.values()
    widths = interval.hi - interval.lo
    assert widths[:, 3:] == pytest.approx(widths[:, 2:3] * np.sqrt(np.arange(4, 13) / 3))


def test_it_is_written_again_as_additive_and_gives_the_same_intervals():
    back = bundle.from_bytes(DATA)
    again = bundle.to_bytes(back)
    header, arrays = unpack(again)
    assert (header["format"], header["intervals"]) == (3, "additive")
    assert arrays["0/facts/unit"].tolist() == [0, 0]
    assert type(bundle.from_bytes(again).calibration) is AdditiveCalibration


def test_radii_beyond_the_horizon_are_stored():
    spec, beyond = small_spec(), np.sort(np.random.default_rng(0).random((4, 99)), axis=1).astype(np.float32)
    member = bundle.Member(spec, weights_of(spec))
    known = Calibration(np.ones((4, 99), np.float32), 199, beyond)
    back = bundle.from_bytes(bundle.to_bytes(bundle.Forecaster((member,), known))).calibration
    assert type(back) is Calibration
    assert back.beyond.tolist() == beyond.tolist()
