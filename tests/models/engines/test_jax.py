"""Keras on JAX says what ONNX Runtime says, for every family of networks; in a process of its own, as a backend is
chosen once and for all when Keras is imported."""

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
def test_keras_on_jax_says_the_same_as_onnx_runtime_for_every_family():
    """The tolerance is the one that a version is published by."""
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
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in said] == [name_of(fields) for fields in pairs()]
    assert {one["backend"] for one in said} == {"jax"}
    assert [one for one in said if "error" in one] == []
    assert 0 < max(one["difference"] for one in said) <= 1e-5  # they are two, and agree
