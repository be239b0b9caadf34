"""MLflow's scoring server with the network as a Keras model.

``python -m benchmarks.serving.peers.mlflow save WEIGHTS.npz FOLDER`` writes the model; with FOLDER and a port it is
served.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def build(weights: dict[str, Any], context: int) -> Any:
    """The network in Keras, from a window (N, T) in data units to a forecast in data units."""
    import keras  # noqa: PLC0415 - the process that only starts the server needs none
    from keras import ops as K  # noqa: N812, PLC0415

    depth = sum(name.endswith("/recurrent_kernel") for name in weights)
    y = keras.Input((context,))
    level = y[:, -1:]
    spread = K.mean(K.abs(y - level), axis=1, keepdims=True)
    unit = (y - level) / K.maximum(spread, 1e-30)
    x = K.stack([unit, K.ones_like(unit)], axis=2)
    for i in range(depth):
        units = weights[f"encoder_{i}/recurrent_kernel"].shape[0]
        x = keras.layers.GRU(units, return_sequences=i < depth - 1, name=f"encoder_{i}")(x)
    said = keras.layers.Dense(weights["head/bias"].shape[0], name="head")(x)
    network = keras.Model(y, level + said * spread)
    for layer in network.layers:
        names = ("kernel", "recurrent_kernel", "bias") if layer.name.startswith("encoder") else ("kernel", "bias")
        if layer.weights:
            layer.set_weights([weights[f"{layer.name}/{name}"] for name in names])
    return network


def save(file: Path, folder: Path, context: int = 50) -> None:
    """Write the model that MLflow serves."""
    import mlflow  # noqa: PLC0415

    with np.load(file) as found:
        network = build(dict(found), context)
    window = np.zeros((1, context), dtype=np.float32)
    signature = mlflow.models.infer_signature(window, np.zeros((1, network.output_shape[1]), dtype=np.float32))
    mlflow.keras.save_model(network, str(folder), signature=signature)


if __name__ == "__main__":
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if sys.argv[1] == "save":
        save(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        model, port = sys.argv[1:]
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # it looks for uvicorn there
        line = ["models", "serve", "--model-uri", model, "--host", "127.0.0.1", "--port", port, "--workers", "1"]
        os.execv(sys.executable, [sys.executable, "-m", "mlflow", *line, "--env-manager", "local"])  # noqa: S606
