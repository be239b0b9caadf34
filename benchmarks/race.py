"""Common workload of all contestants of ``make bench-training``: the same series, sizes and number of updates.

Only NumPy is imported here: the peers run in an environment of their own.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Race:
    """Workload: one layer of ``units`` GRU cells reads ``context`` points, one at a time, and predicts ``horizon``
    steps.

    A round is ``updates`` with ``batch`` windows each. The first round, with imports and compilation, is not timed; the
    next ``rounds`` are.
    """

    values: Values = field(repr=False)
    lengths: NDArray[np.int64] = field(repr=False)
    context: int = 168
    horizon: int = 48
    season: int = 24
    units: int = 64
    batch: int = 32
    updates: int = 100
    rounds: int = 3
    segment: int = 1  # points that ours reads at a time; the others have no choice
    tiles: int = 1  # how often each series is repeated, for a larger panel

    def series(self) -> list[Values]:
        """Return each series (length,), scaled to mean 0 and standard deviation 1."""
        return np.split(self.values, np.cumsum(self.lengths)[:-1])

    def windows(self, count: int, seed: int = 0) -> tuple[Values, Values]:
        """Return ``count`` random windows: inputs (count, T) and targets (count, H)."""
        rng = np.random.default_rng(seed)
        size = self.context + self.horizon
        begins = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        which = rng.integers(len(begins), size=count)
        offsets = begins[which] + rng.integers(self.lengths[which] - size + 1)
        both = self.values[offsets[:, None] + np.arange(size)]
        return both[:, : self.context], both[:, self.context :]


def scaled(parts: list[NDArray[np.float64]]) -> tuple[Values, NDArray[np.int64]]:
    """Return the ``values`` and ``lengths`` of a race over ``parts``."""
    values = [(part - part.mean()) / (part.std() or 1.0) for part in parts]
    return np.concatenate(values).astype(np.float32), np.array([len(part) for part in parts])


def write(race: Race, file: Path) -> None:
    """Write ``race`` to a file for another process."""
    sizes: dict[str, Any] = asdict(race)
    values, lengths = sizes.pop("values"), sizes.pop("lengths")
    np.savez(file, values=values, lengths=lengths, sizes=json.dumps(sizes))


def read(file: Path) -> Race:
    """Read the race that ``write`` wrote."""
    with np.load(file) as found:
        return Race(values=found["values"], lengths=found["lengths"], **json.loads(str(found["sizes"])))
