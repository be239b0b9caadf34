"""A process that serves on a CPU starts soon and stays small: what a forecast does not need is not imported."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.api.conftest import House, open_house
from tests.fakes import random_forecaster

SERVE_ONE = """
import asyncio, json, resource, sys

import httpx

from app.main import create_app
from app.settings import Settings

folder, key, body = sys.argv[1:]


async def ask(app):
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x", headers=headers) as client:
        return await client.post("/v1/forecasts", content=body)


answer = asyncio.run(ask(create_app(Settings(data_dir=folder))))
loaded = sorted(sys.modules)
size_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"status": answer.status_code, "mean": answer.json()["forecasts"], "loaded": loaded, "mb": size_mb}))
"""


HEAVY = {
    *("tensorflow", "keras", "pandas", "pyarrow", "torch", "jax", "alembic", "sklearn", "scipy", "matplotlib"),
    *("opentelemetry.sdk", "requests"),  # traces are off
    *("onnx", "google.protobuf", "ml_dtypes"),  # 8 MB: graphs are written without
    *("numpy.random", "sqlalchemy.dialects.postgresql", "psycopg", "holidays", "statsforecast"),
}


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    """A database with a model, to be served by another process."""
    with open_house(sqlite_template, tmp_path) as opened:
        opened.register(random_forecaster())
        yield opened


def test_a_forecast_is_served_without_tensorflow_keras_or_pandas(house: House, tmp_path: Path) -> None:
    body = json.dumps({"model": "demand", "dataset": {"name": "sales"}})
    command = [sys.executable, "-W", "error", "-c", SERVE_ONE, str(tmp_path), house.acme.key, body]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    print(f"a process that has served one forecast: {told['mb']:.0f} MiB")
    assert told["status"] == 200
    assert told["mean"] == house.acme.forecast(dataset={"name": "sales"})["forecasts"]
    assert HEAVY & set(told["loaded"]) == set()
