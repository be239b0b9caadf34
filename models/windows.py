"""Panel -> windows, as views: nothing is copied until a batch is drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.calendar import Ints
from models.errors import Fault, InputError
from models.panel import Floats, Panel

SHARE_VALIDATION = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Every run of ``context + horizon`` points that lies within one series.

    ``offsets`` (W,) say where each begins; the windows of the i-th series that has any are ``indptr[i]:indptr[i + 1]``.
    """

    values: Floats
    offsets: Ints
    indptr: Ints
    context: int
    horizon: int

    def __len__(self) -> int:
        return len(self.offsets)

    def draw(self, rng: np.random.Generator, size: int) -> Ints:
        """Numbers of ``size`` random windows: every series alike, as scores count them, then every window of it."""
        series = rng.integers(len(self.indptr) - 1, size=size)
        return rng.integers(self.indptr[series], self.indptr[series + 1])

    def take(self, rows: Ints) -> tuple[Floats, Floats]:
        """The windows of number ``rows`` (B,): ``past`` (B, T) and ``future`` (B, H), copied."""
        view = sliding_window_view(self.values, self.context + self.horizon)
        both = view[self.offsets[rows]]
        return both[:, : self.context], both[:, self.context :]


def windows_of(panel: Panel, context: int, horizon: int, last: int | None = None, without: int = 0) -> Windows:
    """The windows of every series, in order of time.

    Args:
        panel: N series; those shorter than ``context + horizon`` give no window.
        context: T, points in.
        horizon: H, points out.
        last: only the windows whose future lies within the last this many points of their series.
        without: leave out the windows whose future reaches into the last this many points of their series.
    """
    size = context + horizon
    offsets: list[Ints] = [np.zeros(0, dtype=np.int64)]
    for begin, length in zip(panel.indptr[:-1], panel.lengths, strict=True):
        stop = length - without - size + 1
        first = 0 if last is None else max(0, length - last - context)
        offsets.append(np.arange(begin + first, begin + max(stop, first)))
    counts = np.array([len(part) for part in offsets])
    indptr = np.concatenate([[0], np.cumsum(counts[counts > 0])])
    return Windows(panel.y, np.concatenate(offsets), indptr, context, horizon)


def newest_points(length: int, horizon: int) -> int:
    """Points at the end of a series of ``length`` that are not taught but choose the epoch: a tenth, or one horizon."""
    return max(horizon, int(SHARE_VALIDATION * length))


def split(panel: Panel, context: int, horizon: int) -> tuple[Windows, Windows]:
    """The windows to teach with, and the later ones to choose the epoch by; no taught future reaches into the latter.

    Raises:
        InputError: ``too_short`` where either would be empty.
    """
    newest = newest_points(panel.median_length, horizon)
    taught = windows_of(panel, context, horizon, without=newest)
    held = windows_of(panel, context, horizon, last=newest)
    if len(taught) == 0 or len(held) == 0:
        longest = int(panel.lengths.max(initial=0))
        message = f"after the points held out, the longest series has {longest} to teach with"
        needed = context + horizon + newest
        hint = f"context {context} and horizon {horizon} need {needed}; ask for less, or send longer series"
        raise InputError([Fault(code="too_short", field="context", message=message, hint=hint)])
    return taught, held
