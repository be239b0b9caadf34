"""Intervals as wide as what came says they should be: the stretch of each version, as the database said lately."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from app.serving.model_cache import LoadedModel
from models.engines.devices import EngineNote
from models.types import Floats

logger = logging.getLogger(__name__)

ADAPTED = "intervals_adapted"
SHOWN_LEVEL = 80
REFRESH_S = 5.0
STOP_TIMEOUT_S = 10.0
MAX_KNOWN = 10_000  # versions, of a kilobyte each

Read = Callable[[Sequence[int]], Mapping[int, Sequence[float]]]  # ids of versions -> their stretches


class Fitted(NamedTuple):
    """A loaded version whose calibration is stretched, and what it was made of."""

    loaded: LoadedModel
    stretch: Floats
    made: LoadedModel


class IntervalScales:
    """The stretches of the versions in use, asked for anew every ``refresh_s`` seconds by a thread; safe to use from
    several threads. Whoever asks waits for nothing: a version that is new here is as calibrated, one that was not used
    for a while as it was then, until the thread, which looks at once, has found out.
    """

    def __init__(self, read: Read, refresh_s: float = REFRESH_S) -> None:
        self._read, self._refresh_s = read, refresh_s
        self._used: set[int] = set()
        self._known: Mapping[int, Floats | None] = {}
        self._fitted: dict[int, Fitted] = {}
        self._wake, self._starting = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._idle, self._closed = True, False  # idle: nobody has asked since the last look

    def of(self, version_id: int) -> Floats | None:
        """The stretch (99,) of a version; None where its intervals are as calibrated."""
        self._used.add(version_id)
        if self._idle or version_id not in self._known:
            self._look_soon()
        return self._known.get(version_id)

    def fit(self, version_id: int, loaded: LoadedModel) -> LoadedModel:
        """The version with intervals as wide as they are now, and a note that says so; ``loaded`` where that is none.

        It is the same object until the stretch changes, so that requests are still put together.
        """
        stretch = self.of(version_id)
        if stretch is None:
            return loaded
        fitted = self._fitted.get(version_id)
        if fitted is None or fitted.loaded is not loaded or fitted.stretch is not stretch:
            fitted = self._fitted[version_id] = Fitted(loaded, stretch, stretched(loaded, stretch))
        return fitted.made

    def close(self) -> None:
        """Ask nothing more, and end the thread."""
        with self._starting:
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)

    def _look_soon(self) -> None:
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._closed:
                    self._thread = threading.Thread(target=self._work, name="stretches", daemon=True)
                    self._thread.start()
        self._wake.set()

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait(None if self._idle else self._refresh_s)
            self._wake.clear()
            if not self._closed:
                self._look()

    def _look(self) -> None:
        taken, self._used = self._used, set()
        used = sorted(taken)
        self._idle = not used
        if self._idle:
            self._fitted = {}  # what nobody uses keeps no network in memory
            return
        try:
            found = self._read(used)
        except Exception as error:  # whatever it is, intervals stay as they are
            logger.warning("how wide intervals are cannot be asked: %s", error)
            self._known = {**dict.fromkeys(used), **self._known}  # not asked again before it is time
            return
        known = {version_id: _kept(self._known.get(version_id), found.get(version_id)) for version_id in used}
        self._fitted = {version_id: one for version_id, one in list(self._fitted.items()) if version_id in known}
        self._known = {**(self._known if len(self._known) < MAX_KNOWN else {}), **known}


def _kept(before: Floats | None, now: Sequence[float] | None) -> Floats | None:
    """``now`` as an array; the same one as ``before`` where it says the same."""
    if now is None:
        return None
    made = np.array(now, dtype=np.float64)
    return before if before is not None and np.array_equal(before, made) else made


def stretched(loaded: LoadedModel, stretch: Floats) -> LoadedModel:
    """The version with ``stretch`` in its calibration, and a note that says so."""
    times = stretch[SHOWN_LEVEL - 1]
    message = (
        f"intervals are as wide as what came of earlier forecasts says they should be: "
        f"those of {SHOWN_LEVEL} % {times:.2f} times as wide as the backtest's errors alone would make them"
    )
    forecaster = loaded.forecaster
    adapted = replace(forecaster, calibration=forecaster.calibration.with_scales(stretch))
    return replace(loaded, forecaster=adapted, notes=(*loaded.notes, EngineNote(ADAPTED, message)))
