"""Which stored panels are in memory: those used last, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from models.data.panel import Panel

Key = tuple[Any, ...]


class PanelCache:
    """Panels by key, read when first asked for; a revision of a data set never changes. Safe to use from threads."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._panels: OrderedDict[Key, Panel] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, read: Callable[[], Panel]) -> Panel:
        """The panel of ``key``, or what ``read`` gives."""
        with self._lock:
            if key in self._panels:
                self._panels.move_to_end(key)
                return self._panels[key]
        panel = read()
        with self._lock:
            self._panels[key] = panel
            size_bytes = sum(map(size_of, self._panels.values()))
            while size_bytes > self._budget_bytes:
                _, oldest = self._panels.popitem(last=False)
                size_bytes -= size_of(oldest)
        return panel


def size_of(panel: Panel) -> int:
    """The bytes that a panel's arrays take, and roughly its names."""
    arrays = [panel.y, panel.indptr, panel.starts, *panel.covariates.values()]
    return sum(array.nbytes for array in arrays) + 100 * len(panel)
