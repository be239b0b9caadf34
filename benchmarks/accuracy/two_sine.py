"""Two-sine task: ten steps of 1,000 noisy sums of two sines, each predicted from the 50 steps before.

Source: Géron, *Hands-On Machine Learning* (2nd ed., 2019), ch. 15: 7,000 series for training, 2,000 for validation,
1,000 for test. The noise alone, uniform over a tenth, has a variance of 0.1² / 12 = 0.00083; the true formula fitted
to 50 noisy points reaches 0.00106.
"""

import numpy as np

from benchmarks.accuracy.protocol import Teach, actual_of, taught
from benchmarks.data import panel_of
from models.data.calendar import Freq
from models.data.panel import Panel
from models.types import Floats, JsonObject

SERIES, POINTS, HORIZON, SEED = 10_000, 60, 10, 42
TAUGHT, CHOOSING = 7_000, 2_000
DAY = np.datetime64("2000-01-01", "us")


def series() -> tuple[Floats, Floats]:
    """Return the two sines (10,000, 60) and their noise, from the random draws of the published figures."""
    rng = np.random.RandomState(SEED)  # another generator would draw other series
    first, second, early, late = rng.rand(4, SERIES, 1)
    t = np.linspace(0, 1, POINTS)
    waves = 0.5 * np.sin((t - early) * (10 * first + 10)) + 0.2 * np.sin((t - late) * (20 * second + 20))
    return np.asarray(waves), 0.1 * (rng.rand(SERIES, POINTS) - 0.5)


def panel(values: Floats) -> Panel:
    """Return one series for each row of ``values``."""
    return panel_of(Freq(1, "D"), ((str(i), DAY, row) for i, row in enumerate(values)))


def measure(teach: Teach) -> JsonObject:
    """Return the mean squared error of all ten steps on the validation and on the test series."""
    waves, noise = series()
    values = waves + noise
    fields = {"season": 1, "context": POINTS - HORIZON, "horizon": HORIZON}
    predictor, took = taught(teach, panel(values[:TAUGHT]), fields, held=0)
    parts = {"validation_mse": values[TAUGHT : TAUGHT + CHOOSING], "mse": values[TAUGHT + CHOOSING :]}
    found = {}
    for name, part in parts.items():
        each, rows = panel(part), np.arange(len(part))
        at = np.full(len(part), POINTS - HORIZON)
        said = predictor(each, rows, at, HORIZON).median
        found[name] = float(np.square(said - actual_of(each, rows, at, HORIZON)).mean())
    return {**found, **took}
