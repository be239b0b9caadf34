"""LRU cache of forecasters in memory, bounded in bytes."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from app.problems import Unavailable
from app.serving.futures import failed, resolved
from app.serving.lru import LRU
from app.serving.single_flight import SingleFlight
from models.engines.batching import batch_sizes
from models.engines.devices import GPU_TOLERANCE, Device, EngineNote, choose, place
from models.engines.onnx import OnnxEngine
from models.engines.parity import TOLERANCE
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster, RunnableMember
from models.network.sizes import forecast_flop

logger = logging.getLogger(__name__)

RETRY_S = 1.0  # until what could not be loaded is tried again
MAX_WAITING = 1_000  # models to be loaded

# What a loaded network takes of the machine's memory beside its bundle: measured as the growth of resident memory over
# 40 to 200 loaded models of 7 kinds, bundles of 21 KiB to 3.3 MiB. With ONNX Runtime (no arena) size_bytes is within
# 15 % of each of them. Under Keras it is what XLA compiles, for four batch sizes.
ONNX_BYTES, ONNX_COPIES = 128 * 1024, 2.25
KERAS_BYTES, KERAS_COPIES = 12 * 1024**2, 3.0

Fetch = Callable[[int, int], bytes]  # tenant id, version id -> the bundle, its checksum verified
ModelKey = tuple[int, int]  # tenant id, version id


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """Forecaster in memory, each of its members with an engine that has run already.

    ``notes`` state why it runs on another device than the configured one. ``size_bytes`` is an estimate of the memory
    of its bundle and its engines.
    """

    forecaster: Forecaster
    networks: tuple[RunnableMember, ...]
    size_bytes: int
    device: str = "cpu"
    notes: tuple[EngineNote, ...] = ()
    _flop: dict[int, int] = field(default_factory=dict, init=False, repr=False)

    def forecast_flop(self, horizon: int) -> int:
        """Return the floating-point operations of one series' forecast by all members; computed once per horizon."""
        flop = self._flop.get(horizon)
        if flop is None:
            flop = self._flop[horizon] = sum(forecast_flop(one.member.spec, horizon) for one in self.networks)
        return flop


class Counts(NamedTuple):
    """Look-ups that found a model and that did not, loads and the seconds they took, failed loads and evictions since
    the start; and how many models are in memory, their bytes, and how many are being loaded now."""

    hits: int = 0
    misses: int = 0
    loads: int = 0
    failures: int = 0
    evictions: int = 0
    load_seconds: float = 0.0
    models: int = 0
    size_bytes: int = 0
    loading: int = 0


class ModelCache:
    """LRU cache of loaded versions by id, up to ``budget_bytes``; safe to use from several threads.

    A version is loaded by one of ``loaders`` threads when it is first asked for. The newest is never evicted, and an
    evicted model stays usable for its holders.
    """

    def __init__(
        self,
        fetch: Fetch,
        device: Device,
        budget_bytes: int,
        loaders: int = 2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = device
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._models: LRU[ModelKey, LoadedModel] = LRU(budget_bytes, lambda loaded: loaded.size_bytes)
        self._loads: SingleFlight[ModelKey, LoadedModel] = SingleFlight()
        self._failed: dict[ModelKey, tuple[float, BaseException]] = {}  # until when, and why
        self._counts = Counts()
        self._hits = self._misses = 0
        self._threads = ThreadPoolExecutor(loaders, "load")

    def find(self, tenant_id: int, version_id: int) -> LoadedModel | None:
        """Return the version if it is in memory; this never blocks."""
        with self._lock:
            found = self._models.get((tenant_id, version_id))
            if found is None:
                self._misses += 1
            else:
                self._hits += 1
            return found

    def load(self, tenant_id: int, version_id: int) -> "Future[LoadedModel]":
        """Return a future of the version, which is loaded once however many ask; cancelling the future stops nothing.

        It raises NotFound, CorruptBundle or BundleError where the version is not this tenant's or its bytes cannot be
        trusted, which is remembered for a second; Unavailable where too many are being loaded, or the service stops.
        """
        key = (tenant_id, version_id)
        if (loading := self._loads.get(key)) is not None:
            return loading
        with self._lock:
            if (found := self._models.get(key)) is not None:
                return resolved(found)
            until_s, error = self._failed.get(key, (0.0, None))
            if error is not None and self._clock() < until_s:
                return failed(error)
        if len(self._loads) >= MAX_WAITING:
            return failed(Unavailable(f"{MAX_WAITING} models are being loaded already; try again in a few seconds"))
        return self._loads.submit(key, partial(self._load, key), self._threads)

    def get(self, tenant_id: int, version_id: int) -> LoadedModel:
        """Return the version, loaded if need be; the caller waits.

        Raises:
            NotFound, CorruptBundle, BundleError, Unavailable: see ``load``.
        """
        return self.find(tenant_id, version_id) or self.load(tenant_id, version_id).result()

    def counts(self) -> Counts:
        """Return the counts as they are now."""
        with self._lock:
            return self._counts._replace(
                hits=self._hits,
                misses=self._misses,
                models=len(self._models),
                size_bytes=self._models.size,
                loading=len(self._loads),
            )

    def close(self) -> None:
        """Load nothing more, and fail the loads that have not ended with Unavailable."""
        self._loads.close(Unavailable("the service is being stopped; use another process or try again later"))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _load(self, key: ModelKey) -> LoadedModel:
        with self._lock:
            if (found := self._models.get(key)) is not None:
                return found  # another load of it ended between the caller's look and this
        began_s = self._clock()
        try:
            loaded = self._place(key, self._fetch(*key))
        except BaseException as error:
            with self._lock:
                now_s = self._clock()
                self._failed = {other: known for other, known in self._failed.items() if known[0] > now_s}
                self._failed[key] = now_s + RETRY_S, error
                self._counts = self._counts._replace(failures=self._counts.failures + 1)
            raise
        with self._lock:
            evicted = self._models.put(key, loaded)
            counts = self._counts
            self._counts = counts._replace(
                loads=counts.loads + 1,
                load_seconds=counts.load_seconds + self._clock() - began_s,
                evictions=counts.evictions + len(evicted),
            )
        del evicted  # engines take their time to end: not while others wait for the lock
        return loaded

    def _place(self, key: ModelKey, data: bytes) -> LoadedModel:
        """Return the forecaster of a bundle with an engine for each of its members."""
        forecaster = bundle.from_bytes(data)
        placed = place([(member.spec, member.weights) for member in forecaster.members], self.device)
        for note in placed.notes[len(self.device.notes) :]:
            logger.warning("version id %d: %s", key[1], note.message)
        networks = tuple(map(RunnableMember, forecaster.members, placed.engines))
        return LoadedModel(forecaster, networks, len(data) + placed.held_bytes, placed.device, placed.notes)


def device_for(engine: str, device: str, threads: int) -> Device:
    """Return the device of the engine ``onnx`` or ``keras`` for the setting ``device``: ``auto``, ``cpu`` or ``gpu``.

    ``threads`` are those of one forward pass on the CPU. Keras is for GPUs: without one, networks run on ONNX Runtime,
    which is many times faster on a CPU, unless the setting is ``cpu``.
    """
    cpu = Device("cpu", partial(OnnxEngine, threads=threads), ONNX_BYTES, ONNX_COPIES)
    if engine == "onnx":
        return choose(device, cpu, None, "the engine onnx runs on CPUs only; use the engine keras")
    from models.engines import keras  # noqa: PLC0415 - keeps TensorFlow out of a CPU server

    def keras_on(name: str, tolerance: float) -> Device:
        make = partial(keras.KerasEngine, device=name)
        return Device(name, make, KERAS_BYTES, KERAS_COPIES, batch_sizes(keras.MAX_ROWS), cpu, tolerance)

    if device == "cpu":
        return keras_on("cpu", TOLERANCE)
    gpu = keras_on("gpu", GPU_TOLERANCE) if keras.sees_gpu() else None
    return choose(device, cpu, gpu, f"{keras.backend()} sees none")
