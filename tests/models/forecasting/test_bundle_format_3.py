"""A kept bundle of format 3: an ensemble with seasonal naive and a carried state, whose intervals are nested."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.engines.onnx import OnnxEngine
from models.forecasting import bundle
from models.forecasting.forecaster import forecast, make_runnable
from tests.models.samples import panel_of

KEPT = Path(__file__).parent / "bundles" / "format_3"
DATA = (KEPT / "ensemble.bundle").read_bytes()


def test_a_bundle_of_format_3_gives_the_forecasts_that_were_recorded():
    """The last two of the five steps are beyond the trained ones."""
    recorded = json.loads((KEPT / "forecasts.json").read_text())
    back = bundle.from_bytes(DATA)
    panel = panel_of(*recorded["series"])
    found = forecast(make_runnable(back.members, OnnxEngine), back.calibration, panel, 5, [80, 95])
    assert found.median == pytest.approx(np.array(recorded["median"]), rel=1e-6)
    assert found.mean == pytest.approx(np.array(recorded["mean"]), rel=1e-6)
    for level, interval in recorded["intervals"].items():
        assert found.intervals[int(level)].lo == pytest.approx(np.array(interval["lo"]), rel=1e-6)
        assert found.intervals[int(level)].hi == pytest.approx(np.array(interval["hi"]), rel=1e-6)


def test_it_is_written_again_byte_for_byte():
    assert bundle.to_bytes(bundle.from_bytes(DATA)) == DATA
