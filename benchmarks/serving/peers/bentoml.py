"""BentoML with ONNX Runtime; requests that wait together are run together."""

import os
import sys
from pathlib import Path

import bentoml
import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.peers.network import network

MAX_ROWS = 1_000
MAX_LATENCY_MS = 60_000  # of a batch: nothing is refused for being late


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Forecaster:
    """The network as a service of BentoML's, which imports it by name: its file comes by the environment."""

    def __init__(self) -> None:
        self._said = network(os.environ["BENCH_MODEL"])

    @bentoml.api(batchable=True, max_batch_size=MAX_ROWS, max_latency_ms=MAX_LATENCY_MS)  # type: ignore[untyped-decorator]
    def predict(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Windows to forecasts."""
        return np.array(self._said(y), dtype=np.float32)


if __name__ == "__main__":
    model, port = sys.argv[1:]
    os.environ |= {"BENCH_MODEL": model, "BENTOML_HOME": str(Path(model).with_name("bentoml"))}
    line = ["serve", "benchmarks.serving.peers.bentoml:Forecaster", "--host", "127.0.0.1", "--port", port]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", *line, "--quiet", "--do-not-track"])  # noqa: S606
