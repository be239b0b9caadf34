"""Keras as a serving engine: few shapes, all run before the first request, on the requested device."""

from functools import partial

import numpy as np
import pytest

from models.engines import keras as keras_engine
from models.engines.batching import batch_sizes
from models.engines.devices import Device, place
from models.engines.keras import KerasEngine, backend, sees_gpu
from models.engines.onnx import OnnxEngine
from models.engines.parity import TOLERANCE, check_parity, random_inputs, warm_up
from models.errors import EngineMismatch
from models.network.build import input_shapes
from tests.models.kinds import KNOWN, spec_of
from tests.models.samples import weights_of

PLAIN = spec_of({"strategy": "direct"})
CARRIED = spec_of({"state": "carried", "strategy": "iterative", "cell": "lstm", "depth": 2, **KNOWN})


def inputs_of(spec, rows, **shapes):
    rng = np.random.default_rng(0)
    wanted = input_shapes(spec) | shapes
    return {name: rng.normal(size=(rows, *shape)).astype(np.float32) for name, shape in wanted.items()}


@pytest.fixture(scope="module")
def shapes_of():
    """Record the shapes of ``past`` that an engine gives to Keras, in the order of their first use."""

    def watched(engine):
        given, run = [], engine.network.predict_on_batch

        def predict(inputs):
            if inputs["past"].shape[:2] not in given:
                given.append(inputs["past"].shape[:2])
            return run(inputs)

        engine.network.predict_on_batch = predict
        return given

    return watched


@pytest.mark.parametrize("spec", [PLAIN, CARRIED], ids=["plain", "carried"])
def test_batches_of_any_size_run_in_the_few_shapes_of_the_warm_up(spec, shapes_of):
    weights = weights_of(spec)
    engine, reference = KerasEngine(spec, weights, max_rows=9), OnnxEngine(spec, weights)
    given = shapes_of(engine)
    warm_up(spec, engine, batch_sizes(9))
    warm = list(given)
    lengths = (1, 8, 10) if spec.carries else (10,)
    assert warm == [(rows, points) for rows in (1, 8, 9) for points in lengths]
    for rows, points in ((1, 10), (2, 10), (9, 10), (20, 10), *([(1, 1), (3, 25), (11, 7)] if spec.carries else [])):
        inputs = inputs_of(spec, rows, past=(points, spec.channels))
        found, expected = engine.run(inputs), reference.run(inputs)
        assert found.keys() == expected.keys()
        assert all(value == pytest.approx(expected[name], abs=1e-5) for name, value in found.items())
    assert given == warm


def test_keras_on_the_cpu_is_placed_like_any_device_with_the_tolerance_of_publishing():
    cpu = Device("cpu", OnnxEngine, 0, 0)
    device = Device("cpu", KerasEngine, 0, 0, (1, 8), cpu, TOLERANCE)
    placed = place([(PLAIN, weights_of(PLAIN))], device)
    assert isinstance(placed.engines[0], KerasEngine)
    assert placed.notes == ()


def test_a_machine_without_a_gpu_is_seen_to_have_none():
    assert backend() in ("tensorflow", "jax", "torch")
    assert sees_gpu() is False


class OnGpu:
    """A number that lies where a backend says that its GPU's numbers do."""

    def __init__(self, device):
        self.device = device

    def __add__(self, other):
        return self


@pytest.mark.parametrize(
    ("device", "seen"),
    [
        ("/job:localhost/replica:0/task:0/device:GPU:0", True),  # TensorFlow
        ("cuda:0", True),  # JAX and torch
        ("/job:localhost/replica:0/task:0/device:CPU:0", False),
        ("TFRT_CPU_0", False),
        ("cpu", False),
    ],
)
def test_a_gpu_is_recognised_by_the_names_of_every_backend(monkeypatch, device, seen):
    monkeypatch.setattr(keras_engine.K, "zeros", lambda shape: OnGpu(device))
    assert sees_gpu() is seen


def test_without_a_gpu_its_engine_cannot_be_built_and_the_cpu_serves():
    weights = weights_of(PLAIN)
    with pytest.raises((ValueError, RuntimeError, AssertionError)):  # TensorFlow's, JAX's and torch's errors
        KerasEngine(PLAIN, weights, "gpu")
    gpu = Device("gpu", partial(KerasEngine, device="gpu"), 0, 0, (1, 8), Device("cpu", OnnxEngine, 0, 0))
    placed = place([(PLAIN, weights)], gpu)
    assert (placed.device, [note.code for note in placed.notes]) == ("cpu", ["fell_back_to_cpu"])
    assert isinstance(placed.engines[0], OnnxEngine)


def test_on_the_cpu_no_layer_uses_cudnn():
    engine = KerasEngine(CARRIED, weights_of(CARRIED))
    cells = [layer for layer in engine.network.layers if layer.name.startswith("encoder")]
    assert [layer.use_cudnn for layer in cells] == [False, False]


def test_random_inputs_are_the_same_at_every_call_and_have_every_compiled_length():
    once, again = (list(random_inputs(CARRIED, (1, 7))) for _ in range(2))
    assert [inputs["past"].shape[:2] for inputs in once] == [(r, n) for r in (1, 7) for n in (1, 8, 10)]
    assert all((a[name] == b[name]).all() for a, b in zip(once, again, strict=True) for name in a)
    assert all(np.abs(inputs["state_3"]).max() > 0 for inputs in once)
    seen = spec_of({"attention": True, "strategy": "decoder"})
    assert {value for inputs in random_inputs(seen, (7,)) for value in inputs["seen"].flat} == {0.0, 1.0}


def test_a_larger_tolerance_accepts_a_larger_difference():
    class Off(OnnxEngine):
        def run(self, inputs):
            return {name: value + 1e-3 for name, value in super().run(inputs).items()}

    weights = weights_of(PLAIN)
    reference, other = OnnxEngine(PLAIN, weights), Off(PLAIN, weights)
    assert check_parity(PLAIN, reference, other, tolerance=2e-3) == pytest.approx(1e-3, rel=0.01)
    with pytest.raises(EngineMismatch, match="at most 1e-05 is accepted"):
        check_parity(PLAIN, reference, other)


def test_a_network_with_replaced_weights_equals_a_new_one():
    engine, [inputs] = KerasEngine(PLAIN, weights_of(PLAIN)), random_inputs(PLAIN, [3])
    for seed in (1, 2, 1):
        weights = weights_of(PLAIN, seed)
        keras_engine.set_weights(engine.network, weights)
        found = engine.run(inputs)["predicted"]
        np.testing.assert_array_equal(found, KerasEngine(PLAIN, weights).run(inputs)["predicted"])
