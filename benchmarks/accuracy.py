"""``make bench-accuracy``: every cell x strategy, trained through the API, against seasonal naive."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from app.formats import MEDIA_TYPES
from benchmarks.results import Row, publish
from benchmarks.server import command, serving
from models.cells import CELLS
from models.strategies import STRATEGIES

SAMPLES = Path(__file__).parent.parent / "app" / "samples"
HOURLY, MONTHLY = "electricity-hourly", "retail-monthly"
SEED = 0


def main() -> int:
    """Train, print the table, write the JSON file."""
    runs = [(HOURLY, {"cell": cell, "strategy": strategy}) for cell in CELLS for strategy in STRATEGIES]
    runs.append((MONTHLY, {}))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        command(Path(folder), "migrate")
        with serving(Path(folder)) as server:
            for name in (HOURLY, MONTHLY):
                upload(server.client, name)
            for dataset, spec in runs:
                rows += measure(server.client, dataset, spec)
    return publish("accuracy", rows, {"seed": SEED, "protocol": PROTOCOL})


PROTOCOL = (
    "the newest fifth of each series is held out; up to 30 rolling origins in it; MASE is the mean over windows, "
    "skill is 1 - MASE / MASE of seasonal naive on the same windows; coverage is measured on the later half of the "
    "origins with intervals calibrated on the earlier half"
)


def upload(client: httpx.Client, name: str) -> None:
    """Create the data set ``name`` from the bundled file."""
    body = (SAMPLES / f"{name}.parquet").read_bytes()
    headers = {"Content-Type": MEDIA_TYPES[".parquet"]}
    client.post("/v1/datasets", params={"name": name}, content=body, headers=headers).raise_for_status()


def measure(client: httpx.Client, dataset: str, spec: dict[str, Any]) -> list[Row]:
    """Train one version and read its scores."""
    began_s = time.monotonic()
    model = "-".join([dataset, *spec.values()])
    request = {"model": model, "dataset": dataset, "spec": spec, "training": {"seed": SEED}}
    posted = client.post("/v1/jobs", json=request)
    posted.raise_for_status()
    job = wait(client, posted.headers["Location"])
    scores = client.get(f"/v1/models/{model}/versions/{job['version']}").raise_for_status().json()["scores"]
    label = " ".join([dataset, *(spec.values() or ["default"])])
    return [
        Row(name=f"{label}: skill", value=scores["skill"], unit="1-MASE/SN", better="higher", bar=0.0, stretch=0.25),
        Row(name=f"{label}: MASE", value=scores["scores"]["model"]["mase"], unit="MASE", better="lower"),
        Row(
            name=f"{label}: MASE of seasonal naive",
            value=scores["scores"]["seasonal_naive"]["mase"],
            unit="MASE",
            better="lower",
        ),
        Row(name=f"{label}: coverage of 80 %", value=scores["coverage"]["80"], unit="share", better="higher"),
        Row(name=f"{label}: job", value=time.monotonic() - began_s, unit="s", better="lower"),
    ]


def wait(client: httpx.Client, location: str) -> dict[str, Any]:
    """The job at ``location`` once it has succeeded."""
    while True:
        job: dict[str, Any] = client.get(location).raise_for_status().json()
        if job["state"] == "succeeded":
            return job
        if job["state"] not in ("queued", "running"):
            raise RuntimeError(f"the job {job['state']}: {job['error']}")
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
