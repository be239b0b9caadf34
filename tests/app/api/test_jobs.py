import itertools
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from app.store import datasets, jobs
from models.network.spec import Spec, Training
from tests.app.api.conftest import Caller, House, on_both, open_house
from tests.app.api.tables import series, table
from tests.app.store.conftest import new_job
from tests.fakes import says


@pytest.fixture
def trainer(house: House) -> Caller:
    """Who has a data set that is long enough to learn from."""
    house.acme.keep("sales", series("shop", [float(i % 7) for i in range(120)]))
    return house.acme


def request(**changes: Any) -> dict[str, Any]:
    return {"json": {"model": "demand", "dataset": "sales", **changes}}


@on_both
def test_a_job_is_accepted_with_every_field_settled(house: House, trainer: Caller) -> None:
    answer = trainer.ask("POST", "/v1/jobs", **request(spec={"horizon": 5, "cell": "lstm"}, training={"seed": 7}))
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/jobs/{job['id']}")
    assert trainer.get(answer.headers["location"]) == job
    # Three weeks of context, a week at a time.
    settled = {name: job["spec"][name] for name in ("freq", "season", "context", "horizon", "cell", "segment")}
    assert settled == {"freq": "D", "season": 7, "context": 21, "horizon": 5, "cell": "lstm", "segment": 7}
    assert Spec.from_json(job["spec"]).to_json() == job["spec"]
    assert Training.from_json(job["training"]).seed == 7
    assert job["members"] == [{"spec": job["spec"], "training": job["training"]}]
    assert (job["warm_start_from"], job["auto"], job["refit"]) == (None, None, True)
    assert (job["state"], job["attempt"], job["max_attempts"]) == ("queued", 0, 3)
    assert (job["version"], job["error"]) == (None, None)
    assert (job["dataset"], job["revision"], job["cancel_requested"]) == ("sales", 1, False)


def test_a_job_keeps_the_revision_that_was_the_newest(house: House, trainer: Caller) -> None:
    trainer.post("/v1/datasets/sales/rows", **table([("shop", "2026-05-01", 1)], "csv"))
    assert [trainer.post("/v1/jobs", **request(revision=n))["revision"] for n in (1, 2, None)] == [1, 2, 2]
    assert trainer.refused("POST", "/v1/jobs", **request(revision=3)) == (404, "not_found", None)


def test_no_spec_whatever_breaks_the_service(house: House, trainer: Caller) -> None:
    values = [None, {}, "x", -1, float("inf"), [[[[]]]], [{}], "\0", "\ud800"]
    for name, value in itertools.product([field.name for field in fields(Spec)], values):
        if (name, value) == ("bounds", None):  # the one field that null is a value of: no bounds
            continue
        answer = trainer.ask("POST", "/v1/jobs", **request(spec={name: value}))
        assert answer.status_code == 422, (name, value)
        # A list of names may hold any text: that there is no covariate of that name is the fault of the data.
        assert answer.json()["code"] in ("invalid_spec", "invalid_input"), (name, value)
        assert answer.json()["errors"][0]["field"] == name


@on_both
def test_a_queued_job_is_cancelled_at_once_and_only_once(house: House, trainer: Caller) -> None:
    job = trainer.post("/v1/jobs", **request())
    cancelled = trainer.post(f"/v1/jobs/{job['id']}/cancel")
    assert (cancelled["state"], cancelled["cancel_requested"]) == ("cancelled", True)
    assert cancelled["finished_at"] is not None
    assert trainer.refused("POST", f"/v1/jobs/{job['id']}/cancel") == (409, "conflict", None)
    assert trainer.get(f"/v1/jobs/{job['id']}") == cancelled


@on_both
def test_a_running_job_is_asked_to_stop_and_shows_its_progress(house: House, trainer: Caller) -> None:
    job = trainer.post("/v1/jobs", **request())
    with house.database.write() as session:
        claimed = jobs.claim(session, "w1", 30)
        assert claimed is not None
        jobs.report(session, claimed.id, claimed.token, {"share": 0.5})
    asked = trainer.post(f"/v1/jobs/{job['id']}/cancel")
    assert (asked["state"], asked["cancel_requested"], asked["progress"]) == ("running", True, {"share": 0.5})
    with house.database.write() as session:
        jobs.fail(session, claimed.id, claimed.token, "diverged", "the loss became NaN", retry=False)
    said = {"code": "diverged", "message": "the loss became NaN", "class": "job"}
    assert trainer.get(f"/v1/jobs/{job['id']}")["error"] == said


def test_a_full_queue_of_one_tenant_refuses_its_jobs_and_no_others(sqlite_template: Path, tmp_path: Path) -> None:
    with open_house(sqlite_template, tmp_path, max_queued_jobs=2) as house:
        for caller in (house.acme, house.rival):
            caller.keep("sales", series("shop", [float(i % 7) for i in range(120)]))
        first, _ = [house.acme.post("/v1/jobs", **request()) for _ in range(2)]
        answer = house.acme.ask("POST", "/v1/jobs", **request())
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
        problem = answer.json()
        assert (problem["code"], problem["errors"][0]["code"]) == ("queue_full", "queue_full")
        assert "cancel some" in problem["errors"][0]["hint"]
        house.rival.post("/v1/jobs", **request())
        house.acme.post(f"/v1/jobs/{first['id']}/cancel")
        house.acme.post("/v1/jobs", **request())


@on_both
def test_jobs_are_listed_newest_first_and_by_state(house: House, trainer: Caller) -> None:
    made = [trainer.post("/v1/jobs", **request())["id"] for _ in range(5)]
    trainer.post(f"/v1/jobs/{made[1]}/cancel")
    assert [job["id"] for job in trainer.get("/v1/jobs?state=cancelled")["items"]] == [made[1]]
    assert trainer.get("/v1/jobs?state=failed") == {"items": [], "next_page_token": None}
    page = trainer.get("/v1/jobs?page_size=2")
    trainer.post("/v1/jobs", **request())  # one that comes between is on a page already read
    seen = [job["id"] for job in page["items"]]
    while page["next_page_token"] is not None:
        page = trainer.get(f"/v1/jobs?page_size=2&page_token={page['next_page_token']}")
        seen += [job["id"] for job in page["items"]]
    assert seen == made[::-1]


def test_a_finished_job_names_its_version(house: House) -> None:
    version = house.register(says(1, 2, -1))
    with house.database.write() as session:
        revision = datasets.revision(session, house.tenants["acme"], "sales")
        job = jobs.enqueue(session, new_job(revision, kind="backtest"))
        job.version_id = version.id
    assert house.acme.get(f"/v1/jobs/{job.id}")["version"] == 1


@pytest.mark.parametrize(
    "name",
    ["id", "tenant_id", "state", "attempt", "max_attempts", "progress", "version", "error", "created_by", "token"],
)
def test_what_only_the_service_decides_cannot_be_sent(house: House, trainer: Caller, name: str) -> None:
    problem = trainer.ask("POST", "/v1/jobs", **request(**{name: 1})).json()
    assert (problem["status"], problem["errors"][0]["code"]) == (422, "extra_forbidden")
    assert problem["errors"][0]["pointer"] == f"/{name}"
    assert trainer.get("/v1/jobs")["items"] == []
