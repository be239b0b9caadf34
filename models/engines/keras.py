"""Engine ``keras``: the network as it was trained, on any Keras 3 backend; the reference, and the engine for GPUs."""

import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.network import build, set_weights
from models.spec import Spec


class KerasEngine:
    """A network under Keras; one call at a time, batches padded to powers of two so that few shapes are compiled."""

    def __init__(self, spec: Spec, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._network = build(spec)
        set_weights(self._network, weights)
        self._network.compile(jit_compile="auto")
        self._lock = threading.Lock()  # Keras' predict functions are not safe to call from several threads

    def run(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network says after ``windows`` (B, T, C): (B, O)."""
        size = len(windows)
        padded = np.zeros((1 << (size - 1).bit_length(), *windows.shape[1:]), dtype=np.float32)
        padded[:size] = windows
        with self._lock:
            said: NDArray[np.float32] = np.asarray(self._network.predict_on_batch(padded))[:size]
        return said if said.ndim == 2 else said[:, -1]
