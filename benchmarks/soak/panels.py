"""Series to forecast: ordinary, with gaps, huge, tiny, constant, very short, or a thousand at once."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from models.data.calendar import Freq
from models.data.panel import Panel
from models.types import Floats

HOUR = Freq(1, "h")
BEGIN = np.datetime64("2026-01-01T00", "us")
MAX_AHEAD = 12  # steps of which the price is known
MANY = 1_000


def panel_of(*series: Floats) -> Panel:
    """Return hourly series named s0, s1, and so on."""
    indptr = np.cumsum([0, *map(len, series)])
    starts = np.full(len(series), BEGIN)
    return Panel(tuple(f"s{i}" for i in range(len(series))), starts, np.concatenate(series), indptr, HOUR)


def waves(rng: np.random.Generator, *lengths: int) -> Panel:
    """Return series of these lengths: a daily wave, a level and noise, to three decimals."""
    return panel_of(*(_wave(rng, length) for length in lengths))


def panels(rng: np.random.Generator) -> Mapping[str, Panel]:
    """Return each kind of panel by name."""
    holes = waves(rng, 40, 30, 35)
    holes.y[rng.random(len(holes.y)) < 0.6] = np.nan
    holes.y[holes.indptr[1:] - 1] = 7.0
    huge = panel_of(*(sign * np.tile([1e100, -1e100, 3e99, 0.0], 5) for sign in (1, -1)), _wave(rng, 14))
    tiny = panel_of(np.tile([5e-324, 0.0, 1e-320], 6), np.full(16, 42.0), np.full(3, -1e9))
    return {
        "one": waves(rng, 30),
        "another": waves(rng, 12),
        "short": waves(rng, 2),
        "few": waves(rng, 30, 12, 17, 3, 24),
        "holes": holes,
        "huge": huge,
        "tiny": tiny,
        "many": waves(rng, *[14] * MANY),
    }


def with_price(panel: Panel, rng: np.random.Generator) -> Panel:
    """Return ``panel`` with a price covariate that is known ``MAX_AHEAD`` steps ahead."""
    longer = [np.append(values, np.full(MAX_AHEAD, np.nan)) for _, values in panel]
    wide = panel_of(*longer)
    return replace(wide, covariates={"price": np.round(rng.normal(10, 2, len(wide.y)), 3)})


def _wave(rng: np.random.Generator, length: int) -> Floats:
    wave = 10 * np.sin(2 * np.pi * (np.arange(length) / 24 + rng.random()))
    return np.asarray(np.round(rng.uniform(50, 150) + wave + rng.normal(0, 3, length), 3))
