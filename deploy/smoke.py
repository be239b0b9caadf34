"""Smoke test of the running stack: train, forecast, kill a worker, restart, restore; rights, secrets, TLS.

Standard library only. ``docker compose`` must refer to the stack under test, as in deploy/container-check.sh.
"""

import json
import math
import time
from datetime import datetime, timedelta
from typing import Any

from smoke_alerts import check_scrapes, hanging_api
from smoke_proxy import check_proxy
from smoke_restore import check_restore
from smoke_secrets import check_secrets
from stack import URLS, call, compose, docker, expect, fail, say, wait_until

ROLES = ("api", "worker", "scheduler")
START = datetime.fromisoformat("2026-01-01T00:00:00")
HOURS = 400
HORIZON = 12
JOB_S = 600  # limit for a job, including the takeover from a lost worker
READY_S = 90  # limit for a restart

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

    check_scrapes()
    with hanging_api():
        lose_a_worker(key)
    check_proxy(key, forecast_order(), before)
    location = submit(key, "smoke-again")
    wait_until(lambda: call("GET", location, key)[2]["state"] == "running", JOB_S, "another training runs")
    restart()
    expect(forecast(key) == before, "the forecast after the restart is the one from before it")
    job = follow(key, location)
    expect(job["version"] == 1, f"the training that the restart interrupted is done, at attempt {job['attempt']}", job)
    check_restore(key, forecast_order(), before)
    check_secrets(key)
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


def forecast_order() -> str:
    """Return the body of a request for a forecast of every series."""
    return json.dumps({"model": "smoke", "dataset": {"name": "smoke"}, "horizon": HORIZON, "levels": [50]})


def forecast(key: str, url: str = URLS[0]) -> dict[str, Any]:
    """Return a forecast of every series from one of the apis."""
    status, _, answer = call("POST", "/v1/forecasts", key, forecast_order(), url=url)
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
    if service == "api":
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


def ready(url: str) -> bool:
    """Return whether an api reports readiness."""
    try:
        return call("GET", "/readyz", None, url=url)[0] == 200
    except OSError:
        return False


def table() -> str:
    """Return two series with a daily wave, equal in every run."""
    lines = ["unique_id,ds,y"]
    for k, name in enumerate(("north", "south"), start=1):
        for hour in range(HOURS):
            wobble = (hour * 7919 * k) % 13 / 13
            y = 10 * k + 4 * math.sin(2 * math.pi * hour / 24) + wobble
            lines.append(f"{name},{(START + timedelta(hours=hour)).isoformat()},{y:.4f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
