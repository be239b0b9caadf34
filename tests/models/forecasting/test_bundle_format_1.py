"""Bundles that release 0.1 wrote, with the forecasts that it gave: they are served unchanged."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.data.serialization import unpack
from models.engines.onnx import OnnxEngine
from models.errors import BundleError
from models.forecasting import bundle
from models.forecasting.forecaster import forecast, make_runnable
from tests.models.samples import panel_of, with_header

OLD = Path(__file__).parent / "bundles"
OLD_KINDS = sorted(path.stem for path in OLD.glob("*.bundle"))


@pytest.mark.parametrize("kind", OLD_KINDS)
def test_a_bundle_of_format_1_gives_the_same_forecasts_as_before(kind):
    """The second step of an iterative one is the exception: since then each pass is normalised again."""
    recorded = json.loads((OLD / "format_1.json").read_text())
    back = bundle.from_bytes((OLD / f"{kind}.bundle").read_bytes())
    found = forecast(make_runnable(back.members, OnnxEngine), back.calibration, panel_of(*recorded["series"]), 2, [80])
    expected, steps = recorded["forecasts"][kind], 1 if "iterative" in kind else 2
    mean, radius = np.array(expected["mean"])[:, :steps], np.array(expected["radius_80"])[:, :steps]
    assert found.median[:, :steps] == pytest.approx(mean, rel=1e-6)
    assert found.intervals[80].lo[:, :steps] == pytest.approx(mean - radius, rel=1e-6)
    assert found.intervals[80].hi[:, :steps] == pytest.approx(mean + radius, rel=1e-6)


def test_there_are_bundles_of_format_1_and_they_are_rewritten_in_format_3():
    assert len(OLD_KINDS) == 6
    data = bundle.to_bytes(bundle.from_bytes((OLD / "lstm_seq2seq.bundle").read_bytes()))
    header, _ = unpack(data)
    assert (header["format"], len(header["members"]), header["shares"]) == (3, 1, [1.0])
    assert header["intervals"] == "additive"


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("spec"),
        lambda header: header.update(spec=[["freq", "D"]]),
        lambda header: header["spec"].pop("freq"),
        lambda header: header["spec"].update(units=5),
        lambda header: header["spec"].update(depth=2),
        lambda header: header["arrays"].pop(),
        lambda header: next(a for a in header["arrays"] if a["name"] == "cell_0/kernel").update(shape=[1, 24]),
        lambda header: next(a for a in header["arrays"] if a["name"] == "cell_0/kernel").update(shape=[24]),
        lambda header: next(a for a in header["arrays"] if a["name"] == "cell_0/kernel").update(name="x"),
        lambda header: next(a for a in header["arrays"] if "radii" in a["name"]).update(name="cell_0/radii"),
    ],
)
def test_a_wrong_bundle_of_format_1_is_refused_too(change):
    with pytest.raises(BundleError):
        bundle.from_bytes(with_header((OLD / "gru_seq2seq.bundle").read_bytes(), change))
