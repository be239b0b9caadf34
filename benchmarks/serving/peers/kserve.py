"""KServe with a model of one's own on ONNX Runtime, asked in its first protocol."""

import logging
import sys
from typing import Any

import kserve
from kserve import model_server
from kserve.protocol.rest.server import RESTServer

from benchmarks.serving.peers.network import network


class Forecaster(kserve.Model):  # type: ignore[misc]
    """The network as a model of KServe's."""

    def __init__(self, file: str) -> None:
        super().__init__("forecaster")
        self._said = network(file)
        self.ready = True

    def predict(self, payload: dict[str, Any], *rest: Any, **more: Any) -> dict[str, Any]:
        """``{"instances": windows}`` to ``{"predictions": forecasts}``."""
        return {"predictions": self._said(payload["instances"])}


class Loopback(RESTServer):  # type: ignore[misc]
    """KServe's own server, which would listen on every address of the machine."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.config.host = "127.0.0.1"


if __name__ == "__main__":
    model_server.RESTServer = Loopback
    server = kserve.ModelServer(http_port=int(sys.argv[2]), workers=1, enable_grpc=False, enable_latency_logging=False)
    logging.disable(logging.INFO)
    server.start([Forecaster(sys.argv[1])])
