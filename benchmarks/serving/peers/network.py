"""The network that all peers but MLflow serve: the ONNX file of ``benchmarks.serving.graph``, run on one thread."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

Network = Callable[[Any], list[list[float]]]


def open_session(file: str) -> onnxruntime.InferenceSession:
    """ONNX Runtime with the network in ``file``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def network(file: str) -> Network:
    """From windows (N, T), anything that makes an array, to forecasts (N, H) as lists."""
    session = open_session(file)

    def said(y: Any) -> list[list[float]]:
        found: list[list[float]] = session.run(["mean"], {"y": np.asarray(y, dtype=np.float32)})[0].tolist()
        return found

    return said
