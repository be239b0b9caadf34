"""Lengths of the series of a panel, for comparison with another revision of the same data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.data.panel import Panel
from models.types import Ints


@dataclass(frozen=True, slots=True)
class SeriesLengths:
    """Points of each series of a panel up to its last value, by id; far smaller than the panel."""

    points: Mapping[str, int]
    median_length: int

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def of(cls, panel: Panel) -> "SeriesLengths":
        """Return the lengths of the series of ``panel``."""
        return cls(dict(zip(panel.ids, panel.observed_lengths.tolist(), strict=True)), panel.median_length)

    def points_in(self, panel: Panel) -> Ints:
        """Return the points that each series of ``panel``, another revision, has here, (N,); 0 for a new one."""
        return np.array([self.points.get(name, 0) for name in panel.ids], dtype=np.int64)
