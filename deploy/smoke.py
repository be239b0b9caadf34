"""Smoke test of the running stack of docker-compose.yml: train, forecast, kill a worker, restart, check process rights.

Standard library only. ``docker compose`` must refer to the stack under test, as in deploy/container-check.sh.
"""

import json
import math
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import Message
from typing import Any, NoReturn

PORTS = list(map(int, (os.environ.get("FORECASTLE_PORT") or "8000").split("-")))  # ports of the first and the last api
URLS = [f"http://127.0.0.1:{port}" for port in range(PORTS[0], PORTS[-1] + 1)]
ROLES = ("api", "worker", "scheduler")
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
START = datetime.fromisoformat("2026-01-01T00:00:00")
HOURS = 400
HORIZON = 12
JOB_S = 180  # limit for a job, including the takeover from a lost worker
READY_S = 90  # limit for a restart
STARTED_S = time.monotonic()

# Runs inside a container: checks the rights of its processes and its writable folders.
LOOK = """
import json, pathlib
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
    "capabilities": sorted({int(each["CapEff"][0], 16) for each in every}),
    "no_new_privileges": sorted({each["NoNewPrivs"][0] for each in every}),
    "writable": [folder for folder in ("/", "/opt/venv", "/tmp", "/data") if writable(folder)],
    "tensorflow": "libtensorflow" in pathlib.Path("/proc/1/maps").read_text(),
}))
"""


def main() -> None:
    """Run all checks in the order of a user's actions."""
    key = compose("exec", "-T", "api", "forecastle", "keys", "create", "--name", "smoke")
    expect(key.startswith("fc_") and "\n" not in key, "'keys create' prints the key and nothing else on stdout")
    for which, wrong in (("no key", None), ("an unknown key", "fc_00000000_" + 43 * "A")):
        status, _, _ = call("GET", "/v1/models", wrong)
        expect(status == 401, f"a request with {which} is refused", status)

    status, _, answer = call("POST", "/v1/datasets?name=smoke&freq=h", key, table(), "text/csv")
    expect(status == 201 and answer["rows_total"] == 2 * HOURS, "a data set is kept", (status, answer))
    job = follow(key, submit(key, "smoke"))
    expect(job["version"] == 1, "a model is trained", job)
    before = forecast(key)
    check_forecast(before)

    expect(all(forecast(key, url) == before for url in URLS), f"every one of {len(URLS)} apis says the same")

    for service in ROLES:
        check_rights(service)

    lose_a_worker(key)
    location = submit(key, "smoke-again")
    wait_until(lambda: call("GET", location, key)[2]["state"] == "running", JOB_S, "another training runs")
    restart()
    expect(forecast(key) == before, "the forecast after the restart is the one from before it")
    job = follow(key, location)
    expect(job["version"] == 1, f"the training that the restart interrupted is done, at attempt {job['attempt']}", job)
    say("smoke passed")


def lose_a_worker(key: str) -> None:
    """Kill the container of the worker that runs a job: another worker finishes it, and there is one version."""
    workers = compose("ps", "--quiet", "worker").split()
    location = submit(key, "smoke-lost", max_epochs=40)
    wait_until(lambda: call("GET", location, key)[2]["progress"].get("epoch"), JOB_S, "a training is under way")
    attempt = call("GET", f"{location}/attempts", key)[2]["items"][-1]
    [container] = [each for each in workers if attempt["worker"].startswith(each[:12])]  # its host has its name
    docker("kill", container)
    if len(workers) == 1:
        docker("start", container)
    job = follow(key, location)
    expect(job["version"] == 1 and job["attempt"] == 2, "the job of a worker that was killed is done by another", job)
    versions = call("GET", "/v1/models/smoke-lost/versions", key)[2]["items"]
    expect(len(versions) == 1, "it has one version", versions)
    docker("start", container)
    inspect = ("inspect", "--format", "{{.State.Health.Status}}", container)
    wait_until(lambda: docker(*inspect) == "healthy", READY_S, "the worker that was killed is back")


def submit(key: str, model: str, max_epochs: int = 2) -> str:
    """Queue a small training and return the path of its job."""
    order = {
        "kind": "train",
        "model": model,
        "dataset": "smoke",
        "spec": {"horizon": HORIZON, "context": 24, "units": 8},
        "training": {"max_epochs": max_epochs, "steps_per_epoch": 10, "batch_size": 32},
    }
    status, headers, answer = call("POST", "/v1/jobs", key, json.dumps(order))
    expect(status == 202 and headers["Location"], "a training job is accepted", (status, answer))
    return str(headers["Location"])


def follow(key: str, location: str) -> dict[str, Any]:
    """Return the finished job, which must have succeeded."""
    said, deadline_s = "", time.monotonic() + JOB_S
    while True:
        status, _, job = call("GET", location, key)
        if status != 200 or job["state"] not in ("queued", "running", "succeeded"):
            fail("the job succeeds", (status, job))
        now = f"{job['state']} {job['progress'].get('phase', '')}".strip()
        if now != said:
            say(f"    job {now}")
        said = now
        if job["state"] == "succeeded":
            return dict(job)
        if time.monotonic() > deadline_s:
            fail(f"the job ends within {JOB_S} s", job)
        time.sleep(0.5)


def forecast(key: str, url: str = URLS[0]) -> dict[str, Any]:
    """Return a forecast of every series from one of the apis."""
    order = {"model": "smoke", "dataset": {"name": "smoke"}, "horizon": HORIZON, "levels": [50]}
    status, _, answer = call("POST", "/v1/forecasts", key, json.dumps(order), url=url)
    expect(status == 200, "a forecast is made", (status, answer))
    return dict(answer)


def check_forecast(answer: dict[str, Any]) -> None:
    """Check that a forecast names its version and skill, continues the data, and has means inside its intervals."""
    expect(answer["model"]["version"] == 1, "the forecast names its version", answer["model"])
    expect(isinstance(answer["skill"], float), "the forecast says its skill", answer["skill"])
    stamps = [(START + timedelta(hours=HOURS + step)).isoformat() for step in range(HORIZON)]
    made = {one["unique_id"]: one for one in answer["forecasts"]}
    expect(set(made) == {"north", "south"}, "every series has a forecast", list(made))
    for name, one in made.items():
        expect(one["ds"] == stamps, f"the times of {name} are the next {HORIZON} hours", one["ds"])
        steps = list(zip(one["intervals"]["50"]["lo"], one["median"], one["intervals"]["50"]["hi"], strict=True))
        good = len(steps) == HORIZON and all(math.isfinite(hi - lo) and lo <= mean <= hi for lo, mean, hi in steps)
        expect(good, f"the intervals of {name} hold its means", steps)


def check_rights(service: str) -> None:
    """Check that processes have no privileges and can write only to the intended folders."""
    look = json.loads(compose("exec", "-T", service, "python", "-c", LOOK))
    expect(look["uids"] == [10001], f"no process of {service} is root", look["uids"])
    expect(look["capabilities"] == [0], f"{service} has no capabilities", look["capabilities"])
    expect(look["no_new_privileges"] == ["1"], f"{service} can gain no privileges", look["no_new_privileges"])
    volatile_and_kept = ["/tmp", "/data"]  # noqa: S108 - of the container
    expect(look["writable"] == volatile_and_kept, f"{service} can write to /tmp and /data only", look["writable"])
    if service == "api" and compose("exec", "-T", "api", "printenv", "FORECASTLE_ENGINE") == "onnx":
        expect(not look["tensorflow"], "the api has not loaded TensorFlow")


def restart() -> None:
    """Stop the service containers, which must end by themselves, and start them again."""
    compose("stop", *ROLES)
    ends = [
        (one["Service"], one["ExitCode"])
        for one in map(json.loads, compose("ps", "--all", "--format", "json", *ROLES).splitlines())
    ]
    expect(all(code == 0 for _, code in ends), f"all {len(ends)} of {', '.join(ROLES)} stop when asked to", ends)
    compose("start", *ROLES)
    wait_until(lambda: all(map(ready, URLS)), READY_S, "every api is ready again")


def table() -> str:
    """Return two series with a daily wave, equal in every run."""
    lines = ["unique_id,ds,y"]
    for k, name in enumerate(("north", "south"), start=1):
        for hour in range(HOURS):
            wobble = (hour * 7919 * k) % 13 / 13
            y = 10 * k + 4 * math.sin(2 * math.pi * hour / 24) + wobble
            lines.append(f"{name},{(START + timedelta(hours=hour)).isoformat()},{y:.4f}")
    return "\n".join(lines) + "\n"


def call(
    method: str,
    path: str,
    key: str | None,
    body: str | None = None,
    media_type: str = "application/json",
    url: str = URLS[0],
) -> tuple[int, Message, Any]:
    """Return status, headers and decoded body of one request."""
    headers = {} if body is None else {"Content-Type": media_type}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else body.encode()
    request = urllib.request.Request(url + path, data, headers, method=method)  # noqa: S310 - our own address
    try:
        with NO_PROXY.open(request, timeout=30) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.load(error)


def ready(url: str) -> bool:
    """Return whether an api reports readiness."""
    try:
        return call("GET", "/readyz", None, url=url)[0] == 200
    except OSError:
        return False


def compose(*arguments: str) -> str:
    """Return the standard output of ``docker compose``."""
    return docker("compose", *arguments)


def docker(*arguments: str) -> str:
    """Return the standard output of ``docker``."""
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    if done.returncode != 0:
        fail(f"{' '.join(command[:5])} works", (done.returncode, done.stderr))
    return done.stdout.strip()


def wait_until(holds: Callable[[], bool], limit_s: float, what: str) -> None:
    """Poll until the condition holds."""
    deadline_s = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline_s:
            fail(what, f"not within {limit_s} s")
        time.sleep(0.2)
    expect(True, what)


def expect(fact: object, what: str, got: object = None) -> None:
    """Report that a condition holds, or end the run."""
    if not fact:
        fail(what, got)
    say(f"ok  {what}")


def fail(what: str, got: object) -> NoReturn:
    """Report a failed condition and end the run."""
    say(f"NOT {what}; got {got}")
    sys.exit(1)


def say(line: str) -> None:
    """Print a line with the time since the start."""
    print(f"[{time.monotonic() - STARTED_S:5.1f}] {line}", flush=True)


if __name__ == "__main__":
    main()
