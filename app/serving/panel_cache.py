"""LRU cache of the panels of stored data sets, bounded in bytes."""

import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from app.serving.lru import LRU
from app.serving.single_flight import SingleFlight
from models.data.panel import Panel

PanelKey = tuple[int, int]  # data set id, number of the revision


class PanelCounts(NamedTuple):
    """Look-ups that found a panel and that did not, since the start; and how many panels are in memory, and their
    bytes."""

    hits: int
    misses: int
    panels: int
    size_bytes: int


class PanelCache:
    """Panels by data set and revision, which never changes; safe to use from several threads."""

    def __init__(self, budget_bytes: int) -> None:
        self._panels: LRU[PanelKey, Panel] = LRU(budget_bytes, size_bytes)
        self._reads: SingleFlight[PanelKey, Panel] = SingleFlight()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    def get(self, key: PanelKey, read: Callable[[], Panel]) -> Panel:
        """Return the panel of ``key``; ``read`` reads it if it is not in memory, once for all concurrent callers."""
        panel = self._find(key)
        if panel is not None:
            self._hits += 1
            return panel
        self._misses += 1
        return self._reads.call(key, partial(self._read, key, read))

    def counts(self) -> PanelCounts:
        """Return the counts as they are now."""
        with self._lock:
            return PanelCounts(self._hits, self._misses, len(self._panels), int(self._panels.size))

    def _find(self, key: PanelKey) -> Panel | None:
        with self._lock:
            return self._panels.get(key)

    def _read(self, key: PanelKey, read: Callable[[], Panel]) -> Panel:
        panel = self._find(key)
        if panel is None:
            panel = read()
            if size_bytes(panel) <= self._panels.capacity:  # a larger one would drop all others and yet not fit
                with self._lock:
                    self._panels.put(key, panel)
        return panel


def size_bytes(panel: Panel) -> int:
    """Return the bytes that a panel's arrays take, and roughly those of its names."""
    arrays = [panel.y, panel.indptr, panel.starts, *panel.covariates.values()]
    return sum(array.nbytes for array in arrays) + 100 * len(panel)
