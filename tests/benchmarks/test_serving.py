"""What everybody is asked in ``make bench-serving``, what they must answer, and how figures become rows."""

import json
import math
import sys
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from app.cli.commands.environment import local_principal
from app.settings import Settings
from app.store import datasets, jobs, panels, registry
from app.store.db import Database
from app.store.migrate import migrate
from benchmarks.serving import measure, parts
from benchmarks.serving.contestants import OURS, Contestant, our_body, windows_of
from benchmarks.serving.graph import whole_graph
from benchmarks.serving.house import TRAINED, register
from benchmarks.serving.load import request_bytes
from benchmarks.serving.many import Recent, metric, zipf
from benchmarks.serving.measure import check, disagreement, in_turn
from benchmarks.serving.peers.network import network
from benchmarks.serving.processes import NotRun, Running, running
from benchmarks.serving.report import rows
from benchmarks.serving.rounds import medians
from benchmarks.serving.served import SPEC, forecaster, random_weights
from benchmarks.serving.work import Work
from models.data.calendar import Freq
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.forecasting import bundle
from models.forecasting.forecaster import forecast, make_runnable
from tests.benchmarks.test_load import Answer, Site, site
from tests.fakes import report

Windows = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def panel_of(windows: Windows) -> Panel:
    """Hours of as many series, up to seven."""
    count, length = windows.shape
    starts = np.full(count, "2026-01-01", dtype="datetime64[us]")
    return Panel(tuple("abcdefg"[:count]), starts, windows.ravel(), length * np.arange(count + 1), Freq(1, "h"))


def test_the_graph_that_the_peers_serve_says_what_ours_says(tmp_path: Path) -> None:
    windows = np.concatenate([windows_of(6, SPEC.context), np.full((1, SPEC.context), 7.25)])
    (tmp_path / "gru.onnx").write_bytes(whole_graph(SPEC, random_weights(SPEC)).SerializeToString())
    made = forecaster(SPEC)
    own = forecast(
        make_runnable(made.members, OnnxEngine), made.calibration, panel_of(windows), SPEC.horizon, []
    ).median
    said = network(str(tmp_path / "gru.onnx"))(windows)
    assert disagreement(said, own) < 1e-5
    np.testing.assert_array_equal(said[-1], np.full(SPEC.horizon, 7.25))
    assert np.ptp(own[0]) > 1  # it does say something


def test_forecasts_are_compared_by_their_largest_relative_difference() -> None:
    right = np.array([[100.0, -200.0]])
    assert disagreement([[100.0, -200.0]], right) == 0
    assert disagreement([[101.0, -200.0]], right) == pytest.approx(1 / 101)
    assert disagreement([[100.0, -200.0, 1.0]], right) == math.inf
    assert disagreement([[100.0, None]], right) == math.inf
    assert disagreement([[0.0]], np.array([[0.0]])) == 0


def test_ours_is_asked_with_the_start_and_the_values_of_each_series() -> None:
    asked = json.loads(our_body(np.array([[1.5, 2.0], [3.0, 4.0]]), levels=(80,)))
    assert asked == {
        "model": "gru",
        "series": [
            {"unique_id": "s0", "start": "2026-01-01T00:00:00", "y": [1.5, 2.0]},
            {"unique_id": "s1", "start": "2026-01-01T00:00:00", "y": [3.0, 4.0]},
        ],
        "horizon": 10,
        "levels": [80],
    }


def test_a_session_is_sent_the_next_moment_only() -> None:
    asked = json.loads(our_body(np.array([[5.0]]), model="carried", session="mine", begin=25))
    assert asked["session"] == "mine"
    assert asked["series"] == [{"unique_id": "s0", "start": "2026-01-02T01:00:00", "y": [5.0]}]


def test_what_is_kept_is_what_was_wanted_last() -> None:
    recent = Recent(room=2)
    assert recent.want(np.array([1, 2, 1, 3, 2, 1, 1])).tolist() == [False, False, True, False, False, False, True]
    assert recent.want(np.array([2, 1, 9])).tolist() == [True, True, False]


def test_few_models_are_wanted_often_and_many_seldom() -> None:
    counts = np.bincount(zipf(np.random.default_rng(0), 100_000), minlength=1_000)
    assert counts[0] / counts[3] == pytest.approx(8, rel=0.1)  # 4 ** 1.5
    assert counts[:50].sum() / 100_000 == pytest.approx(0.914, abs=0.005)  # more than that, no fifty can hit


def test_a_metric_is_summed_over_its_labels() -> None:
    text = """# HELP forecastle_models_loaded Trained models in memory.
forecastle_models_loaded 3.0
forecastle_models_loaded_bytes 600.0
forecastle_model_hits_total{where="here"} 5.0
forecastle_model_hits_total{where="there"} 7.0
forecastle_model_hits_created 1e9
"""
    assert metric(text, "models_loaded") == 3
    assert metric(text, r"\w*hits_total") == 12
    assert metric(text, r"\w*misses_total") == 0


def test_every_row_of_the_table_is_a_ratio_of_medians_with_its_bar() -> None:
    found = {
        OURS: {"per_s": 4_000.0, "many_cpu_ms": 20.0, "busy_p99_ms": 8.0, "idle_p99_ms": 2.0, "start_s": 1.5},
        "KServe": {"per_s": 2_000.0, "many_cpu_ms": 50.0},
        "ONNX Runtime alone": {"many_cpu_ms": 16.0},
    }
    table = {row.name: (row.value, row.verdict) for row in rows(found)}
    assert table["1 series, 64 connections: requests/s over KServe"] == (2.0, "met")
    assert table["1,000 series in a request: CPU of KServe over ours"] == (2.5, "met")
    assert table["1,000 series in a request: CPU of ours over ONNX Runtime alone"] == (1.25, "")
    assert table["p99 at 70 % of capacity over idle p99"] == (4.0, "met")
    assert table["p99 at 70 % of capacity"] == (8.0, "met")
    assert table["process start to first forecast"] == (1.5, "MISSED")
    assert table["KServe: 1 series, requests/s"] == (2_000.0, "")


def test_a_figure_that_is_missing_is_said_to_be_and_meets_no_bar() -> None:
    table = {row.name: row for row in rows({OURS: {"per_s": 4_000.0}})}
    row = table["1 series, 64 connections: requests/s over MLflow: not run"]
    assert math.isnan(row.value)
    assert (row.bar, row.stretch, row.verdict) == (200, 400, "not run")


def test_medians_are_of_the_rounds_that_have_a_figure() -> None:
    assert medians([{"a": 1.0, "b": 4.0}, {"a": 5.0}, {"a": 2.0}]) == {"a": 2.0, "b": 4.0}


def contestant(said: Any) -> tuple[Contestant, Work, Answer]:
    """One who says ``said`` of whatever windows, and the work of two windows of which 1 and 2 are right."""
    content = json.dumps({"mean": said}).encode()

    async def answer(site: Site) -> list[bytes]:
        return [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content), content]

    one = Contestant(name="one", command=(), path="/", body=np.ndarray.tobytes, read=itemgetter("mean"))
    windows, right, nowhere = np.zeros((2, 3)), np.array([[1.0], [2.0]]), Path()
    return one, Work(windows, windows, right, right, nowhere, nowhere, nowhere, nowhere), answer


def test_who_does_not_say_what_is_right_is_not_measured() -> None:
    one, work, answer = contestant([[1.0], [2.00001]])
    with site(answer) as served:
        check(Running(psutil.Process(), served.port, 0.0, None), one, work)
    one, work, answer = contestant([[1.0], [2.001]])
    with site(answer) as served, pytest.raises(NotRun, match="forecasts of 2 series are off by 0"):
        check(Running(psutil.Process(), served.port, 0.0, None), one, work)


def test_who_refuses_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SECONDS", 0.05)

    async def refuse(site: Site) -> list[bytes]:
        return [b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"]

    one, work, _ = contestant([])
    with site(refuse) as served:
        server = Running(psutil.Process(), served.port, 0.0, None)
        with pytest.raises(NotRun, match="answered 2 series with 429"):
            check(server, one, work)
        with pytest.raises(NotRun, match="answers were no forecasts"):
            measure.loaded(server, in_turn([one.request(work.few)]), connections=1)


SERVER = """
import http.server, json, subprocess, sys, time

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
        content = json.dumps({"child": child.pid}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_server_is_weighed_with_its_children_and_none_of_them_is_left(tmp_path: Path) -> None:
    core = min(psutil.Process().cpu_affinity())
    with running(
        [sys.executable, "-c", SERVER, "{port}"], {}, request_bytes("/", b"{}"), core, tmp_path / "log"
    ) as server:
        child = psutil.Process(server.first["child"])
        assert server.root.cpu_affinity() == child.cpu_affinity() == [core]
        assert server.cpu_s() >= 0.1
        assert server.memory_mb() > server.root.memory_info().rss / 1e6
        assert 0.1 < server.start_s < 60
    assert not server.root.is_running()
    assert not child.is_running()


def test_a_server_that_does_not_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    core = min(psutil.Process().cpu_affinity())
    line = [sys.executable, "-c", "import sys; sys.exit('no such model')"]
    with (
        pytest.raises(NotRun, match="ended with status 1: no such model"),
        running(line, {}, b"", core, tmp_path / "log"),
    ):
        pass


def test_a_model_is_registered_under_as_many_names_as_are_wanted(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    migrate(settings.url)
    database, made = Database(settings.url), forecaster(SPEC)
    tenant_id = local_principal(database).tenant_id
    with database.write() as session:
        panel = panel_of(windows_of(1, 60))
        revision = datasets.create(session, tenant_id, "sales", "h", panels.new_revision(panel), "cli")
        new_job = jobs.NewJob(
            tenant_id=tenant_id,
            kind="train",
            model=TRAINED,
            revision_id=revision.id,
            request={},
            max_attempts=1,
            created_by="cli",
        )
        new = registry.NewVersion(
            model=TRAINED,
            bundle=b"trained",
            spec=made.spec,
            report=report(0.5),
            skill=0.5,
            revision_id=revision.id,
            data_sha256=revision.sha256,
            job_id=jobs.enqueue(session, new_job).id,
            created_by="cli",
        )
        registry.add_version(session, tenant_id, new)
        move = registry.Move(model=TRAINED, alias=registry.CHAMPION, number=1, reason="first", moved_by="cli")
        registry.move_alias(session, tenant_id, move)
    register(tmp_path, ["one", "two", "three"], made)
    with database.read() as session:
        found = [registry.resolve(session, tenant_id, name, None, None) for name in ("one", "two", "three")]
        assert {version.sha256 for version in found} == {bundle.sha256(bundle.to_bytes(made))}
        assert [version.skill for version in found] == [0.5, 0.5, 0.5]
        assert jobs.claim(session, "worker", 30.0) is not None  # the first one's; nobody is to train the others


def test_the_parts_of_a_request_are_all_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "REPEATS", 1)
    monkeypatch.setattr(parts, "SECONDS", 0.0001)
    timed = parts.rows()
    assert len(timed) == 12
    assert all(row.value > 0 and row.unit == "us a series" for row in timed)
