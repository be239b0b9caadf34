"""Checks of the monitoring: Prometheus reads every api, and an alert about one that hangs reaches its receiver."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stack import NO_PROXY, URLS, compose, docker, expect, wait_until

PROMETHEUS = f"http://127.0.0.1:{os.environ.get('PROMETHEUS_PORT') or '9090'}"
RECEIVER = "forecastle-check-receiver"  # the name in deploy/check/alertmanager.yml
SCRAPE_S = 120.0  # until Prometheus has found all targets: it looks every 15 s, and models are asked every 60 s
ALERT_S = 240.0  # until an alert about a process is sent: it has been down for 2 min

# Runs inside a container: prints the body of each request.
TAKE = """
import http.server
class Take(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("", 9099), Take).serve_forever()
"""


def check_scrapes() -> None:
    """Give Prometheus its key and check that it reads the figures of the service and of the models from every api."""
    key = compose("exec", "-T", "api", "forecastle", "keys", "create", "--name", "prometheus", "--scope", "read")
    (Path(os.environ.get("FORECASTLE_SECRETS") or "secrets") / "metrics-key").write_text(key)
    for job in ("forecastle", "forecastle-models"):
        every = f'count(up{{job="{job}"}} == 1)'
        wait_until(lambda every=every: value(every) == len(URLS), SCRAPE_S, f"Prometheus reads {job} from every api")
    expect(value("count(forecastle_model_skill)"), "it has the skill of models")


@contextmanager
def hanging_api() -> Iterator[None]:
    """Freeze the last api during the block; at its end wait until the alert about it is delivered, and go on."""
    compose("run", "--detach", "--no-deps", "--name", RECEIVER, "--entrypoint", "python", "api", "-c", TAKE)
    containers = compose("ps", "--quiet", "api").split()
    [frozen] = [each for each in containers if docker("port", each, "8000/tcp") == URLS[-1].removeprefix("http://")]
    docker("pause", frozen)
    try:
        yield
        wait_until(lambda: "ForecastleDown" in docker("logs", RECEIVER), ALERT_S, "an alert about an api is delivered")
    finally:
        docker("unpause", frozen)
        docker("rm", "--force", RECEIVER)


def value(query: str) -> float:
    """Return the value of a query of Prometheus, and 0 if it has none."""
    with NO_PROXY.open(f"{PROMETHEUS}/api/v1/query?query={quote(query)}", timeout=30) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0
