"""Proves the running stack of docker-compose.yml: train, forecast, restart, forecast again; and what its processes may do.

Standard library only. `docker compose` must mean the stack to prove: deploy/container-check.sh sees to that.
"""

import json
import math
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from typing import Any

URL = f"http://127.0.0.1:{os.environ.get('FORECASTLE_PORT') or 8000}"
START = datetime(2026, 1, 1)  # noqa: DTZ001 - the service's own times have no zone either
HOURS = 400
HORIZON = 12
JOB_S = 180
READY_S = 90
STARTED_S = time.monotonic()

# Runs inside a container: what all of its processes may do, and what the file system takes.
LOOK = """
import json, os, pathlib
def status(pid):
    pairs = (line.split(":", 1) for line in (pid / "status").read_text().splitlines())
    return {name: value.split() for name, value in pairs}
def writable(folder):
    try:
        (pathlib.Path(folder) / "probe").touch()
        (pathlib.Path(folder) / "probe").unlink()
    except OSError:
        return False
    return True
every = [status(pid) for pid in pathlib.Path("/proc").iterdir() if pid.name.isdigit()]
print(json.dumps({
    "uids": sorted({int(uid) for each in every for uid in each["Uid"]}),
    "capabilities": sorted({each["CapEff"][0].strip("0") for each in every}),
    "no_new_privileges": sorted({each["NoNewPrivs"][0] for each in every}),
    "writable": [folder for folder in ("/", "/opt/venv", "/tmp", "/data") if writable(folder)],
    "tensorflow": "libtensorflow" in pathlib.Path("/proc/1/maps").read_text(),
}))
"""


def main() -> None:
    """Do everything, in the order that a user would."""
    key = compose("exec", "-T", "api", "forecastle", "keys", "create", "--name", "smoke")
    expect(key.startswith("fc_") and "\n" not in key, "'keys create' prints the key and nothing else")
    for wrong in (None, "fc_00000000_" + 43 * "A"):
        status, _, _ = call("GET", "/v1/models", wrong)
        expect(status == 401, f"{'no key' if wrong is None else 'an unknown key'} is answered with 401, got {status}")

    status, _, answer = call("POST", "/v1/datasets?name=smoke&freq=h", key, table(), "text/csv")
    expect(status == 201 and answer["rows_total"] == 2 * HOURS, f"the data set is kept, got {status} {answer}")
    job = train(key, "smoke")
    say(f"trained in {job['seconds']:.0f} s, attempt {job['attempt']}")
    before = forecast(key)
    check_forecast(before)

    for service in ("api", "worker"):
        look = json.loads(compose("exec", "-T", service, "python", "-c", LOOK))
        expect(look["uids"] == [10001], f"no process of {service} is root, got uids {look['uids']}")
        expect(look["capabilities"] == [""], f"{service} has no capabilities, got {look['capabilities']}")
        expect(look["no_new_privileges"] == ["1"], f"{service} can gain no privileges")
        expect(look["writable"] == ["/tmp", "/data"], f"{service} writes to /tmp and /data only: {look['writable']}")
        if service == "api" and engine() == "onnx":
            expect(not look["tensorflow"], "the api does not load TensorFlow")

    # A job that was accepted outlives the worker that runs it.
    location = submit(key, "smoke-again")
    wait_until(lambda: call("GET", location, key)[2]["state"] == "running", JOB_S, "the second job runs")
    compose("restart", "api", "worker")
    wait_until(ready, READY_S, "the api is ready again")
    expect(forecast(key) == before, "the forecast after the restart is the one before it")
    job = follow(key, location)
    say(f"the job that the restart interrupted succeeded, attempt {job['attempt']}")
    say("smoke passed")


def train(key: str, model: str) -> dict[str, Any]:
    """Train ``model`` and give the job at its end."""
    started_s = time.monotonic()
    return {**follow(key, submit(key, model)), "seconds": time.monotonic() - started_s}


def submit(key: str, model: str) -> str:
    """Where the new training job is found."""
    order = {
        "kind": "train",
        "model": model,
        "dataset": "smoke",
        "spec": {"horizon": HORIZON, "context": 24, "units": 8},
        "training": {"max_epochs": 2, "steps_per_epoch": 10, "batch_size": 32},
    }
    status, headers, answer = call("POST", "/v1/jobs", key, json.dumps(order))
    expect(status == 202, f"the job is accepted, got {status} {answer}")
    return headers["Location"]


def follow(key: str, location: str) -> dict[str, Any]:
    """The job at its end, which must be success."""
    said, deadline_s = "", time.monotonic() + JOB_S
    while time.monotonic() < deadline_s:
        status, _, job = call("GET", location, key)
        expect(status == 200, f"the job is shown, got {status} {job}", quiet=True)
        now = f"{job['state']} {job['progress'].get('phase', '')}".strip()
        if now != said:
            say(f"  job {now}")
        said = now
        if job["state"] == "succeeded":
            return dict(job)
        expect(job["state"] in ("queued", "running"), f"the job goes on, got {job['state']}: {job['error']}", quiet=True)
        time.sleep(0.5)
    expect(False, f"the job ends within {JOB_S} s, it is {said}")
    raise AssertionError


def forecast(key: str) -> dict[str, Any]:
    """A forecast of every series."""
    order = {"model": "smoke", "dataset": {"name": "smoke"}, "horizon": HORIZON, "levels": [50]}
    status, _, answer = call("POST", "/v1/forecasts", key, json.dumps(order))
    expect(status == 200, f"a forecast is made, got {status} {answer if status != 200 else ''}")
    return dict(answer)


def check_forecast(answer: dict[str, Any]) -> None:
    """It says which version made it and how good that is; its numbers are numbers, its intervals hold the mean."""
    expect(answer["model"]["version"] == 1, "the forecast is by version 1")
    expect("skill" in answer and "skill" in answer["backtest"], f"the forecast says its skill: {answer['skill']}")
    expect([one["unique_id"] for one in answer["forecasts"]] == ["north", "south"], "every series has a forecast")
    stamps = [(START + timedelta(hours=HOURS + step)).isoformat() for step in range(HORIZON)]
    for one in answer["forecasts"]:
        expect(one["ds"] == stamps, f"{one['unique_id']} goes on where its history ends", quiet=True)
        lo, mean, hi = one["intervals"]["50"]["lo"], one["mean"], one["intervals"]["50"]["hi"]
        good = len(mean) == len(lo) == len(hi) == HORIZON and all(
            math.isfinite(a) and math.isfinite(b) and a <= m <= b for a, m, b in zip(lo, mean, hi, strict=True)
        )
        expect(good, f"{one['unique_id']} has {HORIZON} intervals around its means", quiet=True)
    expect(True, "timestamps and intervals are as they must be")


def table() -> str:
    """Two series with a daily wave, the same at every run."""
    lines = ["unique_id,ds,y"]
    for k, name in enumerate(("north", "south"), start=1):
        for hour in range(HOURS):
            wobble = (hour * 7919 * k) % 13 / 13
            y = 10 * k + 4 * math.sin(2 * math.pi * hour / 24) + wobble
            lines.append(f"{name},{(START + timedelta(hours=hour)).isoformat()},{y:.4f}")
    return "\n".join(lines) + "\n"


def call(
    method: str, path: str, key: str | None, body: str | None = None, media_type: str = "application/json"
) -> tuple[int, Any, Any]:
    """Status, headers and decoded body of one request."""
    headers = {"Content-Type": media_type} if body is not None else {}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else body.encode()
    request = urllib.request.Request(URL + path, data, headers, method=method)  # noqa: S310 - our own address
    # No proxy: the address is this machine's.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.load(error)


def ready() -> bool:
    """Whether the api says so."""
    try:
        return call("GET", "/readyz", None)[0] == 200
    except OSError:
        return False


def engine() -> str:
    """The engine that the api was told to use."""
    return compose("exec", "-T", "api", "printenv", "FORECASTLE_ENGINE")


def compose(*arguments: str) -> str:
    """What ``docker compose`` prints."""
    done = subprocess.run(["docker", "compose", *arguments], stdout=subprocess.PIPE, text=True, timeout=120, check=False)  # noqa: S603, S607
    expect(done.returncode == 0, f"docker compose {' '.join(arguments[:3])} ended with {done.returncode}", quiet=True)
    return done.stdout.strip()


def wait_until(holds: Any, limit_s: float, what: str) -> None:
    """Ask until it is so."""
    deadline_s = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline_s:
            expect(False, f"{what} within {limit_s} s")
        time.sleep(0.2)
    expect(True, what)


def expect(fact: bool, what: str, *, quiet: bool = False) -> None:
    """End the program unless ``fact``."""
    if not fact:
        say(f"FAILED: {what}")
        sys.exit(1)
    if not quiet:
        say(f"ok: {what}")


def say(line: str) -> None:
    """A line with the time since the start."""
    print(f"[{time.monotonic() - STARTED_S:5.1f}] {line}", flush=True)


if __name__ == "__main__":
    main()
