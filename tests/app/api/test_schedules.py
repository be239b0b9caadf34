"""/v1/schedules: created, shown, edited, paused, run and deleted; what could never work is refused with its remedy."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app.planning.schedule_answers import firing_answers
from app.planning.schedules import SchedulePlanner
from app.store import firings, jobs, tasks
from app.store.outcomes import Outcome, Ruling, finish_job
from app.store.quality import quality_of
from app.store.tables import Firing
from app.work.scheduler import SchedulerDependencies, tick
from tests.app.api.conftest import Caller, House, on_both, open_house
from tests.app.api.tables import series
from tests.postgres import postgres_server

JOB = {"model": "demand", "dataset": "days", "spec": {"horizon": 3, "context": 7}, "training": {"max_epochs": 1}}
PLAN: dict[str, Any] = {"name": "nightly", "cron": "30 2 * * *", "zone": "Europe/Paris", "job": JOB}


@pytest.fixture(name="house")
def house_fixture(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    """The service, with the data set ``days`` of acme."""
    url = postgres_server().new_database() if getattr(request, "param", "sqlite") == "postgresql" else None
    with open_house(sqlite_template, tmp_path, url) as opened:
        opened.acme.keep("days", series("shop", [float(day % 7) for day in range(120)]))
        yield opened


@pytest.fixture
def acme(house: House) -> Caller:
    return house.acme


def refusal(caller: Caller, method: str, path: str, **body: Any) -> tuple[int, str, str, str]:
    """Status, code and field of the first error, and its text with the remedy."""
    problem = caller.ask(method, path, json=body).json()
    first = problem["errors"][0]
    return problem["status"], first["code"], str(first.get("field") or first.get("pointer")), problem["detail"]


@on_both
def test_a_schedule_is_created_shown_and_deleted(house: House) -> None:
    acme = house.acme
    made = acme.ask("POST", "/v1/schedules", json=PLAN)
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/schedules/nightly"
    shown = made.json()
    assert shown == acme.get("/v1/schedules/nightly") == acme.get("/v1/schedules")["items"][0]
    assert shown["job"] == {"kind": "train", **JOB}
    kept = {
        name: shown[name] for name in ("cron", "zone", "misfire", "overlap", "grace_s", "jitter_s", "paused", "gate")
    }
    assert kept == {
        "cron": "30 2 * * *",
        "zone": "Europe/Paris",
        "misfire": "once",
        "overlap": "skip",
        "grace_s": 300.0,
        "jitter_s": 0.0,
        "paused": False,
        "gate": None,
    }
    dues = [datetime.fromisoformat(text) for text in shown["next_due"]]
    assert len(dues) == 5
    assert {(due.hour, due.minute) for due in dues} <= {(2, 30), (3, 0)}
    assert all(later.date() - earlier.date() == timedelta(days=1) for earlier, later in pairwise(dues))
    assert acme.ask("DELETE", "/v1/schedules/nightly").status_code == 204
    assert acme.refused("GET", "/v1/schedules/nightly") == (404, "not_found", None)
    assert acme.refused("DELETE", "/v1/schedules/nightly") == (404, "not_found", None)


def test_a_name_is_taken_once(acme: Caller) -> None:
    acme.post("/v1/schedules", json=PLAN)
    assert acme.refused("POST", "/v1/schedules", json=PLAN) == (409, "conflict", None)


@pytest.mark.parametrize(
    ("changes", "code", "field", "words"),
    [
        ({"cron": "0 0 30 2 *"}, "bad_cron", "cron", "minute, hour, day of month"),
        ({"cron": "0 0 */31 * TUE#5"}, "never_fires", "cron", "no due time in the next 50 years"),
        ({"cron": "@daily"}, "bad_cron", "cron", "such as '30 2 * * MON-FRI'"),
        ({"cron": None}, "never_fires", "cron", "give 'cron' or 'triggers'"),
        ({"cron": None, "triggers": {"pause_s": 60}}, "never_fires", "cron", "give 'cron' or 'triggers'"),
        ({"zone": "Europe/Pari"}, "unknown_zone", "zone", "Europe/Paris"),
        ({"cron": None, "triggers": {"new_rows": 9}, "zone": "Mars"}, "unknown_zone", "zone", "IANA"),
        ({"cron": "* * * * *", "jitter_s": 60}, "bad_field", "jitter_s", "make it shorter"),
        ({"misfire": "all"}, "contradiction", "overlap", "give overlap 'queue'"),
        ({"job": {**JOB, "dataset": "never-was"}}, "not_found", "job", "no data set 'never-was'"),
        ({"job": {**JOB, "revision": 7}}, "not_found", "job", "has no revision 7"),
        ({"job": {**JOB, "warm_start_from": "demand@champion"}}, "not_found", "job", "no model 'demand'"),
        ({"job": {**JOB, "spec": {"horizon": 3, "context": 500}}}, "too_short", "context", "use a context of at most"),
        ({"job": {**JOB, "spec": {"cell": "abacus"}}}, "bad_field", "cell", "abacus"),
        ({"job": {**JOB, "revision": 1}, "triggers": {"new_rows": 9}}, "contradiction", "job.revision", "newest"),
        ({"gate": {"audit": "guess"}}, "literal_error", "/gate/audit", "'block', 'ask' or 'warn'"),
        ({"gate": {"accept_after": 0}}, "greater_than_equal", "/gate/accept_after", "1"),
        ({"job": {**JOB, "kind": "paint"}}, "unknown_kind", "/job/kind", "train"),
        ({"misfire": "twice"}, "literal_error", "/misfire", "once"),
        ({"jitter_s": 3601}, "less_than_equal", "/jitter_s", "3600"),
        ({"triggers": {"drift": {"ratio": 1.0}}}, "greater_than", "/triggers/drift/ratio", "greater than 1"),
        ({"triggers": {"coverage_below": {}}}, "missing", "/triggers/coverage_below/coverage", "required"),
    ],
)
def test_what_could_never_work_is_refused_when_created_and_when_edited(
    acme: Caller, changes: dict[str, Any], code: str, field: str, words: str
) -> None:
    said = refusal(acme, "POST", "/v1/schedules", **{**PLAN, **changes})
    assert said[:3] == (422, code, field)
    assert words in said[3] or words in str(acme.ask("POST", "/v1/schedules", json={**PLAN, **changes}).json())
    assert acme.get("/v1/schedules")["items"] == []
    acme.post("/v1/schedules", json=PLAN)
    before = acme.get("/v1/schedules/nightly")
    assert refusal(acme, "PATCH", "/v1/schedules/nightly", **changes)[:3] == (422, code, field)
    assert acme.get("/v1/schedules/nightly") == before


def test_an_edit_changes_what_it_names(acme: Caller) -> None:
    acme.post("/v1/schedules", json={**PLAN, "triggers": {"new_rows": 24}})
    first = acme.get("/v1/schedules/nightly")
    edit = {"cron": "0 4 * * *", "zone": "UTC", "misfire": "skip"}
    edited = acme.patch("/v1/schedules/nightly", json=edit)
    same = {"job", "triggers", "overlap", "created_at", "created_by", "paused"}
    assert {name: edited[name] for name in same} == {name: first[name] for name in same}
    assert edited["triggers"] == {"new_rows": 24, "pause_s": 3600.0}
    assert edited["next_due"][0].endswith("T04:00:00Z")
    bare = acme.patch("/v1/schedules/nightly", json={"cron": None})
    assert (bare["cron"], bare["next_due"]) == (None, [])
    job = {**JOB, "training": {"max_epochs": 2}}
    changed = acme._works(
        acme.ask("PATCH", "/v1/schedules/nightly", json={"job": job, "triggers": {"older_than_s": 9}})
    )
    assert changed["job"]["training"] == {"max_epochs": 2}
    assert changed["triggers"] == {"older_than_s": 9.0, "pause_s": 3600.0}


def test_a_policy_of_promotion_is_that_of_each_job(house: House) -> None:
    acme = house.acme
    acme.post("/v1/schedules", json={**PLAN, "gate": {"minimum_gain": 0.1, "approval": "manual"}})
    gate = acme.get("/v1/schedules/nightly")["gate"]
    assert gate == {"minimum_gain": 0.1, "confidence": None, "must_beat_baseline": True, "approval": "manual"} | {
        "former_tolerance": 0.1,
        "audit": "ask",
        "accept_after": None,
    }
    job = acme.ask("POST", "/v1/schedules/nightly/run").headers["location"].split("/")[-1]
    shown = acme.get(f"/v1/jobs/{job}")
    assert (shown["promote"], shown["gate"]) == ("if_better", gate)
    assert acme.patch("/v1/schedules/nightly", json={"gate": None})["gate"] is None
    said = acme.refused("PATCH", "/v1/schedules/nightly", json={"gate": {"approval": "perhaps"}})
    assert said == (422, "invalid_request", "literal_error")


def test_a_paused_schedule_is_not_due_until_it_is_resumed(acme: Caller) -> None:
    acme.post("/v1/schedules", json=PLAN)
    for _ in range(2):
        paused = acme.post("/v1/schedules/nightly/pause")
        assert (paused["paused"], paused["next_due"], paused["next_at"]) == (True, [], None)
    for _ in range(2):
        assert len(acme.post("/v1/schedules/nightly/resume")["next_due"]) == 5


@on_both
def test_run_now_makes_the_job_on_the_newest_data_and_is_a_firing(house: House) -> None:
    acme = house.acme
    acme.post("/v1/schedules", json=PLAN)
    ran = acme.ask("POST", "/v1/schedules/nightly/run")
    assert ran.status_code == 202
    job = acme.get(ran.headers["location"])
    assert (job["id"], job["state"], job["revision"], job["model"]) == (ran.json()["job_id"], "queued", 1, "demand")
    assert job["schedule"] == "nightly"
    assert [one["id"] for one in acme.get("/v1/jobs?schedule=nightly")["items"]] == [job["id"]]
    assert house.rival.get("/v1/jobs?schedule=nightly")["items"] == []
    assert acme.refused("POST", "/v1/schedules/nightly/run") == (409, "conflict", None)  # it is unfinished
    acme.post(f"/v1/jobs/{job['id']}/cancel")
    assert acme.ask("POST", "/v1/schedules/nightly/run").status_code == 202
    fired = acme.get("/v1/schedules/nightly/firings?page_size=1")
    assert [(each["cause"], each["outcome"]) for each in fired["items"]] == [("manual", "fired")]
    older = acme.get(f"/v1/schedules/nightly/firings?page_token={fired['next_page_token']}")
    assert [each["job_id"] for each in older["items"]] == [job["id"]]


def test_a_scheduler_settles_the_request_anew_on_the_data_of_the_day(house: House) -> None:
    acme = house.acme
    job = {"model": "demand", "dataset": "days", "training": {"max_epochs": 1}}
    acme.post("/v1/schedules", json={**PLAN, "cron": "0 * * * *", "job": job})
    parts = SchedulerDependencies(SchedulePlanner(house.database, house.settings).plan_job, quality_of)
    later = datetime.now(UTC) + timedelta(hours=2)
    assert tick(house.database, parts, later)["fired"] == 1
    [fired, missed] = acme.get("/v1/schedules/nightly/firings")["items"]
    assert (fired["outcome"], missed["outcome"]) == ("fired", "missed")
    made = acme.get(f"/v1/jobs/{fired['job_id']}")
    assert made["created_by"] == "schedule:nightly"
    assert made["spec"]["season"] == 7  # read off the data


def test_a_request_that_a_later_release_does_not_take_any_more_is_refused_and_not_lost(house: House) -> None:
    acme = house.acme
    acme.post("/v1/schedules", json=PLAN)
    with house.database.write() as session:
        row = firings.list_due(session, datetime.now(UTC) + timedelta(days=2), 1)[0]
        row.request = {**row.request, "kind": "train", "colour": "red"}
    parts = SchedulerDependencies(SchedulePlanner(house.database, house.settings).plan_job, quality_of)
    assert tick(house.database, parts, datetime.now(UTC) + timedelta(days=1))["refused"] == 1
    said = acme.get("/v1/schedules/nightly/firings")["items"][0]
    assert "job.colour" in said["detail"]["message"]
    assert "POST /v1/jobs" in said["detail"]["message"]


def test_a_schedule_says_why_its_last_firing_made_no_champion(house: House) -> None:
    acme = house.acme
    acme.post("/v1/schedules", json=PLAN)
    assert acme.get("/v1/schedules/nightly")["last_firing"] is None
    job_id = acme.ask("POST", "/v1/schedules/nightly/run").json()["job_id"]
    last = acme.get("/v1/schedules/nightly")["last_firing"]
    assert (last["job_state"], last["verdict"], last["reason"]) == ("queued", None, "the job is queued")
    with house.database.write() as session:
        job = jobs.claim(session, "w1", 600.0)
        assert job is not None
        ruling = Ruling(verdict="kept", reason="the new rows differ from the past", numbers={"champion": 1})
        outcome = Outcome(result={"verdict": ruling.verdict, "reason": ruling.reason}, ruling=ruling)
        finish_job(session, tasks.task(session, job.tenant_id, job_id, job.token), outcome)
    last = acme.get("/v1/schedules/nightly")["last_firing"]
    assert (last["job_state"], last["verdict"], last["reason"]) == (
        "succeeded",
        "kept",
        "the new rows differ from the past",
    )
    assert acme.get("/v1/schedules/nightly/firings")["items"] == [last]
    [decision] = acme.get("/v1/models/demand/decisions")["items"]
    assert (decision["version"], decision["schedule"], decision["verdict"]) == (None, "nightly", "kept")
    assert (decision["reason"], decision["numbers"], decision["decided_by"]) == (
        last["reason"],
        {"champion": 1},
        job_id,
    )


FIRINGS = {
    "skipped": ({"unfinished": "j1"}, "job j1 of the schedule was unfinished"),
    "missed": ({"missed": 3, "until": "2026-05-01"}, "no scheduler ran at 3 due times, up to 2026-05-01"),
    "alarm": ({"data_age_s": 90}, "no rows have arrived for 90 seconds"),
    "refused": ({"message": "no data set"}, "the job cannot be planned: no data set"),
    "fired": ({}, "the job was deleted"),
}


@pytest.mark.parametrize("outcome", FIRINGS)
def test_each_outcome_of_a_firing_has_a_reason_in_words(house: House, outcome: str) -> None:
    detail, reason = FIRINGS[outcome]
    moment = datetime.now(UTC)
    row = Firing(due_at=moment, fired_at=moment, cause="cron", outcome=outcome, detail=detail, job_id=None)
    with house.database.read() as session:
        [answer] = firing_answers(session, 1, [row])
    assert answer.reason == reason


def test_lists_are_paged(acme: Caller) -> None:
    for name in ("a", "b", "c"):
        acme.post("/v1/schedules", json={**PLAN, "name": name})
    first = acme.get("/v1/schedules?page_size=2")
    second = acme.get(f"/v1/schedules?page_size=2&page_token={first['next_page_token']}")
    assert [each["name"] for each in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["next_page_token"] is None


def test_the_metrics_know_of_schedules_and_messages(house: House) -> None:
    acme = house.acme
    acme.post("/v1/schedules", json=PLAN)
    acme.ask("POST", "/v1/schedules/nightly/run")
    text = house.operator.ask("GET", "/metrics").text
    assert 'forecastle_schedule_firings_last_day{outcome="fired"} 1.0' in text
    assert 'forecastle_schedule_firings_last_day{outcome="refused"} 0.0' in text
    assert "forecastle_schedule_lag_seconds 0.0" in text
    assert "forecastle_scheduler_last_tick_timestamp_seconds 0.0" in text
    assert 'forecastle_webhook_deliveries{state="pending"} 0.0' in text
    parts = SchedulerDependencies(SchedulePlanner(house.database, house.settings).plan_job, quality_of)
    tick(house.database, parts)
    lines = house.operator.ask("GET", "/metrics").text.splitlines()
    [line] = [line for line in lines if line.startswith("forecastle_scheduler_")]
    assert float(line.split()[1]) > 1.7e9
