"""Our server alone, as a user starts it: start time, memory, and time of a forecast."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil

from app.cli.commands.environment import local_principal
from app.main import create_app
from app.settings import Settings
from app.store import datasets, panels, registry
from app.store.db import Database
from benchmarks.results import Row
from benchmarks.server import serving
from benchmarks.serving import parts
from benchmarks.serving.contestants import House
from benchmarks.serving.house import SAMPLE, TRAINED
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.forecasting import bundle
from models.forecasting.forecaster import forecast, make_runnable

REPEATS = 5
FORECASTS = 300
POINTS, HORIZON = 72, 24


def rows(house: House) -> list[Row]:
    """Return the rows for the trained model in ``house``."""
    settings = Settings(data_dir=house.folder)
    database = Database(settings.url)
    me = local_principal(database)
    with database.read() as session:
        panel = panels.load(session, me.tenant_id, datasets.revision(session, me.tenant_id, SAMPLE))
        version = registry.resolve(session, me.tenant_id, TRAINED, None, None)
        data = registry.bundle(session, me.tenant_id, version.id)
    inside = [in_library(data, panel), asyncio.run(in_process(settings, house.key, panel))]
    return [help_time(), *inside, *over_http(house), *parts.rows()]


def help_time() -> Row:
    """Measure the time of ``forecastle --help``."""
    line = [sys.executable, "-m", "app", "--help"]
    times = [_time(lambda: subprocess.run(line, check=True, stdout=subprocess.DEVNULL)) for _ in range(REPEATS)]
    return Row(name="forecastle --help", value=statistics.median(times), unit="s", better="lower", bar=0.5)


def in_library(data: bytes, panel: Panel) -> Row:
    """Measure a warm forecast of one series by the library alone."""
    made = bundle.from_bytes(data)
    networks = make_runnable(made.members, OnnxEngine)
    one = panel.select(panel.ids[:1])
    return _median("library: one series", lambda: forecast(networks, made.calibration, one, HORIZON, [80]), None)


async def in_process(settings: Settings, key: str, panel: Panel) -> Row:
    """Measure a warm forecast of one series by the whole service without a socket, from bytes to bytes."""
    history = {
        "unique_id": "one",
        "ds": [str(t) for t in panel.times(0)[-POINTS:]],
        "y": panel.series(0)[-POINTS:].tolist(),
    }
    body = json.dumps({"model": TRAINED, "history": history, "levels": [80]}).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/forecasts",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    app, times_s = create_app(settings), []
    async with app.router.lifespan_context(app):
        for _ in range(1 + FORECASTS):
            began_s = time.perf_counter()
            await _call(app, scope, body)
            times_s.append(time.perf_counter() - began_s)
    return _row("in process: one series", times_s[1:], 5.0)


async def _call(app: Any, scope: dict[str, Any], body: bytes) -> None:
    """Send one request, which must be answered with 200."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()  # the client stays and says nothing more
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    await app({**scope}, receive, send)
    if statuses != [200]:
        raise RuntimeError(f"a forecast in the process was answered with {statuses}")


def over_http(house: House) -> list[Row]:
    """Measure starts, resident memory after a forecast, and a warm forecast over loopback."""
    body = {"model": TRAINED, "dataset": {"name": SAMPLE, "ids": ["AEP"]}, "horizon": HORIZON}
    starts, sizes_mb, found = [], [], []
    for _ in range(REPEATS):
        with serving(house.folder) as server:
            starts.append(server.ready_s)
            ask = partial(server.client.post, "/v1/forecasts", json=body)
            ask().raise_for_status()
            sizes_mb.append(psutil.Process(server.process.pid).memory_info().rss / 1e6)
            if len(starts) == REPEATS:
                found.append(_median("HTTP: one series", ask, None))
    start, size_mb = statistics.median(starts), statistics.median(sizes_mb)
    return [
        Row(name="serve: command to ready", value=start, unit="s", better="lower", bar=3.0, stretch=1.0),
        Row(name="serve: resident memory", value=size_mb, unit="MB", better="lower", bar=150.0, stretch=120.0),
        *found,
    ]


def _median(name: str, work: Callable[[], object], bar: float | None) -> Row:
    work()
    return _row(name, [_time(work) for _ in range(FORECASTS)], bar)


def _row(name: str, times_s: list[float], bar: float | None) -> Row:
    return Row(name=f"{name}, p50", value=1e3 * statistics.median(times_s), unit="ms", better="lower", bar=bar)


def _time(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s
