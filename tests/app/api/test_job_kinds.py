"""Each kind of job from its body to what it leaves behind: settled by the API, done at a real context, seen by GET."""

import base64
import io
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.store import artifacts, jobs, registry
from app.store.job_limits import JobLimits
from app.store.tables import Job
from app.work.backtest import backtest
from app.work.forecast import forecast_all
from app.work.job_context import DatabaseJobContext, JobFunction
from app.work.runner import ExitStatus
from app.work.train import train
from tests.app.api.conftest import Caller, House, open_house
from tests.app.api.tables import CSV, body, days, series
from tests.app.work.small_jobs import context_of, run_function, work_on
from tests.fakes import says, seasonal_naive

DAYS = 60
UPS = [float(day) for day in range(DAYS)]  # 0, 1, 2, …: a forecaster of +1, +2 in units of 1 has no error
WORK: dict[str, JobFunction] = {"train": train, "retrain": train, "tune": train, "forecast": forecast_all}
TINY = {"spec": {"season": 7, "horizon": 4, "context": 12, "units": 4}, "training": {"steps_per_epoch": 2}}


def wave(day: int, level: float) -> float:
    return level + 5 * np.sin(day * 2 * np.pi / 7) + (day * 7919 % 13) / 13


def csv(lines: list[str]) -> dict[str, Any]:
    """Return the arguments of a request that sends rows of shops."""
    return body("\n".join(["unique_id,ds,y,town", *lines, ""]).encode(), CSV)


@pytest.fixture(name="shops")
def shops_fixture(house: House) -> Caller:
    """Data set of 70 days of six shops, of which two are in Ulm."""
    towns = ["Ulm", "Ulm", *["Bad Aibling"] * 4]
    rows = [
        f"shop{i},{ds},{wave(day, 10.0 * i)},{town}" for i, town in enumerate(towns) for day, ds in enumerate(days(70))
    ]
    house.acme.post("/v1/datasets?name=shops", **csv(rows))
    return house.acme


@pytest.fixture(name="ups")
def ups_fixture(house: House) -> Caller:
    """Two series that rise by one a day, and a version that forecasts it: the unit of four days in a row is 1.5."""
    house.acme.keep("sales", series("a", UPS) + series("b", UPS[:30]))
    house.register(says(1 / 1.5, 2 / 1.5))
    return house.acme


def do(house: House, asked: dict[str, Any], work: JobFunction | None = None) -> dict[str, Any]:
    """Post a job, do it in this process, and return its answer."""
    job = house.acme.post("/v1/jobs", json=asked)
    claimed = claim(house)
    assert claimed.id == job["id"]
    assert work_on(house.database, claimed, work or WORK[asked["kind"]]) == ExitStatus.DONE
    return house.acme.get(f"/v1/jobs/{job['id']}")


def claim(house: House) -> Job:
    with house.database.write() as session:
        claimed = jobs.claim(session, "w1", 600)
    assert claimed is not None
    return claimed


def refused(caller: Caller, **asked: Any) -> dict[str, Any]:
    """Return the first error of a request that is refused."""
    answer = caller.ask("POST", "/v1/jobs", json=asked)
    assert answer.status_code == 422, answer.text
    return answer.json()["errors"][0]


def test_a_batch_forecast_writes_a_file(house: House, ups: Caller) -> None:
    done = do(house, {"kind": "forecast", "version": "demand@champion", "dataset": "sales", "format": "csv"})
    result = done["result"]
    assert result == result | {"of": "demand@1", "series": 2, "rows": 4, "horizon": 2, "notes": {}, "warnings": []}
    answer = house.acme.post("/v1/forecasts", json={"model": "demand", "dataset": {"name": "sales"}})
    assert (result["skill"], result["backtest"]) == (answer["skill"], answer["backtest"])
    assert (done["order"]["version"]["number"], done["spec"], done["model"]) == (1, None, "demand")
    assert done["progress"]["phase"] == "done"

    [file] = ups.get(f"/v1/jobs/{done['id']}/artifacts")["items"]
    answer = ups.ask("GET", f"/v1/jobs/{done['id']}/artifacts/forecast.csv")
    assert (file["name"], file["media_type"], file["size_bytes"]) == ("forecast.csv", "text/csv", len(answer.content))
    assert file["sha256"] == sha256(answer.content).hexdigest()
    digest = base64.b64encode(sha256(answer.content).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert answer.headers["etag"] == f'"{file["sha256"]}"'
    assert answer.headers["content-disposition"] == 'attachment; filename="forecast.csv"'
    header, *rows = answer.text.splitlines()
    assert header.replace('"', "") == "unique_id,ds,median,mean,lo-80,hi-80"
    cells = [row.replace('"', "").split(",") for row in rows]
    assert [(name, ds) for name, ds, *_ in cells] == [
        ("a", "2026-03-02T00:00:00"),
        ("a", "2026-03-03T00:00:00"),
        ("b", "2026-01-31T00:00:00"),
        ("b", "2026-02-01T00:00:00"),
    ]
    np.testing.assert_allclose([float(median) for _, _, median, *_ in cells], [60, 61, 30, 31], rtol=1e-5)
    assert all(float(lo) < float(median) < float(hi) for _, _, median, _, lo, hi in cells)


def test_a_batch_forecast_has_the_doubts_about_its_version_that_a_single_forecast_has(
    house: House, ups: Caller
) -> None:
    house.register(says(1, 2), skill=-0.1)
    done = do(house, {"kind": "forecast", "version": "demand@champion", "dataset": "sales"})
    answer = house.acme.post("/v1/forecasts", json={"model": "demand", "dataset": {"name": "sales"}})
    assert [warning["code"] for warning in done["result"]["warnings"]] == ["no_skill"]
    assert done["result"]["warnings"] == answer["warnings"]


def test_a_batch_forecast_in_parts_is_one_parquet_file(
    house: House, ups: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.work.forecast.MAX_NUMBERS", 9)  # two steps of a median and a mean: two series a part
    monkeypatch.setattr("app.work.artifact_writer.PART_BYTES", 100)
    asked = {"kind": "forecast", "version": "demand@1", "dataset": "sales", "levels": [], "ids": ["b", "a"]}
    done = do(house, asked)
    answer = ups.ask("GET", f"/v1/jobs/{done['id']}/artifacts/forecast.parquet")
    read = pq.read_table(io.BytesIO(answer.content))
    assert read.column("unique_id").to_pylist() == ["b", "b", "a", "a"]
    assert str(read.schema.field("ds").type) == "timestamp[us]"
    np.testing.assert_allclose(read.column("mean").to_numpy(), [30, 31, 60, 61], rtol=1e-5)
    with house.database.read() as session:
        file = artifacts.get(session, jobs.get(session, house.tenants["acme"], done["id"]), "forecast.parquet")
        sizes = [
            len(artifacts.read_part(session, file.id, n) or b"") for n in range(1, -(-len(answer.content) // 100) + 1)
        ]
    assert sizes[:-1] == [100] * (len(sizes) - 1)
    assert sum(sizes) == len(answer.content)


def test_a_file_cannot_be_read_before_its_job_has_succeeded(house: House, ups: Caller) -> None:
    job = ups.post("/v1/jobs", json={"kind": "forecast", "version": "demand@1", "dataset": "sales"})
    assert ups.get(f"/v1/jobs/{job['id']}/artifacts")["items"] == []
    answer = ups.ask("GET", f"/v1/jobs/{job['id']}/artifacts/forecast.parquet")
    assert answer.status_code == 404
    assert "they are there once the job has succeeded" in answer.json()["detail"]


def test_a_job_over_the_limits_is_refused_when_it_is_queued(sqlite_template: Path, tmp_path: Path) -> None:
    with open_house(sqlite_template, tmp_path, max_job_points=399) as house:
        house.acme.keep("sales", series("a", UPS) + series("b", UPS[:30]))
        house.register(says(1, 2))
        asked = {"kind": "forecast", "version": "demand@1", "dataset": "sales", "horizon": 50, "levels": [80]}
        error = refused(house.acme, **asked)  # 2 series x 50 steps x 4 numbers
        assert (error["code"], error["field"]) == ("file_too_large", "horizon")
        assert house.acme.get("/v1/jobs")["items"] == []


def test_a_job_that_was_queued_under_higher_limits_fails_when_it_runs(house: House, ups: Caller) -> None:
    asked = {"kind": "forecast", "version": "demand@1", "dataset": "sales", "horizon": 50, "levels": [80]}
    job = ups.post("/v1/jobs", json=asked)  # 2 series x 50 steps x 4 numbers
    context = context_of(house.database, claim(house))
    small = DatabaseJobContext(house.database, context.job, limits=JobLimits(max_points=399))
    assert run_function(small, forecast_all) == ExitStatus.REFUSED
    error = ups.get(f"/v1/jobs/{job['id']}")["error"]
    assert error["message"].startswith("horizon: the file of 2 forecasts of 50 steps with 4 numbers each has 400")


def test_a_file_can_be_deleted(house: House, ups: Caller) -> None:
    done = do(house, {"kind": "forecast", "version": "demand@1", "dataset": "sales", "format": "csv"})
    path = f"/v1/jobs/{done['id']}/artifacts/forecast.csv"
    assert house.reader.ask("DELETE", path).status_code == 403
    assert ups.ask("DELETE", path).status_code == 204
    assert ups.ask("DELETE", path).status_code == 404
    assert ups.get(f"/v1/jobs/{done['id']}/artifacts")["items"] == []
    assert ups.get(f"/v1/jobs/{done['id']}")["state"] == "succeeded"


def test_a_backtest_reports_the_errors_and_writes_each_forecast(house: House, ups: Caller) -> None:
    asked = {"kind": "backtest", "version": "demand@champion", "dataset": "sales", "windows": "csv", "baselines": []}
    done = do(house, asked, backtest)
    report = done["result"]
    assert report["of"] == "demand@1"
    assert report["scores"]["model"]["mase"] == pytest.approx(0, abs=1e-4)  # its forecasts are the actual values
    assert report["scores"]["seasonal_naive"]["mase"] == pytest.approx(
        1.5
    )  # errors of 1 and 2, in units of a day's step of 1
    assert report["skill"] == pytest.approx(1, abs=1e-4)
    text = ups.ask("GET", f"/v1/jobs/{done['id']}/artifacts/windows.csv").text.replace('"', "")
    header, *rows = text.splitlines()
    assert header == "unique_id,cutoff,ds,y,median,mean"
    assert len(rows) == 2 * report["windows"]
    for row in rows:
        _, cutoff, ds, y, median, mean = row.split(",")
        assert cutoff < ds
        assert float(median) == float(mean) == pytest.approx(float(y), rel=1e-4)


def test_a_backtest_counts_the_windows_that_the_version_was_trained_on(house: House, ups: Caller) -> None:
    with house.database.write() as session:
        taught = registry.resolve(session, house.tenants["acme"], "demand", 1, None)
        taught.scores = {**taught.scores, "refit": True}
    done = do(house, {"kind": "backtest", "version": "demand@1", "dataset": "sales", "baselines": []}, backtest)
    assert done["result"]["windows_taught"] == done["result"]["windows"]


def test_a_backtest_without_a_version_scores_seasonal_naive(house: House, ups: Caller) -> None:
    done = do(house, {"kind": "backtest", "dataset": "sales", "horizon": 2, "baselines": []}, backtest)
    assert (done["model"], done["result"]["of"]) == ("seasonal_naive", "seasonal_naive")
    assert done["result"]["skill"] == pytest.approx(0, abs=1e-6)


def test_a_search_reports_its_trials_and_registers_the_best(house: House, shops: Caller) -> None:
    asked = {"kind": "tune", "model": "found", "dataset": "shops", "trials": 3, "baselines": [], "refit": False, **TINY}
    done = do(house, asked)
    trials = done["result"]["trials"]
    first = [trial["candidate"] for trial in trials if trial["rung"] == 0]
    assert first[0] == "seasonal_naive"
    assert len(first) == 1 + 3
    assert done["version"] == done["result"]["version"] == 1
    assert shops.get("/v1/models/found/versions/1")["scores"]["auto"]["trials"] == trials
    with_none = do(house, {**asked, "register": False, "trials": 1})
    assert with_none["version"] is None
    assert set(with_none["result"]) == {"trials", "best"}
    assert with_none["result"]["best"]["spec"]["horizon"] == 4


def test_a_model_is_retrained_on_the_newest_revision(house: House, shops: Caller) -> None:
    trained = do(house, {"kind": "train", "model": "towns", "dataset": "shops", "baselines": [], **TINY})
    shops.post("/v1/datasets/shops/rows", **csv(["shop0,2026-03-12,12,Ulm"]))
    again = do(house, {"kind": "retrain", "model": "towns", "promote": "never"})
    assert (again["kind"], again["revision"], again["version"]) == ("retrain", 2, 2)
    assert again["spec"] == trained["spec"]
    assert again["training"] == trained["training"]
    assert shops.get("/v1/models/towns/versions/2")["scores"]["promotion"] == "the job says to promote never"


def test_a_retraining_starts_from_the_weights_of_the_champion_if_it_has_any(house: House, shops: Caller) -> None:
    house.register(says(1, 2), model="learned")
    house.register(seasonal_naive(), model="naive")
    began = {
        model: shops.post("/v1/jobs", json={"kind": "retrain", "model": model, "warm_start": True})["warm_start_from"]
        for model in ("learned", "naive")
    }
    assert began == {"learned": "learned@1", "naive": None}


def test_a_model_without_a_champion_cannot_be_retrained(house: House, ups: Caller) -> None:
    assert ups.ask("POST", "/v1/jobs", json={"kind": "retrain", "model": "nobody"}).status_code == 404
    house.register(says(1, 2), model="new", alias=None)
    answer = ups.ask("POST", "/v1/jobs", json={"kind": "retrain", "model": "new"})
    assert (answer.status_code, "has no champion" in answer.json()["detail"]) == (404, True)


def test_the_model_of_each_group_is_trained_on_the_series_of_the_group(house: House, shops: Caller) -> None:
    asked = {"kind": "train", "model": "t", "dataset": "shops", "by": "town", "children_at_once": 1, "baselines": []}
    parent = shops.post("/v1/jobs", json={**asked, **TINY})
    assert (parent["children"], parent["spec"]) == (2, None)
    assert parent["order"] == {"by": "town", "groups": 2, "left_out": []}
    children = shops.get(f"/v1/jobs?parent={parent['id']}")["items"]
    by_town = {child["label"]["town"]: child for child in children}
    assert by_town.keys() == {"Ulm", "Bad Aibling"}
    assert by_town["Ulm"]["model"] == "t-Ulm"
    assert by_town["Bad Aibling"]["model"].startswith("t-Bad-Aibling-")
    for _ in by_town:
        assert work_on(house.database, claim(house), train) == ExitStatus.DONE
    ended = shops.get(f"/v1/jobs/{parent['id']}")
    assert (ended["state"], ended["result"]["children"]["succeeded"]) == ("succeeded", 2)
    whole = shops.get("/v1/datasets/shops")["sha256"]
    data = {town: shops.get(f"/v1/models/{child['model']}/versions/1") for town, child in by_town.items()}
    assert len({whole, *(version["data_sha256"] for version in data.values())}) == 3
    # 70 days and a horizon of 4: as many origins for each series, of which Ulm has two and Bad Aibling four.
    assert data["Ulm"]["scores"]["windows"] * 2 == data["Bad Aibling"]["scores"]["windows"]
    again = do(house, {"kind": "retrain", "model": "t-Ulm"})
    assert shops.get(f"/v1/models/t-Ulm/versions/{again['version']}")["data_sha256"] == data["Ulm"]["data_sha256"]


def test_a_request_that_cannot_work_is_refused_with_field_and_hint(house: House, ups: Caller, shops: Caller) -> None:
    forecast = {"kind": "forecast", "version": "demand@1", "dataset": "sales"}
    backtest = {"kind": "backtest", "version": "demand@1", "dataset": "sales"}
    grouped = {"kind": "train", "model": "t", "dataset": "shops"}
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"kind": "dance"}, {"pointer": "/kind", "code": "unknown_kind"}),
        ({**forecast, "horizon": 0}, {"pointer": "/horizon"}),
        ({**forecast, "ids": ["c"]}, {"code": "unknown_series"}),
        ({**forecast, "format": "xlsx"}, {"pointer": "/format"}),
        ({**forecast, "levels": [100]}, {"pointer": "/levels/0"}),
        ({**backtest, "horizon": 5_000}, {"code": "too_short"}),
        ({**backtest, "baselines": ["arima"]}, {"pointer": "/baselines/0"}),
        ({"kind": "tune", "model": "m", "dataset": "sales", "spec": {"cell": "ear"}}, {"field": "cell"}),
        ({"kind": "tune", "model": "m", "dataset": "sales", "trials": 0}, {"pointer": "/trials"}),
        ({**grouped, "by": "size"}, {"field": "by", "code": "missing_covariate"}),
        ({**grouped, "by": "town", "training": {"batch_size": 0}}, {"field": "batch_size"}),
        (
            {**grouped, "children_at_once": 2},
            {"message": "'children_at_once' and 'skip_unfit' are for groups: give 'by' as well"},
        ),
    ]
    for asked, expected in cases:
        error = refused(ups, **asked)
        assert expected.items() <= error.items(), (asked, error)
        assert error["hint"]
    for asked in (forecast, backtest):
        assert ups.ask("POST", "/v1/jobs", json={**asked, "version": "demand@9"}).status_code == 404
        assert ups.ask("POST", "/v1/jobs", json={**asked, "dataset": "nothing"}).status_code == 404
