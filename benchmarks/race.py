"""What all contestants of ``make bench-training`` get: the same series, the same sizes, the same number of updates.

Only NumPy is imported here: the peers live in an environment of their own.
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
    """One layer of ``units`` GRU cells reads ``context`` points, one at a time, and says ``horizon``.

    ``updates`` with ``batch`` windows each are a round; the first round, with imports and compilation, is not timed,
    the next ``rounds`` are.
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
        """Each series (length,), with mean 0 and standard deviation 1."""
        return np.split(self.values, np.cumsum(self.lengths)[:-1])

    def windows(self, count: int, seed: int = 0) -> tuple[Values, Values]:
        """``count`` random windows laid out in memory: what goes in (count, T) and what follows (count, H)."""
        rng = np.random.default_rng(seed)
        size = self.context + self.horizon
        begins = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        which = rng.integers(len(begins), size=count)
        offsets = begins[which] + rng.integers(self.lengths[which] - size + 1)
        both = self.values[offsets[:, None] + np.arange(size)]
        return both[:, : self.context], both[:, self.context :]


def scaled(parts: list[NDArray[np.float64]]) -> tuple[Values, NDArray[np.int64]]:
    """The ``values`` and ``lengths`` of a race over ``parts``."""
    values = [(part - part.mean()) / (part.std() or 1.0) for part in parts]
    return np.concatenate(values).astype(np.float32), np.array([len(part) for part in parts])


def write(race: Race, file: Path) -> None:
    """Leave ``race`` for another process."""
    sizes: dict[str, Any] = asdict(race)
    values, lengths = sizes.pop("values"), sizes.pop("lengths")
    np.savez(file, values=values, lengths=lengths, sizes=json.dumps(sizes))


def read(file: Path) -> Race:
    """The race that ``write`` left."""
    with np.load(file) as found:
        return Race(values=found["values"], lengths=found["lengths"], **json.loads(str(found["sizes"])))
