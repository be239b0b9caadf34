"""Ray Serve with ONNX Runtime: one replica, as many requests at a time as come."""

import os
import secrets
import sys
import threading
from pathlib import Path

# Read when Ray is imported: it would otherwise use the machine's outer address, and leave a token in the user's home.
os.environ |= {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
}

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from benchmarks.serving.peers.network import network

MAX_AT_A_TIME = 256
STORE_BYTES = 100 * 1024**2


@serve.deployment(num_replicas=1, max_ongoing_requests=MAX_AT_A_TIME)
class Forecaster:
    """The network as a deployment of Ray's."""

    def __init__(self, file: str) -> None:
        self._said = network(file)

    async def __call__(self, request: Request) -> JSONResponse:
        """``{"y": windows}`` to ``{"mean": forecasts}``."""
        return JSONResponse({"mean": self._said((await request.json())["y"])})


if __name__ == "__main__":
    model, port = sys.argv[1:]
    quiet = {"log_level": "ERROR", "enable_access_log": False}
    folder = str(Path(model).absolute().with_name("ray"))
    ray.init(
        num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=STORE_BYTES, _temp_dir=folder
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)}, logging_config=quiet)
    serve.run(Forecaster.bind(model), logging_config=quiet)
    threading.Event().wait()
