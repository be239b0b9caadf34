"""The served networks: small ones with random weights, as only speed counts."""

from dataclasses import replace

import numpy as np

from models.evaluation.intervals import LEVELS, Calibration
from models.forecasting.forecaster import Forecaster, Member
from models.network.build import weight_shapes
from models.network.inputs import fact_shapes
from models.network.spec import Spec
from models.types import Weights

SPEC = Spec(
    freq="h",
    season=1,
    context=50,
    horizon=10,
    cell="gru",
    strategy="direct",
    units=20,
    depth=2,
    scaling="last",
    skip=False,
)
CARRIED = replace(SPEC, context=512, state="carried")
USUAL = replace(CARRIED, units=64)  # as many as a spec has that does not say
RESIDUALS = 999  # that the intervals are said to stand on
SPREAD_OF_WEIGHTS = 0.3
# No series is outside of this range, but each is judged by it, as by that of a trained model.
USUAL_RATIOS = np.array([[0, 0], [1e6, 1e6]], dtype=np.float32)


def random_weights(spec: Spec, seed: int = 0) -> Weights:
    """Return random weights of the shapes of ``spec``."""
    rng = np.random.default_rng(seed)
    shapes = weight_shapes(spec)
    weights = {name: rng.normal(0, SPREAD_OF_WEIGHTS, shape).astype(np.float32) for name, shape in shapes.items()}
    facts = {name: np.zeros(shape, np.float32) for name, shape in fact_shapes(spec).items()}
    return weights | facts | {"facts/usual": USUAL_RATIOS}


def forecaster(spec: Spec) -> Forecaster:
    """Return a forecaster of random weights, with a radius of level / 100 spreads at every step."""
    radii = np.tile(LEVELS / 100, (spec.horizon, 1)).astype(np.float32)
    return Forecaster((Member(spec, random_weights(spec)),), Calibration(radii, RESIDUALS))
