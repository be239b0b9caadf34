"""Run of a module on a Keras backend in a process of its own: Keras chooses its backend when it is imported."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NO_JAX = "JAX is not installed; `make test` does so: pip install '.[jax]'"
NEEDS_JAX = pytest.mark.skipif(find_spec("jax") is None, reason=NO_JAX)


def run_on(backend: str, module: str, *arguments: str) -> list[dict[str, Any]]:
    """Return the JSON lines that ``module`` prints on ``backend``, each of which names the backend."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["backend"] for one in results} == {backend}
    return results
