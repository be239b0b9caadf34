"""Which forecasters are in memory: the most recently used ones, up to a number of bytes."""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from app.problems import Unavailable
from app.serving.futures import fail, failed, fulfil, kept, promise
from models.engines.batching import rungs
from models.engines.devices import GPU_TOLERANCE, Device, EngineNote, choose, place
from models.engines.onnx import OnnxEngine
from models.engines.parity import TOLERANCE
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster, RunnableMember

logger = logging.getLogger(__name__)

RETRY_S = 1.0  # until what could not be loaded is tried again
MAX_WAITING = 1_000  # models to be loaded

# What a loaded network takes of the machine's memory beside its bundle: measured as the growth of resident memory over
# 40 to 200 loaded models of 7 kinds, bundles of 21 KiB to 3.3 MiB. With ONNX Runtime (no arena) size_bytes is within
# 15 % of each of them. Under Keras it is what XLA compiles, for four batch sizes.
ONNX_BYTES, ONNX_COPIES = 128 * 1024, 2.25
KERAS_BYTES, KERAS_COPIES = 12 * 1024**2, 3.0

Fetch = Callable[[int, int], bytes]  # tenant id, version id -> the bundle, its checksum verified
Key = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A forecaster, each of its members with an engine that has run already; ``notes``: why it is on no other device.

    ``size_bytes``: what it takes of the machine's memory, its bundle and what its engines hold; an estimate.
    """

    forecaster: Forecaster
    networks: tuple[RunnableMember, ...]
    size_bytes: int
    device: str = "cpu"
    notes: tuple[EngineNote, ...] = ()


class Counts(NamedTuple):
    """What has happened since the start: look-ups that found a model and that did not, loads and what they took,
    evictions; and how many models are in memory and waited for now."""

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
    """Versions by id, loaded when first asked for, by threads of their own; safe to use from several threads.

    Up to ``budget_bytes`` of them stay; the one not used for longest makes room, but none that is pinned, and not the
    newest. Whoever still uses what was evicted keeps it by holding it.
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
        self._fetch, self._budget_bytes, self._clock = fetch, budget_bytes, clock
        self._lock = threading.Lock()
        self._models: OrderedDict[Key, LoadedModel] = OrderedDict()
        self._loading: dict[Key, Future[LoadedModel]] = {}
        self._failed: dict[Key, tuple[float, BaseException]] = {}  # until when, and why
        self._pins: Counter[Key] = Counter()
        self._counts = Counts()
        self._hits = self._misses = self._size_bytes = 0
        self._closed = False
        self._threads = ThreadPoolExecutor(loaders, "load")

    def find(self, tenant_id: int, version_id: int) -> LoadedModel | None:
        """The version if it is in memory; this waits for nothing."""
        key = (tenant_id, version_id)
        with self._lock:
            found = self._models.get(key)
            if found is None:
                self._misses += 1
                return None
            self._models.move_to_end(key)
            self._hits += 1
            return found

    def load(self, tenant_id: int, version_id: int) -> "Future[LoadedModel]":
        """The version to be, loaded once however many ask; cancelling the future stops nothing.

        It raises NotFound, CorruptBundle or BundleError where the version is not this tenant's or its bytes cannot be
        trusted, which is remembered for a second; Unavailable where too many are waited for, or the service stops.
        """
        key = (tenant_id, version_id)
        with self._lock:
            if (found := self._models.get(key)) is not None:
                return kept(found)
            if key in self._loading:
                return self._loading[key]
            if (error := self._refusal(key)) is not None:
                return failed(error)
            loading: Future[LoadedModel] = promise()
            self._loading[key] = loading
            self._threads.submit(fulfil, loading, partial(self._load, key))
        return loading

    def get(self, tenant_id: int, version_id: int) -> LoadedModel:
        """The version, loaded if need be; the caller waits. Raises what the future of ``load`` does."""
        return self.find(tenant_id, version_id) or self.load(tenant_id, version_id).result()

    def pin(self, tenant_id: int, version_id: int) -> None:
        """Keep the version, once it is loaded, until ``unpin`` was called as often as this."""
        with self._lock:
            self._pins[tenant_id, version_id] += 1

    def unpin(self, tenant_id: int, version_id: int) -> None:
        """Let the version make room for others again."""
        with self._lock:
            self._pins[tenant_id, version_id] -= 1
            self._pins += Counter()  # those at 0 are gone
            evicted = self._evict(None)
        del evicted  # engines take their time to end: not while others wait for the lock

    def counts(self) -> Counts:
        """The counts as they are now."""
        with self._lock:
            return self._counts._replace(
                hits=self._hits,
                misses=self._misses,
                models=len(self._models),
                size_bytes=self._size_bytes,
                loading=len(self._loading),
            )

    def close(self) -> None:
        """Load nothing more; who waits for what has not begun, or not ended, is told so."""
        with self._lock:
            self._closed = True
            waited_for = list(self._loading.values())
        self._threads.shutdown(wait=False, cancel_futures=True)
        for loading in waited_for:
            fail(loading, _closing())

    def _refusal(self, key: Key) -> BaseException | None:
        """Why the version is not even tried, if so."""
        if self._closed:
            return _closing()
        if len(self._loading) >= MAX_WAITING:
            return Unavailable(f"{MAX_WAITING} models are being loaded already; try again in a few seconds")
        until_s, error = self._failed.pop(key, (0.0, None))
        if error is None or self._clock() >= until_s:
            return None
        self._failed[key] = until_s, error
        return error

    def _load(self, key: Key) -> LoadedModel:
        began_s = self._clock()
        try:
            loaded = self._made(key)
        except BaseException as error:
            self._note_failure(key, error)
            raise
        with self._lock:
            self._loading.pop(key, None)
            self._models[key] = loaded
            self._size_bytes += loaded.size_bytes
            counts, took_s = self._counts, self._clock() - began_s
            self._counts = counts._replace(loads=counts.loads + 1, load_seconds=counts.load_seconds + took_s)
            evicted = self._evict(key)
        del evicted
        return loaded

    def _made(self, key: Key) -> LoadedModel:
        data = self._fetch(*key)
        forecaster = bundle.from_bytes(data)
        placed = place([(member.spec, member.weights) for member in forecaster.members], self.device)
        for note in placed.notes[len(self.device.notes) :]:
            logger.warning("version id %d: %s", key[1], note.message)
        networks = tuple(map(RunnableMember, forecaster.members, placed.engines))
        return LoadedModel(forecaster, networks, len(data) + placed.held_bytes, placed.device, placed.notes)

    def _note_failure(self, key: Key, error: BaseException) -> None:
        with self._lock:
            now_s = self._clock()
            self._failed = {other: known for other, known in self._failed.items() if known[0] > now_s}
            self._failed[key] = now_s + RETRY_S, error
            self._loading.pop(key, None)
            self._counts = self._counts._replace(failures=self._counts.failures + 1)

    def _evict(self, newest: Key | None) -> list[LoadedModel]:
        """Take out what is over the budget, to be let go of by the caller once the lock is open."""
        over_bytes, keys = self._size_bytes - self._budget_bytes, []
        for key, loaded in self._models.items():
            if over_bytes <= 0:
                break
            if key != newest and key not in self._pins:
                keys.append(key)
                over_bytes -= loaded.size_bytes
        evicted = [self._models.pop(key) for key in keys]
        self._size_bytes -= sum(loaded.size_bytes for loaded in evicted)
        self._counts = self._counts._replace(evictions=self._counts.evictions + len(evicted))
        return evicted


def device_for(engine: str, device: str, threads: int) -> Device:
    """Where the engine ``onnx`` or ``keras`` runs for the setting ``device``: ``auto``, ``cpu`` or ``gpu``.

    ``threads`` are those of one forward pass on the CPU. Keras is for GPUs: where there is none, networks run on ONNX
    Runtime, which is many times faster there, unless Keras on the CPU is what was asked for.
    """
    cpu = Device("cpu", partial(OnnxEngine, threads=threads), ONNX_BYTES, ONNX_COPIES)
    if engine == "onnx":
        return choose(device, cpu, None, "the engine onnx runs on CPUs only; use the engine keras")
    from models.engines import keras  # noqa: PLC0415 - keeps TensorFlow out of a CPU server

    def keras_on(name: str, tolerance: float) -> Device:
        make = partial(keras.KerasEngine, device=name)
        return Device(name, make, KERAS_BYTES, KERAS_COPIES, rungs(keras.MAX_ROWS), cpu, tolerance)

    if device == "cpu":
        return keras_on("cpu", TOLERANCE)
    gpu = keras_on("gpu", GPU_TOLERANCE) if keras.sees_gpu() else None
    return choose(device, cpu, gpu, f"{keras.backend()} sees none")


def _closing() -> Unavailable:
    return Unavailable("the service is being stopped; ask another process, or again in a few seconds")
