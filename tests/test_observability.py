"""Alert rules, dashboards and scraper of ``deploy/observability``, against Prometheus itself and the real metrics."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from app.main import create_app
from app.settings import Settings
from app.store import keys
from tests.app.api.slow import wait_until
from tests.app.edge.conftest import listening
from tests.prometheus import program

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy" / "observability"
GROUPS = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
DASHBOARDS = [json.loads(file.read_text()) for file in sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))]
TARGETS = [target for board in DASHBOARDS for panel in board["panels"] for target in panel["targets"]]
NAME = re.compile(r"\b(forecastle[\w:]*)\b(?=[{\[\s)]|$)")


def promtool(*words: str | Path, **options: Any) -> str:
    done = subprocess.run([program("promtool"), *words], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_alert_fires_when_it_should_and_stays_silent_when_it_should() -> None:
    assert "SUCCESS" in promtool("check", "rules", FOLDER / "alerts.yml")
    assert "SUCCESS" in promtool("test", "rules", FOLDER / "alerts_test.yml")
    cases = [
        case
        for test in yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
        for case in test.get("alert_rule_test", ())
    ]
    for alerts in (
        {case["alertname"] for case in cases if bool(case["exp_alerts"]) is fires} for fires in (True, False)
    ):
        assert alerts == set(ALERTS)


def test_each_alert_says_how_bad_it_is_what_happens_and_what_to_do() -> None:
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert len(rule["annotations"]["summary"]) < 90
        assert rule["annotations"]["description"].strip().endswith(".") or "?" in rule["annotations"]["description"]


def test_rules_and_dashboards_use_exported_metrics_only() -> None:
    page = (ROOT / "docs" / "telemetry.md").read_text()
    exported = set(re.findall(r"^\| `(forecastle_\w+)`", page, re.MULTILINE))
    exported |= {rule["record"] for rule in RULES if "record" in rule}
    variables = [item["query"]["query"] for board in DASHBOARDS for item in board["templating"]["list"]]
    expressions = [rule["expr"] for rule in RULES] + [target["expr"] for target in TARGETS]
    used = {name for text in expressions for name in NAME.findall(text)}
    used |= {name for text in variables for name in re.findall(r"\((\w+),", text)}
    assert {name if name in exported else re.sub(r"_(bucket|sum|count)$", "", name) for name in used} <= exported
    assert len(used) > 40


def test_every_expression_of_a_dashboard_is_promql_and_every_panel_has_a_unit(tmp_path: Path) -> None:
    texts = [target["expr"].replace("$__rate_interval", "5m") for target in TARGETS]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(texts)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(texts)} rules found" in promtool("check", "rules", tmp_path / "rules.yml")
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    for board in DASHBOARDS:
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        for panel in board["panels"]:
            assert panel["datasource"]["uid"] == source["uid"]
            assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({board["uid"] for board in DASHBOARDS}) == len(DASHBOARDS) == 2


def test_the_containers_are_hardened_and_their_images_pinned() -> None:
    parts = yaml.safe_load((FOLDER / "compose.yml").read_text())
    assert set(parts["services"]) == {"prometheus", "alertmanager", "grafana"}
    for service in parts["services"].values():
        assert service["profiles"] == ["observability"]
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])
        assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["deploy"]["resources"]["limits"]["memory"]
        for volume in service["volumes"]:
            source = volume.split(":")[0] if volume.startswith("./") else None
            assert source is None or (FOLDER / source).exists()


@contextmanager
def prometheus(folder: Path, scraped: dict[str, str]) -> Iterator[httpx.Client]:
    """Prometheus with the configuration of this project, which scrapes the addresses in ``scraped`` by job instead."""
    shutil.copy(FOLDER / "alerts.yml", folder)
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    del config["alerting"]
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job |= {
            "static_configs": [{"targets": [scraped[job["job_name"]]]}],
            "scrape_interval": "200ms",
            "scrape_timeout": "200ms",
        }
        if "authorization" in job:
            job["authorization"] = {"credentials_file": str(folder / "metrics-key")}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    promtool("check", "config", folder / "prometheus.yml")
    address = f"127.0.0.1:{free_port()}"
    words = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen([program("prometheus"), *words], stderr=log) as process:
        try:
            with httpx.Client(base_url=f"http://{address}/api/v1/") as client:
                yield client
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_prometheus_scrapes_the_service_and_evaluates_the_alerts(sqlite_template: Path, tmp_path: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "forecastle.db")
    port = free_port()
    app = create_app(Settings(data_dir=tmp_path, metrics_port=port))
    with app.state.service.database.write() as session:
        (tmp_path / "metrics-key").write_text(keys.create_key(session, "acme", "prometheus", "read"))
    with (
        listening(app, "httptools") as api,
        prometheus(tmp_path, {"forecastle": f"127.0.0.1:{port}", "forecastle-models": f"127.0.0.1:{api}"}) as client,
    ):

        def found(query: str) -> list[float]:
            try:
                result = client.get("query", params={"query": query}).json()
            except (httpx.TransportError, ValueError):  # it is starting: no answer yet, or one that is no JSON
                return []
            return [float(one["value"][1]) for one in result.get("data", {}).get("result", [])]

        def rules() -> dict[str, dict[str, Any]]:
            groups = client.get("rules").json()["data"]["groups"]
            return {rule["name"]: rule for group in groups for rule in group["rules"]}

        wait_until(lambda: found("sum(up)") == [2])
        wait_until(lambda: found('forecastle_http_requests_total{route="/metrics",status="200"} > 2') != [])
        assert found("forecastle_champions") == [0]
        wait_until(lambda: rules()["ForecastleSchedulerSilent"]["state"] == "pending")  # no scheduler has ever run
        assert {rule["health"] for rule in rules().values()} == {"ok"}
        assert rules()["ForecastleDown"]["state"] == "inactive"
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert promtool("check", "metrics", input=text) == ""
