"""Which forecasters are in memory: the most recently used ones, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.settings import Settings
from app.telemetry import Telemetry
from models import bundle
from models.engines import Engine
from models.engines.onnx import OnnxEngine
from models.forecaster import Forecaster, Ready, ready
from models.spec import Spec

Weights = Mapping[str, NDArray[np.float32]]
MakeEngine = Callable[[Spec, Weights], Engine]
Fetch = Callable[[int, int], bytes]  # tenant id, version id -> the bundle, its checksum verified


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A forecaster, each of its members with an engine that runs it."""

    forecaster: Forecaster
    networks: tuple[Ready, ...]
    size_bytes: int


class LoadedModels:
    """Versions by id, fetched when first asked for; safe to use from several threads."""

    def __init__(self, fetch: Fetch, make_engine: MakeEngine, cache_bytes: int, telemetry: Telemetry) -> None:
        self._fetch, self._make_engine, self._telemetry = fetch, make_engine, telemetry
        self._cache_bytes = cache_bytes
        self._models: OrderedDict[tuple[int, int], Loaded] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, tenant_id: int, version_id: int) -> Loaded:
        """The version, loaded if need be.

        Raises:
            NotFound, CorruptBundle, BundleError: the version is not this tenant's, or its bytes cannot be trusted.
        """
        key = (tenant_id, version_id)
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                return self._models[key]
        # Loaded outside the lock: two requests may both load a cold model, but none waits for another's.
        loaded = self._load(key)
        with self._lock:
            self._models[key] = loaded
            self._evict()
        return loaded

    def _load(self, key: tuple[int, int]) -> Loaded:
        data = self._fetch(*key)
        forecaster = bundle.from_bytes(data)
        return Loaded(forecaster, ready(forecaster.members, self._make_engine), len(data))

    def _evict(self) -> None:
        size_bytes = sum(loaded.size_bytes for loaded in self._models.values())
        while size_bytes > self._cache_bytes and len(self._models) > 1:
            _, oldest = self._models.popitem(last=False)
            size_bytes -= oldest.size_bytes
        self._telemetry.models_loaded(len(self._models), size_bytes)


def engine_maker(settings: Settings) -> MakeEngine:
    """What makes the engines that ``settings`` ask for."""
    if settings.engine == "keras":
        from models.engines.keras import KerasEngine  # noqa: PLC0415 - keeps TensorFlow out of a CPU server

        return KerasEngine
    return lambda spec, weights: OnnxEngine(spec, weights, settings.threads)
