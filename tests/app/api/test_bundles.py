"""Export and import of versions: a bundle leaves one tenant and forecasts the same for another."""

import base64
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.planning.bundle_import import KIND
from app.store import jobs
from app.store.tables import Job, JobCheckpoint, Version
from app.work.backtest import backtest
from app.work.bundle_import import import_version
from app.work.job_context import JobFunction
from app.work.runner import ExitStatus
from models.forecasting import bundle
from tests.app.api.conftest import Caller, House, forecast_request, on_both, open_house
from tests.app.api.tables import series
from tests.app.work.small_jobs import work_on
from tests.fakes import random_forecaster, says, together

VERSIONS = "/v1/models/demand/versions"
OCTETS = "application/octet-stream"


def digest_of(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256(data).digest()).decode()}:"


def upload(data: bytes, **headers: str) -> dict[str, Any]:
    return {"content": data, "headers": {"content-type": OCTETS, **headers}}


def work(house: House, function: JobFunction = import_version) -> tuple[Job, ExitStatus]:
    """Claim the next job, do it in this process, and say how that ended."""
    with house.database.write() as session:
        job = jobs.claim(session, "w1", 600)
    assert job is not None
    return job, work_on(house.database, job, function)


def kept_bundles(house: House) -> int:
    with house.database.read() as session:
        return session.scalars(select(func.count()).select_from(JobCheckpoint)).one()


@on_both
def test_a_version_is_exported_with_its_checksum_also_with_a_key_that_may_only_read(house: House) -> None:
    made = says(1, 2, -1)
    house.register(made)
    data = bundle.to_bytes(made)
    for caller in (house.acme, house.reader):
        answer = caller.ask("GET", f"{VERSIONS}/1/bundle")
        assert (answer.status_code, answer.content) == (200, data)
        assert answer.headers["content-type"] == OCTETS
        assert answer.headers["content-digest"] == digest_of(data)
        assert answer.headers["etag"] == f'"{sha256(data).hexdigest()}"'
        assert answer.headers["content-disposition"] == 'attachment; filename="demand-1.bundle"'
    for path in (f"{VERSIONS}/2/bundle", "/v1/models/nothing/versions/1/bundle"):
        assert house.acme.refused("GET", path) == (404, "not_found", None)
    assert house.rival.refused("GET", f"{VERSIONS}/1/bundle") == (404, "not_found", None)


def test_bytes_that_were_damaged_in_the_database_are_not_exported(house: House) -> None:
    house.register(says(1, 2, -1))
    with house.database.write() as session:
        session.execute(update(Version).values(bundle=b"damaged"))
    assert house.acme.refused("GET", f"{VERSIONS}/1/bundle") == (500, "corrupt_bundle", None)


@on_both
def test_a_bundle_of_one_tenant_forecasts_the_same_for_another(house: House) -> None:
    """Export from acme, import for rival: the same numbers, byte for byte; only the skill is not known there."""
    house.register(together(random_forecaster(1), random_forecaster(2, cell="lstm")))
    exported = house.acme.ask("GET", f"{VERSIONS}/1/bundle")
    sent = upload(exported.content, **{"content-digest": exported.headers["content-digest"]})
    answer = house.rival.ask("POST", VERSIONS, **sent)
    queued = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/jobs/{queued['id']}")
    assert (queued["kind"], queued["model"], queued["state"]) == (KIND.name, "demand", "queued")
    assert (queued["dataset"], queued["revision"], queued["spec"]) == (None, None, None)
    assert queued["order"] == {"sha256": sha256(exported.content).hexdigest(), "size_bytes": len(exported.content)}
    assert work(house)[1] == ExitStatus.DONE

    job = house.rival.get(f"/v1/jobs/{queued['id']}")
    assert (job["state"], job["version"], job["result"]["verdict"]) == ("succeeded", 1, "kept")
    assert job["result"]["engines_differ_by"] <= 1e-5
    assert kept_bundles(house) == 0
    version = house.rival.get(f"{VERSIONS}/1")
    assert (version["origin"], version["job_id"], version["skill"]) == ("import", queued["id"], None)
    assert (version["dataset"], version["revision"], version["data_sha256"]) == (None, None, None)
    assert version["sha256"] == house.acme.get(f"{VERSIONS}/1")["sha256"]
    assert house.rival.ask("GET", f"{VERSIONS}/1/bundle").content == exported.content

    assert house.rival.get("/v1/models/demand/aliases") == []  # an import moves none
    assert house.rival.refused("POST", "/v1/forecasts", json=forecast_request()) == (404, "not_found", None)
    ours, theirs = (caller.ask("POST", "/v1/forecasts", json=forecast_request(version=1)) for caller in house_of(house))
    forecasts = b'"forecasts":'
    assert theirs.content.partition(forecasts)[2] == ours.content.partition(forecasts)[2] != b""
    assert (theirs.json()["skill"], ours.json()["skill"]) == (None, 0.25)
    assert theirs.json()["backtest"]["windows"] == 0
    assert [warning["code"] for warning in theirs.json()["warnings"]] == ["no_skill"]
    assert "imported without a backtest" in theirs.json()["warnings"][0]["message"]
    house.rival.put("/v1/models/demand/aliases/champion", json={"version": 1})
    assert house.rival.post("/v1/forecasts", json=forecast_request())["model"]["version"] == 1


def house_of(house: House) -> tuple[Caller, Caller]:
    return house.acme, house.rival


def test_a_champion_stays_while_a_version_beside_it_is_imported(house: House) -> None:
    house.register(says(1, 2, -1))
    house.acme.post(VERSIONS, **upload(bundle.to_bytes(says(4, 5, 6))))
    assert work(house)[1] == ExitStatus.DONE
    assert [one["version"] for one in house.acme.get(VERSIONS)["items"]] == [2, 1]
    assert house.acme.get("/v1/models/demand/aliases")[0]["version"] == 1
    [decision] = house.acme.get("/v1/models/demand/decisions")["items"]
    assert (decision["version"], decision["verdict"]) == (2, "kept")


@pytest.mark.parametrize(
    ("data", "headers", "refusal"),
    [
        (b"", {}, (422, "invalid_input", "bad_bundle")),
        (b"no bundle", {}, (422, "invalid_input", "bad_bundle")),
        (bundle.to_bytes(says(1, 2, -1))[:-4], {}, (422, "invalid_input", "bad_bundle")),
        (None, {"content-digest": digest_of(b"other bytes")}, (422, "invalid_input", "wrong_digest")),
        (None, {"content-digest": "sha-512=:YWJj:"}, (422, "invalid_input", "bad_digest")),
        (None, {"content-type": "text/csv"}, (415, "unsupported_media_type", None)),
        (b"x" * (4 * 1024**2 + 1), {}, (413, "body_too_large", None)),
    ],
)
def test_what_is_no_bundle_or_arrived_damaged_is_refused(
    house: House, data: bytes | None, headers: dict[str, str], refusal: tuple[int, str, str | None]
) -> None:
    sent = upload(bundle.to_bytes(says(1, 2, -1)) if data is None else data, **headers)
    assert house.acme.refused("POST", VERSIONS, **sent) == refusal
    assert house.acme.get("/v1/jobs")["items"] == []
    assert house.acme.get("/v1/models")["items"] == []


def test_a_digest_among_others_is_found(house: House) -> None:
    data = bundle.to_bytes(says(1, 2, -1))
    both = f"sha-512=:YWJj:, {digest_of(data)}"
    assert house.acme.ask("POST", VERSIONS, **upload(data, **{"content-digest": both})).status_code == 202


def test_a_bundle_of_another_frequency_than_the_models_is_refused(house: House) -> None:
    house.register(says(1, 2, -1))
    hourly = bundle.to_bytes(says(1, 2, -1, freq="h"))
    assert house.acme.refused("POST", VERSIONS, **upload(hourly)) == (422, "invalid_input", "other_frequency")
    assert house.acme.ask("POST", "/v1/models/hourly/versions", **upload(hourly)).status_code == 202


def test_a_key_that_may_only_read_imports_nothing(house: House) -> None:
    data = bundle.to_bytes(says(1, 2, -1))
    assert house.reader.refused("POST", VERSIONS, **upload(data)) == (403, "forbidden", None)
    assert kept_bundles(house) == 0


@on_both
def test_an_import_that_is_sent_twice_with_its_key_is_one_job(house: House) -> None:
    data = bundle.to_bytes(says(1, 2, -1))
    first, again = (house.acme.post(VERSIONS, **upload(data, **{"idempotency-key": "a-1"})) for _ in range(2))
    assert first == again
    assert len(house.acme.get("/v1/jobs")["items"]) == kept_bundles(house) == 1
    other = upload(bundle.to_bytes(says(3, 2, 1)), **{"idempotency-key": "a-1"})
    assert house.acme.refused("POST", VERSIONS, **other) == (422, "invalid_input", "key_reused")


def test_an_import_that_is_cancelled_before_it_began_leaves_no_bytes(house: House) -> None:
    job = house.acme.post(VERSIONS, **upload(bundle.to_bytes(says(1, 2, -1))))
    assert kept_bundles(house) == 1
    assert house.acme.post(f"/v1/jobs/{job['id']}/cancel")["state"] == "cancelled"
    assert kept_bundles(house) == 0
    assert house.acme.get("/v1/models")["items"] == []


def test_a_bundle_on_which_the_engines_differ_is_not_registered(house: House) -> None:
    """Weights near the largest float32: the network overflows, so neither engine gives a number."""
    made = random_forecaster(1)
    made.members[0].weights["head/kernel"][:] = 3e38
    job = house.acme.post(VERSIONS, **upload(bundle.to_bytes(made)))
    assert work(house)[1] == ExitStatus.REFUSED
    ended = house.acme.get(f"/v1/jobs/{job['id']}")
    assert (ended["state"], ended["error"]["code"]) == ("failed", "engine_mismatch")
    assert house.acme.get("/v1/models")["items"] == []
    assert kept_bundles(house) == 0


def test_bytes_that_were_damaged_while_they_waited_are_not_registered(house: House) -> None:
    job = house.acme.post(VERSIONS, **upload(bundle.to_bytes(says(1, 2, -1))))
    with house.database.write() as session:
        session.execute(update(JobCheckpoint).values(data=b"damaged"))
    assert work(house)[1] == ExitStatus.REFUSED
    assert house.acme.get(f"/v1/jobs/{job['id']}")["error"]["code"] == "corrupt_bundle"
    assert house.acme.get("/v1/models")["items"] == []


def test_an_import_cannot_be_started_as_a_job(house: House) -> None:
    assert house.acme.ask("POST", "/v1/jobs", json={"kind": "import", "model": "demand"}).status_code == 422


def test_a_bundle_goes_to_another_service_and_back(house: House, sqlite_template: Any, tmp_path: Any) -> None:
    house.register(random_forecaster(3))
    (tmp_path / "other").mkdir()
    with open_house(sqlite_template, tmp_path / "other") as other:
        data = house.acme.ask("GET", f"{VERSIONS}/1/bundle").content
        other.acme.post(VERSIONS, **upload(data))
        assert work(other)[1] == ExitStatus.DONE
        back = other.acme.ask("GET", f"{VERSIONS}/1/bundle").content
        house.acme.post(VERSIONS, **upload(back))
        assert work(house)[1] == ExitStatus.DONE
    first, second = (house.acme.post("/v1/forecasts", json=forecast_request(version=n)) for n in (1, 2))
    assert first["forecasts"] == second["forecasts"]


def test_a_backtest_of_an_imported_version_says_that_its_training_data_are_unknown(house: House) -> None:
    house.acme.post(VERSIONS, **upload(bundle.to_bytes(says(1, 2))))
    assert work(house)[1] == ExitStatus.DONE
    house.acme.keep("days", series("shop", [float(day % 5) for day in range(40)]))
    request = {"kind": "backtest", "version": "demand@1", "dataset": "days", "baselines": []}
    job = house.acme.post("/v1/jobs", json=request)
    assert work(house, backtest)[1] == ExitStatus.DONE
    result = house.acme.get(f"/v1/jobs/{job['id']}")["result"]
    assert (result["of"], result["windows_taught"]) == ("demand@1", None)
    assert result["windows"] > 0


def test_an_imported_champion_is_retrained_once_its_data_are_named(house: House) -> None:
    rising = [float(day) for day in range(60)]
    house.acme.post(VERSIONS, **upload(bundle.to_bytes(says(1, 2))))
    assert work(house)[1] == ExitStatus.DONE
    house.acme.put("/v1/models/demand/aliases/champion", json={"version": 1})
    from_nowhere = house.acme.ask("POST", "/v1/jobs", json={"kind": "retrain", "model": "demand"}).json()
    assert (from_nowhere["status"], from_nowhere["errors"][0]["field"]) == (422, "dataset")
    assert "demand@1 was imported" in from_nowhere["errors"][0]["message"]
    house.acme.keep("days", [("shop", f"2026-{1 + d // 28:02}-{1 + d % 28:02}", y) for d, y in enumerate(rising[:28])])
    asked = {"kind": "retrain", "model": "demand", "dataset": "days"}
    again = house.acme.post("/v1/jobs", json=asked)
    assert (again["dataset"], again["spec"]["units"], again["warm_start_from"]) == ("days", 2, None)
    assert house.acme.post("/v1/jobs", json={**asked, "warm_start": True})["warm_start_from"] == "demand@1"
