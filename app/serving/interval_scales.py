"""Interval scale factors of the versions in use, learned from realised errors and refreshed every few seconds."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from app.serving.model_cache import LoadedModel
from models.engines.devices import EngineNote
from models.types import Floats

logger = logging.getLogger(__name__)

ADAPTED = "intervals_adapted"
REPORTED_LEVEL = 80  # whose factor the note states
REFRESH_S = 5.0
GATHER_S = 0.05
STOP_TIMEOUT_S = 10.0
MAX_KNOWN = 10_000  # versions, of three kilobytes each

ReadScales = Callable[[Sequence[int]], Mapping[int, Floats]]  # version ids -> factors (P, 99) by part and level


class ScaledModel(NamedTuple):
    """Model with scaled intervals, and the model and factors (P, 99) that it was made of."""

    loaded: LoadedModel
    scales: Floats
    scaled: LoadedModel


class IntervalScales:
    """Cache of interval scale factors; safe to use from several threads.

    A thread reads the factors of all versions in use every ``refresh_s`` seconds. No caller waits for it: until the
    thread, which starts at once, has read the factors, a version that is new here keeps its calibrated intervals, and
    one that was unused for a while keeps its last factors. It waits ``gather_s`` for other new versions, to read them
    together.
    """

    def __init__(
        self,
        read: ReadScales,
        refresh_s: float = REFRESH_S,
        gather_s: float = GATHER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._refresh_s, self._gather_s, self._clock = read, refresh_s, gather_s, clock
        self._refreshed_s = -math.inf  # when the factors of all versions in use were read
        self._used: set[int] = set()
        self._known: Mapping[int, Floats | None] = {}
        self._scaled: dict[int, ScaledModel] = {}
        self._wake, self._starting = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._idle, self._closed = True, False  # idle: no version was used since the last refresh

    def scales_of(self, version_id: int) -> Floats | None:
        """Return the factors (P, 99) of a version; None where its intervals are as calibrated, or nothing is known."""
        self._used.add(version_id)
        if self._idle or version_id not in self._known:
            if self._thread is None:
                self._start()
            self._wake.set()
        return self._known.get(version_id)

    def apply(self, version_id: int, loaded: LoadedModel) -> LoadedModel:
        """Return the model with scaled intervals and a note about them; ``loaded`` itself where there are no factors.

        It is the same object until the factors change, so that the batcher can join its requests.
        """
        scales = self.scales_of(version_id)
        if scales is None:
            return loaded
        known = self._scaled.get(version_id)
        if known is None or known.loaded is not loaded or known.scales is not scales:
            known = self._scaled[version_id] = ScaledModel(loaded, scales, with_scales(loaded, scales))
        return known.scaled

    def close(self) -> None:
        """Stop the thread; the factors stay as they are."""
        with self._starting:
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="interval-scales", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            is_new = self._wake.wait(None if self._idle else self._refresh_s)
            if is_new and not self._closed:
                time.sleep(self._gather_s)
            self._wake.clear()
            if not self._closed:
                self._refresh()

    def _refresh(self) -> None:
        """Read the factors of the versions used since the last refresh; before the next is due, of new ones only."""
        taken, self._used = self._used, set()
        if self._clock() < self._refreshed_s + self._refresh_s and taken:
            self._used |= taken  # these are read again when the refresh is due
            taken = {version_id for version_id in taken if version_id not in self._known}
            if not taken:
                return
        else:
            self._refreshed_s = self._clock()
        used = sorted(taken)
        self._idle = not used
        if self._idle:
            self._scaled = {}  # a version that is not used keeps no network in memory
            return
        try:
            found = self._read(used)
        except Exception as error:  # whatever the error, the factors stay as they are
            logger.warning("interval scales cannot be read: %s", error)
            self._known = {**dict.fromkeys(used), **self._known}  # versions new here wait for the next refresh too
            return
        known = {version_id: _unchanged(self._known.get(version_id), found.get(version_id)) for version_id in used}
        in_use = known.keys() | self._used
        self._scaled = {version_id: one for version_id, one in list(self._scaled.items()) if version_id in in_use}
        self._known = {**(self._known if len(self._known) < MAX_KNOWN else {}), **known}


def _unchanged(before: Floats | None, now: Floats | None) -> Floats | None:
    """Return ``now``; ``before`` itself where the two are equal."""
    return before if before is not None and now is not None and np.array_equal(before, now) else now


def with_scales(loaded: LoadedModel, scales: Floats) -> LoadedModel:
    """Return the model with ``scales`` (P, 99) in its calibration, and a note that states the factors of one level."""
    *thirds, beyond = (f"{scale:.2f}" for scale in scales[:, REPORTED_LEVEL - 1])
    message = (
        f"intervals are adapted to the errors of earlier forecasts: the interval of {REPORTED_LEVEL} % is "
        f"{', '.join(thirds)} times as wide as in the backtest in the three parts of the trained horizon, and {beyond} "
        "times beyond it"
    )
    forecaster = loaded.forecaster
    scaled = replace(forecaster, calibration=forecaster.calibration.with_scales(scales))
    return replace(loaded, forecaster=scaled, notes=(*loaded.notes, EngineNote(ADAPTED, message)))
