"""Keras on JAX agrees with ONNX Runtime for every kind of network."""

from tests.models.keras_process import NEEDS_JAX, run_on
from tests.models.kinds import name_of, pairs


@NEEDS_JAX
def test_keras_on_jax_agrees_with_onnx_runtime_for_every_kind():
    """The tolerance is that of publishing a version."""
    results = run_on("jax", "tests.models.engines.jax_parity")
    assert [one["name"] for one in results] == [name_of(fields) for fields in pairs()]
    assert [one for one in results if "error" in one] == []
    assert 0 < max(one["difference"] for one in results) <= 1e-5  # above 0: they are two implementations
