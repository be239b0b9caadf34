"""Keras on JAX agrees with ONNX Runtime for every kind of network.

It runs in a process of its own, because Keras chooses its backend when it is imported.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.models.kinds import name_of, pairs

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed; `make test` does so: pip install '.[jax]'")
def test_keras_on_jax_agrees_with_onnx_runtime_for_every_kind():
    """The tolerance is that of publishing a version."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.engines.jax_parity"],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in results] == [name_of(fields) for fields in pairs()]
    assert {one["backend"] for one in results} == {"jax"}
    assert [one for one in results if "error" in one] == []
    assert 0 < max(one["difference"] for one in results) <= 1e-5  # above 0: they are two implementations
