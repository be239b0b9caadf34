"""Cache of loaded models: one load for all requests, a budget in bytes, eviction, devices."""

import asyncio
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest

from app.problems import NotFound, Unavailable
from app.serving import model_cache as loaded_module
from app.serving.model_cache import ONNX_BYTES, ONNX_COPIES, Counts, LoadedModel, ModelCache, device_for
from models.engines.devices import Device, EngineNote
from models.engines.onnx import OnnxEngine
from models.errors import BundleError
from models.forecasting import bundle
from tests.app.serving.shelves import Clock
from tests.fakes import random_forecaster, says, together

DATA = {number: bundle.to_bytes(says(number)) for number in range(1, 6)}
WEIGHTS_BYTES = sum(weight.nbytes for weight in says(1).members[0].weights.values())
SIZE = len(DATA[1]) + ONNX_BYTES + int(ONNX_COPIES * WEIGHTS_BYTES)
PAST = {"past": np.zeros((1, 4, 2), np.float32)}


@dataclass
class Shelf:
    """Bundles of tenant 7; records the fetched versions, and delays some until the test lets them go."""

    data: dict[int, bytes] = field(default_factory=lambda: dict(DATA))
    fetched: list[int] = field(default_factory=list)
    delayed: set[int] = field(default_factory=set)
    waiting: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, tenant_id: int, version_id: int) -> bytes:
        self.fetched.append(version_id)
        if version_id in self.delayed:
            self.waiting.set()
            assert self.go_on.wait(10)
        if tenant_id != 7 or version_id not in self.data:
            raise NotFound(f"no version with the id {version_id}")
        return self.data[version_id]


@contextmanager
def models_of(shelf: Shelf, room: int, **options: Any) -> Iterator[ModelCache]:
    """Return a cache with the budget of ``room`` models of the shelf."""
    device = options.pop("device", device_for("onnx", "auto", 1))
    models = ModelCache(shelf, device, room * SIZE, **options)
    try:
        yield models
    finally:
        shelf.go_on.set()
        models.close()


def forecast_of(models: ModelCache, number: int) -> float:
    """Return the forecast of the version: its own number."""
    (network,) = models.get(7, number).networks
    return float(network.engine.run(PAST)["predicted"][0, 0, 0])


def test_a_version_is_loaded_once_and_then_found() -> None:
    shelf = Shelf()
    with models_of(shelf, 3) as models:
        assert models.find(7, 1) is None
        loaded = models.load(7, 1).result(10)
        assert models.find(7, 1) is loaded is models.get(7, 1) is models.load(7, 1).result(0)
        assert forecast_of(models, 1) == 1
        assert shelf.fetched == [1]


def test_each_member_has_an_engine_of_its_own() -> None:
    shelf = Shelf({1: bundle.to_bytes(together(says(1), says(2), says(3)))})
    with models_of(shelf, 1) as models:
        networks = models.get(7, 1).networks
        assert [network.engine.run(PAST)["predicted"].item() for network in networks] == [1, 2, 3]
        assert models.get(7, 1).size_bytes == len(shelf.data[1]) + 3 * ONNX_BYTES + int(ONNX_COPIES * 3 * WEIGHTS_BYTES)


def test_the_least_recently_used_makes_room() -> None:
    shelf = Shelf()
    with models_of(shelf, 2) as models:
        for number in (1, 2, 1, 3, 1, 2):  # 3 pushes out 2, then 2 pushes out 3
            assert forecast_of(models, number) == number
        assert shelf.fetched == [1, 2, 3, 2]
        counts = models.counts()._replace(load_seconds=0.0)
        assert counts == Counts(hits=2, misses=4, loads=4, evictions=2, models=2, size_bytes=2 * SIZE)


def test_a_model_larger_than_the_budget_is_kept_alone() -> None:
    shelf = Shelf()
    with models_of(shelf, 0) as models:
        for number in (1, 1, 2, 2, 1):
            assert forecast_of(models, number) == number
        assert shelf.fetched == [1, 2, 1]


def test_an_evicted_model_lives_as_long_as_its_users_hold_it() -> None:
    with models_of(Shelf(), 1) as models:
        loaded = models.get(7, 1)
        models.get(7, 2)
        assert models.find(7, 1) is None
        assert loaded.networks[0].engine.run(PAST)["predicted"].flat[0] == 1
        engine = weakref.ref(loaded.networks[0].engine)
        del loaded
        assert engine() is None


def test_another_tenants_version_in_memory_is_not_found() -> None:
    with models_of(Shelf(), 3) as models:
        models.get(7, 1)
        assert models.find(8, 1) is None
        with pytest.raises(NotFound):
            models.get(8, 1)


def test_an_error_is_remembered_for_one_second() -> None:
    shelf, clock = Shelf({1: DATA[1][:-1]}), Clock()
    with models_of(shelf, 3, clock=clock) as models:
        for _ in range(3):
            with pytest.raises(BundleError):
                models.get(7, 1)
        assert shelf.fetched == [1]
        shelf.data[1] = DATA[1]
        clock.after(1.0)
        assert forecast_of(models, 1) == 1
        assert (models.counts().failures, models.counts().loads) == (1, 1)


def test_concurrent_requests_share_one_load_and_none_can_cancel_it() -> None:
    shelf = Shelf(delayed={2})
    with models_of(shelf, 3) as models:
        waiting = [models.load(7, 2) for _ in range(20)]
        assert shelf.waiting.wait(10)
        assert not any(loading.cancel() for loading in waiting)
        assert models.counts().loading == 1
        shelf.go_on.set()
        assert len({id(loading.result(10)) for loading in waiting}) == 1
        assert shelf.fetched == [2]


def test_an_error_reaches_all_waiting_requests() -> None:
    shelf = Shelf({}, delayed={2})
    with models_of(shelf, 3) as models:
        waiting = [models.load(7, 2) for _ in range(5)]
        assert shelf.waiting.wait(10)
        shelf.go_on.set()
        assert all(isinstance(loading.exception(10), NotFound) for loading in waiting)
        assert shelf.fetched == [2]


def test_a_slow_load_does_not_delay_the_load_of_another_version() -> None:
    shelf = Shelf(delayed={2})
    with models_of(shelf, 10) as models:
        models.get(7, 1)
        second = models.load(7, 2)
        assert shelf.waiting.wait(10)
        assert [forecast_of(models, 1), forecast_of(models, 3)] == [1, 3]  # one warm, one cold
        assert not second.done()
        shelf.go_on.set()
        assert second.result(10)


def test_a_cancelled_request_does_not_stop_the_load_for_others() -> None:
    shelf = Shelf(delayed={2})

    async def scene(models: ModelCache) -> LoadedModel:
        hasty, patient = (asyncio.create_task(_loaded(models, 2)) for _ in range(2))
        await asyncio.to_thread(shelf.waiting.wait, 10)
        hasty.cancel()
        shelf.go_on.set()
        return await patient

    with models_of(shelf, 3) as models:
        assert asyncio.run(scene(models)) is models.find(7, 2)


async def _loaded(models: ModelCache, number: int) -> LoadedModel:
    return await asyncio.wrap_future(models.load(7, number))


def test_closing_fails_all_waiting_and_later_requests() -> None:
    shelf = Shelf(delayed={1, 2})
    with models_of(shelf, 3, loaders=1) as models:
        waiting = [models.load(7, 1), models.load(7, 2)]  # one is being loaded, the other has not begun
        assert shelf.waiting.wait(10)
        models.close()
        for loading in (*waiting, models.load(7, 3)):
            with pytest.raises(Unavailable):
                loading.result(10)


def test_too_many_cold_models_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_module, "MAX_WAITING", 2)
    shelf = Shelf(delayed={1, 2, 3})
    with models_of(shelf, 3) as models:
        first, second, third = (models.load(7, number) for number in (1, 2, 3))
        with pytest.raises(Unavailable, match="2 models are being loaded already"):
            third.result(0)
        shelf.go_on.set()
        assert first.result(10)
        assert second.result(10)
        assert models.load(7, 3).result(10)  # a refusal is not remembered


def test_many_threads_get_the_versions_they_ask_for() -> None:
    with models_of(Shelf(), 2) as models:
        start = threading.Barrier(8)

        def ask(seed: int) -> bool:
            start.wait(10)
            numbers = np.random.default_rng(seed).integers(1, 6, 50).tolist()
            return all(forecast_of(models, number) == number for number in numbers)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(ask, range(8)))
        counts = models.counts()
        assert (counts.models, counts.size_bytes, counts.loading) == (2, 2 * SIZE, 0)
        assert counts.hits + counts.misses == 400
        assert counts.loads == counts.evictions + 2


@dataclass
class Noted:
    """Engine that records the number of rows of each run."""

    engine: Any
    rows: list[int]

    def run(self, inputs: Any) -> Any:
        self.rows.append(len(inputs["past"]))
        return self.engine.run(inputs)


def test_a_version_is_warmed_up_at_every_batch_size_before_it_is_served() -> None:
    rows: list[int] = []
    device = Device(
        "cpu", lambda spec, weights: Noted(OnnxEngine(spec, weights), rows), ONNX_BYTES, ONNX_COPIES, (1, 8)
    )
    with models_of(Shelf(), 3, device=device) as models:
        models.get(7, 1)
    assert rows == [1, 8]


class Wrong:
    """Engine with a wrong fused kernel: it reverses the sequence."""

    def __init__(self, spec: Any, weights: Any) -> None:
        self._engine = OnnxEngine(spec, weights)

    def run(self, inputs: Any) -> Any:
        return self._engine.run({**inputs, "past": inputs["past"][:, ::-1]})


def test_a_network_with_wrong_results_on_the_gpu_is_served_on_the_cpu_with_a_note(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gpu = Device("gpu", Wrong, 0, 0, (1, 8), device_for("onnx", "auto", 1), notes=(EngineNote("old_driver", "so so"),))
    good, bad = bundle.to_bytes(says(3)), bundle.to_bytes(random_forecaster())
    with models_of(Shelf({1: good, 2: bad}), 3, device=gpu) as models:
        assert models.get(7, 1).device == "gpu"  # its weights are zero: it says the same whatever it reads
        assert [note.code for note in models.get(7, 1).notes] == ["old_driver"]
        placed = models.get(7, 2)
        assert (placed.device, [note.code for note in placed.notes]) == ("cpu", ["old_driver", "fell_back_to_cpu"])
        assert isinstance(placed.networks[0].engine, OnnxEngine)
    assert "version id 2: on the gpu it cannot be served (EngineMismatch" in caplog.text
    assert "version id 1" not in caplog.text


def test_the_counts_state_the_seconds_of_loads() -> None:
    clock = Clock()

    def slow(tenant_id: int, version_id: int) -> bytes:
        clock.after(2.5)
        return DATA[version_id]

    models = ModelCache(slow, device_for("onnx", "auto", 1), 3 * SIZE, clock=clock)
    models.get(7, 1)
    models.get(7, 2)
    assert models.counts().load_seconds == 5.0
    models.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_engine_has_the_threads_of_the_settings(threads: int) -> None:
    (member,) = random_forecaster().members
    engine = device_for("onnx", "auto", threads).make(member.spec, member.weights)
    assert isinstance(engine, OnnxEngine)
    assert engine._session.get_session_options().intra_op_num_threads == threads


def test_only_the_keras_engine_imports_tensorflow() -> None:
    assert not hasattr(loaded_module, "keras")
    assert device_for("onnx", "auto", 1).notes == ()
    (note,) = device_for("onnx", "gpu", 1).notes
    assert note.code == "no_gpu"
    assert "use the engine keras" in note.message


def test_keras_without_a_gpu_runs_onnx_runtime_unless_the_device_is_cpu() -> None:
    (member,) = random_forecaster().members
    made = {name: device_for("keras", name, 1) for name in ("auto", "cpu", "gpu")}
    kinds = {name: type(device.make(member.spec, member.weights)).__name__ for name, device in made.items()}
    assert kinds == {"auto": "OnnxEngine", "cpu": "KerasEngine", "gpu": "OnnxEngine"}
    assert [device.name for device in made.values()] == ["cpu", "cpu", "cpu"]
    assert made["cpu"].tolerance == 1e-5
    assert [len(device.notes) for device in made.values()] == [0, 0, 1]
    assert made["gpu"].notes[0].message == (
        f"a GPU was requested, but {_backend()} sees none; forecasts are made on the CPU"
    )


def test_keras_with_a_gpu_uses_it_unless_the_device_is_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.engines.keras.sees_gpu", lambda: True)
    made = [device_for("keras", name, 1) for name in ("auto", "gpu", "cpu")]
    assert [(device.name, device.tolerance, device.notes) for device in made] == [
        ("gpu", 3e-3, ()),
        ("gpu", 3e-3, ()),
        ("cpu", 1e-5, ()),
    ]
    assert {device.rows for device in made} == {(1, 8, 64, 512)}
    assert all(device.reference is not None and device.reference.rows == (1,) for device in made)


def _backend() -> str:
    from models.engines.keras import backend

    return backend()


def test_finding_a_model_takes_microseconds() -> None:
    with models_of(Shelf(), 5) as models:
        for number in DATA:
            models.get(7, number)
        find = partial(models.find, 7, 3)
        took_s = min(_seconds(find) for _ in range(5))
        assert took_s < 20e-6  # about 0.4 us on a quiet machine


def _seconds(act: Any) -> float:
    start = time.perf_counter()
    for _ in range(1000):
        act()
    return (time.perf_counter() - start) / 1000


def test_the_future_of_a_model_in_memory_is_done() -> None:
    with models_of(Shelf(), 5) as models:
        models.get(7, 1)
        loading: Future[LoadedModel] = models.load(7, 1)
        assert loading.done()
