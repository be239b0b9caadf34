"""Placement of networks on devices, and the fallback for those whose outputs differ from the CPU's."""

import numpy as np
import pytest

from models.engines.devices import GPU_TOLERANCE, Device, EngineNote, choose, place
from models.engines.onnx import OnnxEngine
from models.network.build import input_shapes
from models.network.sizes import forecast_flop
from tests.models.kinds import KNOWN, name_of, spec_of
from tests.models.samples import small_spec, weights_of

CPU = Device("cpu", OnnxEngine, engine_bytes=1000, copies=2.0)
SPEC = small_spec(units=3)


def gpu_of(engine, **options):
    """Return a GPU whose engines are those of the CPU, changed by ``engine``; its batch sizes are 1 and 8."""
    return Device(
        "gpu",
        lambda spec, weights: engine(OnnxEngine(spec, weights)),
        engine_bytes=5000,
        copies=1.0,
        rows=options.pop("rows", (1, 8)),
        reference=CPU,
        **options,
    )


class Noted:
    """An engine like the CPU's that records its inputs."""

    def __init__(self, engine):
        self.engine, self.given = engine, []

    def run(self, inputs):
        self.given.append(inputs)
        return self.engine.run(inputs)


class Rounds(Noted):
    """An engine that rounds its inputs to ten bits of mantissa, as a GPU multiplies."""

    def run(self, inputs):
        bits = {
            name: value.view(np.uint32) + np.uint32(0x1000) & np.uint32(0xFFFFE000) for name, value in inputs.items()
        }
        return self.engine.run({name: value.view(np.float32) for name, value in bits.items()})


class Backwards(Noted):
    """A kernel that returns a backward sequence in the wrong order, as Keras' on JAX did."""

    def run(self, inputs):
        return self.engine.run({**inputs, "past": inputs["past"][:, ::-1]})


class MixesRows(Noted):
    """An engine that is right for one row and wrong from the second on, as stacked layers under OpenVINO."""

    def run(self, inputs):
        return {name: np.roll(value, len(value) // 2, axis=0) for name, value in self.engine.run(inputs).items()}


class ForgetsState(Noted):
    """An engine that is right for one window and wrong for a carried state."""

    def run(self, inputs):
        return self.engine.run({n: np.zeros_like(x) if n.startswith("state") else x for n, x in inputs.items()})


class Nan(Noted):
    def run(self, inputs):
        return {name: value * np.nan for name, value in self.engine.run(inputs).items()}


class OutOfMemory(Noted):
    """An engine that fails for batches of more than one row."""

    def run(self, inputs):
        if len(inputs["past"]) > 1:
            raise MemoryError("8.00 GiB could not be allocated on the device")
        return self.engine.run(inputs)


def test_the_requested_device_is_used_if_it_exists():
    gpu = gpu_of(Noted)
    chosen = {requested: choose(requested, CPU, gpu, "") for requested in ("auto", "gpu", "cpu")}
    assert chosen == {"auto": gpu, "gpu": gpu, "cpu": CPU}
    assert choose("auto", CPU, None, "none") is CPU
    assert choose("cpu", CPU, None, "none") is CPU


def test_a_missing_gpu_is_noted_and_is_no_error():
    chosen = choose("gpu", CPU, None, "tensorflow sees none")
    assert chosen.make is CPU.make
    assert chosen.notes == (
        EngineNote("no_gpu", "a GPU was requested, but tensorflow sees none; forecasts are made on the CPU"),
    )
    assert place([(SPEC, weights_of(SPEC))], chosen).notes == chosen.notes


def test_an_engine_that_agrees_with_the_cpu_runs_every_size_once_and_serves():
    spec, weights = SPEC, weights_of(SPEC)
    placed = place([(spec, weights), (spec, weights)], gpu_of(Noted))
    assert (placed.device, placed.notes) == ("gpu", ())
    assert [[len(inputs["past"]) for inputs in engine.given] for engine in placed.engines] == [[1, 8], [1, 8]]
    assert placed.held_bytes == 2 * 5000 + 2 * sum(weight.nbytes for weight in weights.values())


def test_a_carried_state_is_compared_at_every_compiled_number_of_points():
    spec = spec_of({"state": "carried", "strategy": "iterative"})
    placed = place([(spec, weights_of(spec))], gpu_of(Noted))
    shapes = [inputs["past"].shape[:2] for inputs in placed.engines[0].given]
    assert shapes == [(1, 1), (1, 8), (1, 10), (8, 1), (8, 8), (8, 10)]


@pytest.mark.parametrize(
    "fields",
    [{}, {"cell": "lstm", "depth": 2}, {"encoder": "bidirectional", "strategy": "decoder", **KNOWN}, {"cell": "rnn"}],
    ids=name_of,
)
def test_the_rounding_of_a_gpu_is_accepted(fields):
    networks = [(spec_of(fields), weights_of(spec_of(fields)))]
    assert place(networks, gpu_of(Rounds)).device == "gpu"
    assert place(networks, gpu_of(Rounds, tolerance=1e-6)).device == "cpu"  # it does round


CARRIED = {"state": "carried", "strategy": "iterative"}


@pytest.mark.parametrize(
    ("wrong", "fields", "reason"),
    [
        (Backwards, {}, "EngineMismatch 'the engines differ by"),
        (MixesRows, {}, "EngineMismatch 'the engines differ by"),
        (ForgetsState, CARRIED, "EngineMismatch 'the engines differ by"),
        (Nan, {}, "EngineMismatch 'the engines differ by inf"),
        (OutOfMemory, {}, "MemoryError '8.00 GiB could not be allocated on the device'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_or_failing_engine_is_replaced_by_the_cpu(wrong, fields, reason):
    spec = spec_of(fields)
    weights = weights_of(spec)
    good = small_spec(units=3)
    placed = place(
        [(good, weights_of(good)), (spec, weights)], gpu_of(wrong, notes=(EngineNote("old_driver", "so so"),))
    )
    assert placed.device == "cpu"
    assert [type(engine) for engine in placed.engines] == [OnnxEngine, OnnxEngine]
    old, note = placed.notes
    assert (old.code, note.code) == ("old_driver", "fell_back_to_cpu")
    assert note.message.startswith("on the gpu it cannot be served (" + reason.replace(" '", ": '", 1))
    assert note.message.endswith("); this version runs on the cpu")
    assert placed.held_bytes == 2 * 1000 + 2 * sum(x.nbytes for w in (weights_of(good), weights) for x in w.values())


def test_a_difference_below_the_tolerance_is_served():
    class Off(Noted):
        def run(self, inputs):
            return {name: value + GPU_TOLERANCE * 0.9 for name, value in self.engine.run(inputs).items()}

    assert place([(SPEC, weights_of(SPEC))], gpu_of(Off)).device == "gpu"


def test_a_large_network_is_compared_in_small_batches_and_warmed_up_in_all(monkeypatch):
    monkeypatch.setattr("models.engines.devices.MAX_COMPARED_FLOP", 8 * forecast_flop(SPEC, SPEC.outputs))

    class WrongInLargeBatches(Noted):
        def run(self, inputs):
            outputs = super().run(inputs)
            return outputs if len(inputs["past"]) <= 8 else {name: value + 1 for name, value in outputs.items()}

    placed = place([(SPEC, weights_of(SPEC))], gpu_of(WrongInLargeBatches, rows=(1, 8, 64)))
    assert placed.device == "gpu"
    assert [len(inputs["past"]) for inputs in placed.engines[0].given] == [1, 8, 64]
    monkeypatch.setattr("models.engines.devices.MAX_COMPARED_FLOP", 64 * forecast_flop(SPEC, SPEC.outputs))
    assert place([(SPEC, weights_of(SPEC))], gpu_of(WrongInLargeBatches, rows=(1, 8, 64))).device == "cpu"


def test_a_missing_weight_is_no_reason_to_fall_back():
    weights = weights_of(SPEC)
    del weights["head/bias"]
    with pytest.raises(KeyError, match="head/bias"):
        place([(SPEC, weights)], gpu_of(Noted))


def test_the_cpus_own_engine_is_not_compared():
    rows = []

    class Counted(Nan):
        def run(self, inputs):
            rows.append(len(inputs["past"]))
            return super().run(inputs)

    device = Device("cpu", lambda spec, weights: Counted(OnnxEngine(spec, weights)), 0, 0)
    placed = place([(SPEC, weights_of(SPEC))], device)
    assert (placed.device, rows) == ("cpu", [1])
    outputs = placed.engines[0].run({n: np.zeros((1, *shape), np.float32) for n, shape in input_shapes(SPEC).items()})
    assert np.isnan(outputs["predicted"]).all()  # making a forecast refuses them
