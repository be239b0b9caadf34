"""Panels of stored data sets in memory: read once, bounded in bytes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.serving.panel_cache import PanelCache, size_bytes
from models.data.panel import Panel
from tests.models.samples import panel_of

PANEL = panel_of([4.0, 6.0, 8.0, 10.0])
SIZE = size_bytes(PANEL)


class Shelf:
    """Data sets that are read when ``open`` is set, and how often each was read."""

    def __init__(self, cache: PanelCache, panel: Panel = PANEL) -> None:
        self.cache, self.panel, self.reads = cache, panel, list[int]()
        self.open, self.asked = threading.Event(), threading.Event()
        self.open.set()

    def get(self, number: int) -> Panel:
        return self.cache.get((5, number), lambda: self._read(number))

    def _read(self, number: int) -> Panel:
        self.reads.append(number)
        self.asked.set()
        assert self.open.wait(10)
        return self.panel


def test_the_size_is_that_of_the_arrays_and_names() -> None:
    # four values, two ends of series, one start, of eight bytes each; and a name
    assert size_bytes(PANEL) == 8 * (4 + 2 + 1) + 100


def test_a_panel_is_read_once_and_the_one_not_used_for_longest_makes_room() -> None:
    shelf = Shelf(PanelCache(2 * SIZE))
    for number in (1, 2, 1, 3, 1, 2):  # 3 makes 2 go, then 2 makes 3 go
        assert shelf.get(number) is PANEL
    assert shelf.reads == [1, 2, 3, 2]


def test_a_panel_larger_than_the_cache_is_not_kept_and_drops_no_other() -> None:
    shelf = Shelf(PanelCache(SIZE))
    shelf.get(1)
    shelf.panel = panel_of([1.0] * 100)
    assert [len(shelf.get(2).y) for _ in range(2)] == [100, 100]
    shelf.get(1)
    assert shelf.reads == [1, 2, 2]


def test_requests_that_come_together_share_one_read() -> None:
    shelf = Shelf(PanelCache(10 * SIZE))
    shelf.open.clear()
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(shelf.get, 1)
        assert shelf.asked.wait(10)
        others = [threads.submit(shelf.get, 1) for _ in range(3)]
        shelf.open.set()
        assert all(one.result(10) is PANEL for one in (first, *others))
    assert shelf.reads == [1]


def test_a_read_that_fails_is_tried_again_by_the_next_request() -> None:
    cache = PanelCache(10 * SIZE)

    def fail() -> Panel:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        cache.get((5, 1), fail)
    assert cache.get((5, 1), lambda: PANEL) is PANEL
