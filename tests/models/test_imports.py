"""Forbidden imports of the library: TensorFlow where it only serves, pickle, and the service above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import models

ROOT = Path(models.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def imported(file):
    """Yield every module that a file imports, at the top or inside."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_imports_a_forbidden_module(file):
    roots = {name.split(".")[0] for name in imported(file)}
    forbidden = {"tensorflow", "jax", "torch", "pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    assert not roots & (forbidden | {"app", "os", "time", "sqlalchemy", "fastapi"})


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_executes_data(file):
    called = {node.func.id for node in ast.walk(ast.parse(file.read_text())) if _calls_by_name(node)}
    assert not called & {"eval", "exec", "compile", "__import__"}


def _calls_by_name(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def test_only_six_files_import_keras():
    users = {str(file.relative_to(ROOT)) for file in FILES if any(n.split(".")[0] == "keras" for n in imported(file))}
    assert users == {
        "engines/keras.py",
        "engines/keras_layers.py",
        "training/compile.py",
        "training/fit.py",
        "training/loss.py",
        "training/resume.py",
    }


def test_serving_on_a_cpu_imports_neither_keras_nor_its_backend_nor_pandas():
    script = """
import sys
import models.engines.onnx, models.engines.parity, models.forecasting.forecaster, models.forecasting.bundle
import models.evaluation.backtest, models.training.recipes
import models.evaluation.adaptive_intervals, models.training.blending, models.forecasting.rollout
print(sorted({"tensorflow", "keras", "pandas", "jax", "torch"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == "[]"
