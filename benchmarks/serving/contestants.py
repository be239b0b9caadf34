"""Contestants: the command that starts each of them, and the body of the same request for each."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import ROOT
from benchmarks.serving.load import Floats, request_bytes
from benchmarks.serving.served import SPEC

PEERS_PYTHON = ROOT / ".venv-peers-serving" / "bin" / "python"
BEGIN = np.datetime64("2026-01-01T00", "s")
HOUR = np.timedelta64(1, "h")

OURS, BARE = "Forecastle", "bare ASGI"
KSERVE, BENTOML, RAY, MLFLOW = "KServe", "BentoML", "Ray Serve", "MLflow"


@dataclass(frozen=True, slots=True)
class House:
    """A folder with a database of ours, and the key of its API."""

    folder: Path
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A server that ``command`` starts on ``{port}``; ``body`` encodes windows (N, T), ``read`` decodes (N, H)."""

    name: str
    command: tuple[str, ...]
    path: str
    body: Callable[[Floats], bytes]
    read: Callable[[Any], Any]
    headers: tuple[tuple[str, str], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def answer(self, content: bytes) -> Any:
        """Return the forecasts in an answer."""
        return self.read(json.loads(content))

    def request(self, windows: Floats) -> bytes:
        """Return the request for the forecasts of ``windows``."""
        return request_bytes(self.path, self.body(windows), self.headers)


def ours(house: House, env: Mapping[str, str] | None = None) -> Contestant:
    """Return Forecastle with the model ``gru``, without a worker, as nothing is trained here."""
    return Contestant(
        name=OURS,
        command=(sys.executable, "-m", "app", "serve", "--no-worker", "--port", "{port}"),
        path="/v1/forecasts",
        body=our_body,
        read=lambda answer: [series["median"] for series in answer["forecasts"]],
        headers=(("Authorization", f"Bearer {house.key}"),),
        env={"FORECASTLE_DATA_DIR": str(house.folder), **(env or {})},
    )


def our_body(
    windows: Floats,
    model: str = "gru",
    levels: Sequence[int] = (),
    session: str | None = None,
    begin: int = 0,
) -> bytes:
    """Return our request body for ``windows`` (N, T), which start at the ``begin``-th point of their series."""
    start = str(BEGIN + HOUR * begin)
    series = [{"unique_id": f"s{i}", "start": start, "y": window} for i, window in enumerate(windows.tolist())]
    request = {"model": model, "series": series, "horizon": SPEC.horizon, "levels": list(levels)}
    return _json(request if session is None else {**request, "session": session})


def peers(file: Path, mlflow: Path) -> list[Contestant]:
    """Return the other contestants: all serve the ONNX ``file``, MLflow the Keras model in its folder."""
    return [
        _peer(BARE, "bare", file, "/", "y", lambda answer: answer["mean"]),
        _peer(
            KSERVE, "kserve", file, "/v1/models/forecaster:predict", "instances", lambda answer: answer["predictions"]
        ),
        _peer(BENTOML, "bentoml", file, "/predict", "y", lambda answer: answer),
        _peer(RAY, "ray", file, "/", "y", lambda answer: answer["mean"]),
        _peer(MLFLOW, "mlflow", mlflow, "/invocations", "inputs", lambda answer: answer["predictions"]),
    ]


def _peer(name: str, module: str, served: Path, path: str, key: str, read: Callable[[Any], Any]) -> Contestant:
    return Contestant(
        name=name,
        command=(str(PEERS_PYTHON), "-m", f"benchmarks.serving.peers.{module}", str(served), "{port}"),
        path=path,
        body=lambda windows: _json({key: windows.tolist()}),
        read=read,
    )


def windows_of(count: int, length: int, seed: int = 0) -> Floats:
    """Return ``count`` series of ``length`` hours: a daily wave, an own level and noise, to three decimals."""
    rng = np.random.default_rng(seed)
    wave = 10 * np.sin(2 * np.pi * np.arange(length) / 24 + rng.uniform(0, 2 * np.pi, (count, 1)))
    return np.asarray(np.round(rng.uniform(50, 150, (count, 1)) + wave + rng.normal(0, 3, (count, length)), 3))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
