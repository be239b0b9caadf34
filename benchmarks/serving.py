"""``make bench-serving``: how soon the service is there, what it weighs, how long a forecast takes."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from app.api.forecasts import make_forecast
from app.commands.common import caller
from app.main import create_service
from app.schemas import ForecastRequest
from app.settings import Settings
from app.store import datasets, panels
from benchmarks.results import Row, publish
from benchmarks.server import command, serving
from models.forecaster import forecast

REPEATS = 5
FORECASTS = 300
SAMPLE, MODEL = "electricity-hourly", "electricity"


def main() -> int:
    """Train a small version of the default model, then measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command(folder, "migrate")
        command(folder, "train", f"sample:{SAMPLE}", "--model", MODEL, "--training", "max_epochs=1")
        rows = [help_time(), *inside(folder), *over_http(folder)]
    return publish("serving", rows, {"repeats": REPEATS, "forecasts": FORECASTS})


def help_time() -> Row:
    """From the command to its last line of help."""
    line = [sys.executable, "-m", "app", "--help"]
    times = [_time(lambda: subprocess.run(line, check=True, stdout=subprocess.DEVNULL)) for _ in range(REPEATS)]
    return Row(name="forecastle --help", value=statistics.median(times), unit="s", better="lower", bar=0.5)


def inside(folder: Path) -> list[Row]:
    """A warm forecast of one series, without HTTP: the library alone, and with registry and answer."""
    service = create_service(Settings(data_dir=folder))
    me = caller(service.database)
    with service.database.read() as session:
        panel = panels.load(session, me.tenant_id, datasets.revision(session, me.tenant_id, SAMPLE))
    times = [str(t) for t in panel.times(0)[-72:]]
    history = {"unique_id": "one", "ds": times, "y": panel.series(0)[-72:].tolist()}
    request = ForecastRequest.model_validate({"model": MODEL, "history": history, "levels": [80]})
    make_forecast(service, me.tenant_id, request)
    loaded = service.loaded.get(me.tenant_id, 1)
    one = panel.select(panel.ids[:1])
    return [
        _median(
            "library: one series", lambda: forecast(loaded.networks, loaded.forecaster.calibration, one, 24, [80]), None
        ),
        _median("in process: one series", lambda: make_forecast(service, me.tenant_id, request), 5.0),
    ]


def over_http(folder: Path) -> list[Row]:
    """Starts, resident memory after a forecast, and a warm forecast over loopback."""
    body = {"model": MODEL, "dataset": {"name": SAMPLE, "ids": ["AEP"]}, "horizon": 24}
    starts, sizes_mb, rows = [], [], []
    for _ in range(REPEATS):
        with serving(folder) as server:
            starts.append(server.ready_s)
            server.client.post("/v1/forecasts", json=body).raise_for_status()
            sizes_mb.append(psutil.Process(server.process.pid).memory_info().rss / 1e6)
            if len(starts) == REPEATS:
                rows.append(_median("HTTP: one series", lambda: server.client.post("/v1/forecasts", json=body), None))
    start, size_mb = statistics.median(starts), statistics.median(sizes_mb)
    return [
        Row(name="serve: command to ready", value=start, unit="s", better="lower", bar=3.0, stretch=1.0),
        Row(name="serve: resident memory", value=size_mb, unit="MB", better="lower", bar=150.0, stretch=120.0),
        *rows,
    ]


def _median(name: str, work: Callable[[], object], bar: float | None) -> Row:
    work()
    times_ms = [1e3 * _time(work) for _ in range(FORECASTS)]
    return Row(name=f"{name}, p50", value=statistics.median(times_ms), unit="ms", better="lower", bar=bar)


def _time(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


if __name__ == "__main__":
    sys.exit(main())
