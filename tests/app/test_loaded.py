import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from app.problems import NotFound
from app.serving import loaded
from app.serving.loaded import LoadedModels, engine_maker
from app.settings import Settings
from app.telemetry import Telemetry
from models import bundle
from models.engines.onnx import OnnxEngine
from models.errors import BundleError
from tests.fakes import random_forecaster, says, together

DATA = {number: bundle.to_bytes(says(number)) for number in range(1, 6)}
SIZE = len(DATA[1])


@dataclass
class Shelf:
    """The registry of tenant 7, as a dictionary; remembers what was fetched."""

    data: dict[int, bytes] = field(default_factory=lambda: dict(DATA))
    fetched: list[int] = field(default_factory=list)

    def __call__(self, tenant_id: int, version_id: int) -> bytes:
        self.fetched.append(version_id)
        if tenant_id != 7 or version_id not in self.data:
            raise NotFound(f"no version with the id {version_id}")
        return self.data[version_id]


def models_of(shelf: Shelf, room: int) -> tuple[LoadedModels, Telemetry]:
    """Room for ``room`` of the shelf's models."""
    telemetry = Telemetry("test")
    return LoadedModels(shelf, OnnxEngine, room * SIZE, telemetry), telemetry


def said(models: LoadedModels, number: int) -> float:
    """What the version says: its own number."""
    (network,) = models.get(7, number).networks
    return float(network.engine.run({"past": np.zeros((1, 4, 2), np.float32)})["said"][0, 0, 0])


def test_a_version_is_fetched_once() -> None:
    shelf = Shelf()
    models, _ = models_of(shelf, 3)
    assert [said(models, 1) for _ in range(3)] == [1, 1, 1]
    assert shelf.fetched == [1]
    assert models.get(7, 1) is models.get(7, 1)


def test_each_member_has_an_engine_of_its_own() -> None:
    models, _ = models_of(Shelf({1: bundle.to_bytes(together(says(1), says(2), says(3)))}), 1)
    networks = models.get(7, 1).networks
    past = {"past": np.zeros((1, 4, 2), np.float32)}
    assert [network.engine.run(past)["said"].item() for network in networks] == [1, 2, 3]


def test_the_one_not_used_for_longest_makes_room() -> None:
    shelf = Shelf()
    models, telemetry = models_of(shelf, 2)
    for number in (1, 2, 1, 3, 1, 2):  # 3 pushes out 2, then 2 pushes out 3
        assert said(models, number) == number
    assert shelf.fetched == [1, 2, 3, 2]
    metrics = telemetry.render().decode()
    assert "forecastle_models_loaded 2.0" in metrics
    assert f"forecastle_models_loaded_bytes {2.0 * SIZE}" in metrics


def test_a_model_larger_than_the_room_is_kept_alone() -> None:
    shelf = Shelf()
    models, _ = models_of(shelf, 0)
    for number in (1, 1, 2, 2, 1):
        assert said(models, number) == number
    assert shelf.fetched == [1, 2, 1]


def test_another_tenants_version_is_not_found_though_it_is_in_memory() -> None:
    models, _ = models_of(Shelf(), 3)
    models.get(7, 1)
    with pytest.raises(NotFound):
        models.get(8, 1)


def test_what_cannot_be_loaded_is_not_kept_and_may_be_mended() -> None:
    shelf = Shelf({1: DATA[1][:-1]})
    models, _ = models_of(shelf, 3)
    for _ in range(2):
        with pytest.raises(BundleError):
            models.get(7, 1)
    shelf.data[1] = DATA[1]
    assert said(models, 1) == 1


def test_many_threads_get_what_they_ask_for() -> None:
    models, telemetry = models_of(Shelf(), 2)
    start = threading.Barrier(8)

    def ask(seed: int) -> bool:
        start.wait(10)
        return all(said(models, number) == number for number in np.random.default_rng(seed).integers(1, 6, 50).tolist())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
    assert "forecastle_models_loaded 2.0" in telemetry.render().decode()


def test_a_slow_load_keeps_nobody_waiting_who_asks_for_another() -> None:
    shelf, slow, go_on = Shelf(), threading.Event(), threading.Event()

    def fetch(tenant_id: int, version_id: int) -> bytes:
        if version_id == 2:
            slow.set()
            assert go_on.wait(10)
        return shelf(tenant_id, version_id)

    models = LoadedModels(fetch, OnnxEngine, 10 * SIZE, Telemetry("test"))
    models.get(7, 1)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(said, models, 2)
        assert slow.wait(10)
        assert [said(models, 1), said(models, 3)] == [1, 3]
        go_on.set()
        assert second.result(10) == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_the_engine_has_the_threads_of_the_settings(threads: int) -> None:
    (member,) = random_forecaster().members
    engine = engine_maker(Settings(threads=threads))(member.spec, member.weights)
    assert isinstance(engine, OnnxEngine)
    assert engine._session.get_session_options().intra_op_num_threads == threads


def test_tensorflow_is_asked_for_only_by_its_own_engine() -> None:
    assert not hasattr(loaded, "KerasEngine")
