"""Metrics of a running service: of the process, of the database, and of the caller's own models only."""

import re
import socket
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from app.store import datasets, jobs, keys
from app.store.db import now
from app.store.tables import Alias, JobAttempt, Realised, Revision, Version
from tests.app.api.conftest import SALES, Caller, House, on_both, open_house
from tests.app.store.conftest import new_job
from tests.fakes import says

PAGE = Path(__file__).parents[3] / "docs" / "telemetry.md"
ROW = re.compile(r"\| `(forecastle_\w+)`(?:\{([\w, ]+)\})? \| (\w+) \| (.+) \|")


@pytest.fixture
def operator(house: House) -> Caller:
    """Somebody who runs the service; its key belongs to acme."""
    with house.database.write() as session:
        return Caller(house.client, keys.create_key(session, "acme", "ops", "operator"))


def metrics_of(caller: Caller) -> dict[str, float]:
    """The samples of the service's own metrics, by name and labels."""
    answer = caller.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = (line.rsplit(" ", 1) for line in answer.text.splitlines() if line.startswith("forecastle_"))
    return {name: float(value) for name, value in samples}


def test_the_table_of_the_documentation_has_exactly_the_exported_metrics(acme: Caller, operator: Caller) -> None:
    acme.forecast()
    text = operator.ask("GET", "/metrics").text
    helped = dict(re.findall(r"# HELP (forecastle_\w+) (.+)", text))
    kinds = dict(re.findall(r"# TYPE (forecastle_\w+) (\w+)", text))
    exported = {name: (kinds[name], what) for name, what in helped.items() if not name.endswith("_created")}
    rows = ROW.findall(PAGE.read_text())
    assert {name: (kind, what) for name, _, kind, what in rows} == exported
    labels = {name: set(re.split(", ", names)) if names else set() for name, names, _, _ in rows}
    for name, found in re.findall(r"^(forecastle_\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        base = name if name in labels else re.sub(r"_(bucket|count|sum)$", "", name)
        if base in labels:
            assert set(re.findall(r'(\w+)="', found)) - {"le"} == labels[base], name


def test_metrics_tell_requests_jobs_and_models(house: House, acme: Caller, operator: Caller) -> None:
    acme.forecast()
    with house.database.write() as session:
        revision = datasets.revision(session, house.tenants["acme"], "sales")
        jobs.request_cancel(session, revision.tenant_id, jobs.enqueue(session, new_job(revision)).id, "cli")
    acme.ask("GET", "/v1/datasets/" + "x" * 100)
    acme.ask("GET", "/wp-login.php")
    answer = operator.ask("GET", "/metrics")
    for line in [
        'forecastle_http_requests_total{method="POST",route="/v1/forecasts",status="200"} 1.0',
        'forecastle_http_requests_total{method="GET",route="/v1/datasets/{name}",status="404"} 1.0',
        'forecastle_http_requests_total{method="GET",route="other",status="404"} 1.0',
        'forecastle_http_problems_total{code="not_found"} 2.0',
        "forecastle_http_requests_in_flight 1.0",  # this one
        "forecastle_models_loaded 1.0",
        'forecastle_batch_requests_bucket{lane="quick",le="1.0"} 1.0',
        'forecastle_jobs{kind="train",state="cancelled"} 1.0',
        "forecastle_job_oldest_queued_seconds 0.0",
        'forecastle_database_connections{pool="read",use="used"} 0.0',
    ]:
        assert line in answer.text
    assert "process_resident_memory_bytes" in answer.text
    assert "xxx" not in answer.text
    assert Caller(house.client, "").ask("GET", "/metrics").status_code == 401


def test_a_data_set_that_is_read_twice_is_found_in_memory_the_second_time(acme: Caller, operator: Caller) -> None:
    for _ in range(2):
        acme.forecast(dataset={"name": "sales"})
    found = metrics_of(operator)
    counts = [found[f"forecastle_{name}"] for name in ("panel_misses_total", "panel_hits_total", "panels_loaded")]
    assert counts == [1, 1, 1]
    assert found["forecastle_panels_loaded_bytes"] > 0


@on_both
def test_attempts_of_the_last_day_are_counted_with_their_durations(house: House, operator: Caller) -> None:
    house.acme.keep("sales", SALES)
    with house.database.write() as session:
        revision = datasets.revision(session, house.tenants["acme"], "sales")
        for hours in (1, 2, 30):  # since the end; the last is too long ago
            jobs.enqueue(session, new_job(revision))
            job = jobs.claim(session, "w1", 60.0)
            assert job is not None
            jobs.fail(session, job.id, job.token, "bad", "no", retry=False)
            ended_at = now(session) - timedelta(hours=hours)
            times = {"ended_at": ended_at, "started_at": ended_at - timedelta(seconds=90.5)}
            session.execute(update(JobAttempt).where(JobAttempt.job_id == job.id).values(**times))
    found = metrics_of(operator)
    (key,) = [name for name in found if name.startswith("forecastle_job_attempts_last_day")]
    assert 'kind="train"' in key
    assert found[key] == 2
    assert found[key.replace("attempts", "run_seconds")] == pytest.approx(181, abs=0.1)
    assert found["forecastle_database_bytes"] > 50_000


@on_both
def test_a_key_sees_the_figures_of_its_own_models_only(house: House) -> None:
    version = house.register(says(1, 2, -1), skill=-0.5)
    house.register(says(1, 2, -1), model="secret", tenant="rival")
    with house.database.write() as session:
        ago = now(session) - timedelta(days=2)
        session.execute(update(Version).where(Version.id == version.id).values(created_at=ago))
        session.execute(update(Revision).where(Revision.id == version.revision_id).values(created_at=ago))
        sums = {"forecasts": 2, "points": 10, "scaled": 15.0, "signed": 0.0, "expected": 10.0}
        covered = {"judged_80": 10, "covered_80": 4, "judged_95": 0, "covered_95": 0}
        place = {"day": now(session).date(), "shadow": False, "beside": 0, "horizon": 3, "block": 1, "band": 0}
        session.add(Realised(tenant_id=version.tenant_id, version_id=version.id, **place, **sums, **covered))
    found, other = metrics_of(house.acme), metrics_of(house.rival)
    assert found["forecastle_champions"] == other["forecastle_champions"] == 1
    ages = [found[f'forecastle_model_{name}_seconds{{model="demand"}}'] for name in ("age", "data_age")]
    assert ages == pytest.approx([2 * 86_400] * 2, abs=60)
    figures = [found[f'forecastle_model_{name}{{model="demand"}}'] for name in ("skill", "realised_mase")]
    assert figures == [-0.5, 1.5]
    assert found['forecastle_model_realised_drift{model="demand"}'] == 1.5
    assert found['forecastle_model_realised_coverage{level="80",model="demand"}'] == 0.4
    assert not any("secret" in name for name in found)
    assert not any("demand" in name for name in other)
    assert [found[f'forecastle_quota_{name}{{quota="max_models"}}'] for name in ("used", "limit")] == [1, 10_000]
    # Sums over all tenants are for those who run the service.
    assert {name.partition("{")[0] for name in other} == {
        "forecastle_champions",
        *(f"forecastle_model_{name}" for name in ("age_seconds", "data_age_seconds", "skill")),
        *(f"forecastle_model_realised_{name}" for name in ("mase", "drift")),
        *(f"forecastle_quota_{name}" for name in ("used", "limit")),
    }


def test_the_number_of_models_in_the_metrics_is_bounded_and_the_newest_go_first(
    house: House, acme: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.monitoring.MAX_MODELS", 1)
    house.register(says(1, 2, -1), model="supply")
    with house.database.write() as session:
        old = Alias.version_id.in_(session.query(Version.id).where(Version.id == 1))
        session.execute(update(Alias).where(old).values(moved_at=now(session) - timedelta(days=1)))
    found = metrics_of(acme)
    assert [name for name in found if name.startswith("forecastle_model_skill")] == [
        'forecastle_model_skill{model="supply"}'
    ]
    assert found["forecastle_champions"] == 2


def test_the_port_of_metrics_needs_no_key_names_nothing_and_outlives_the_database(
    sqlite_template: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open_house(sqlite_template, tmp_path, metrics_port=port) as house:
        house.register(says(1, 2, -1))
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert "forecastle_job_oldest_queued_seconds 0.0" in answer.text
        assert "demand" not in answer.text
        house.database.dispose()
        for file in tmp_path.glob("forecastle.db*"):
            file.unlink()
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert "forecastle_http_requests_in_flight 0.0" in answer.text
        assert "forecastle_job_oldest_queued_seconds" not in answer.text
