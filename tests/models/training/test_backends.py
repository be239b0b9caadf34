"""Whole trainings on each Keras backend, in processes of their own: Keras chooses its backend when it is imported."""

import statistics
from importlib.util import find_spec
from typing import Any

import pytest

from tests.models.keras_process import NEEDS_JAX, run_on
from tests.models.training.train_every_kind import KINDS

NO_TORCH = (
    "torch is not installed: it is 200 MB to 3 GB large, and the service does not need it; pip install '.[torch]'"
)
ALL = [f"{cell}-{strategy}" for cell, strategy in KINDS]
FEW = ("rnn-iterative", "lstm-seq2seq", "gru-direct", "peephole-decoder")


def run(backend: str, *arguments: str) -> list[dict[str, Any]]:
    return run_on(backend, "tests.models.training.train_every_kind", *arguments)


@pytest.fixture(scope="module")
def on_tensorflow():
    return run("tensorflow")


@pytest.fixture(scope="module")
def on_jax():
    return run("jax")


def check_learned(results: list[dict[str, Any]], names: list[str]) -> None:
    """Compare the MASE with that of naive, which errs by half the wave; noise alone makes a perfect model's 0.7."""
    *trained, resumed = results
    assert [one["name"] for one in trained] == names
    assert min(one["naive"] for one in trained) > 5
    assert [one for one in trained if one["model"] > 1.2] == []
    assert resumed["name"] == "resumed"


def check_same_bytes(*resumed: dict[str, Any]) -> None:
    assert len({found[name] for found in resumed for name in ("once", "again", "resumed")}) == 1
    assert 0 <= resumed[0]["engines_differ_by"] <= 1e-5


def test_every_cell_learns_with_every_strategy_on_tensorflow(on_tensorflow):
    check_learned(on_tensorflow, ALL)


@NEEDS_JAX
def test_every_cell_learns_with_every_strategy_on_jax_as_well_as_on_tensorflow(on_tensorflow, on_jax):
    check_learned(on_jax, ALL)
    medians = [statistics.median(one["model"] for one in results[:-1]) for results in (on_tensorflow, on_jax)]
    assert medians[1] == pytest.approx(medians[0], rel=0.05)


def test_on_tensorflow_a_fresh_process_and_an_interrupted_training_give_the_same_bytes(on_tensorflow):
    """With dropout, whose masks are random; one of both processes has trained other networks before."""
    check_same_bytes(on_tensorflow[-1], *run("tensorflow", "none"))


@NEEDS_JAX
def test_on_jax_a_fresh_process_and_an_interrupted_training_give_the_same_bytes(on_jax):
    check_same_bytes(on_jax[-1], *run("jax", "none"))


@pytest.mark.skipif(find_spec("torch") is None, reason=NO_TORCH)
def test_on_torch_every_cell_learns_and_an_interrupted_training_gives_the_same_bytes():
    on_torch = run("torch", *FEW)
    check_learned(on_torch, list(FEW))
    check_same_bytes(on_torch[-1], *run("torch", "none"))
