"""Requests, right answers, and the files with the network for all contestants."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import ROOT
from benchmarks.serving.contestants import PEERS_PYTHON, windows_of
from benchmarks.serving.graph import whole_graph
from benchmarks.serving.load import Floats
from benchmarks.serving.peers.network import network
from benchmarks.serving.served import SPEC, random_weights

FEW, MANY = 16, 1_000  # windows that are asked for each by itself, and all in one request


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Windows (FEW, T) and (MANY, T) with their right forecasts (…, H); ``file`` and ``mlflow`` hold the network.

    ``windows`` is the file of the many, ``folder`` where all files are.
    """

    few: Floats
    many: Floats
    few_right: Floats
    many_right: Floats
    file: Path
    mlflow: Path
    windows: Path
    folder: Path


def prepare(folder: Path) -> Work:
    """Write the files into ``folder``, and compute the right forecasts with ONNX Runtime alone."""
    file, weights, mlflow, windows = (folder / name for name in ("gru.onnx", "gru.npz", "mlflow", "windows.npy"))
    own = random_weights(SPEC)
    file.write_bytes(whole_graph(SPEC, own).SerializeToString())
    np.savez(weights, **dict[str, Any](own))
    few, many = windows_of(FEW, SPEC.context), windows_of(MANY, SPEC.context, seed=1)
    np.save(windows, many)
    if PEERS_PYTHON.is_file():
        line = [str(PEERS_PYTHON), "-m", "benchmarks.serving.peers.mlflow", "save", str(weights), str(mlflow)]
        with (folder / "save.log").open("wb") as log:  # what goes wrong here, its server will complain of
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run(line, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, check=False)
    said = network(str(file))
    return Work(few, many, np.array(said(few)), np.array(said(many)), file, mlflow, windows, folder)
