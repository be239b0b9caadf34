"""The job context over HTTP: with only an address and a secret it does the same as one on the database."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.problems import CorruptBundle, NotFound
from app.store import artifacts, checkpoints, jobs, keys, outcomes
from app.store.artifacts import PART_BYTES
from app.store.db import Database
from app.store.job_limits import JobLimits
from app.store.jobs import JobProgress
from app.store.outcome_codec import outcome_from_bytes, outcome_to_bytes
from app.store.outcomes import Candidate, Outcome, Ruling
from app.store.tables import Job, Revision, Version
from app.work.http_client import HttpClient, ServiceUnreachable
from app.work.job_context import JobContext
from app.work.job_context_http import HttpJobContext
from app.work.runner import ExitStatus
from models.errors import Cancelled, Fault, InputError
from models.forecasting import bundle
from tests.app.work.api_server import SECRET, Api, api_of, claim_with_secret, http_context
from tests.app.work.small_jobs import (
    SPEC,
    cancel,
    claim,
    context_of,
    crown,
    look,
    queue,
    run_function,
    untrained,
    versions,
)
from tests.fakes import report


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    with api_of(database) as served:
        yield served


@pytest.fixture(name="job")
def job_fixture(database: Database, sales: Revision) -> Job:
    queue(database, sales)
    return claim_with_secret(database)


def candidate(**changes: object) -> Candidate:
    made = untrained(seed=7)
    values = {
        "bundle": bundle.to_bytes(made),
        "spec": made.spec,
        "report": report(0.5, made.spec.horizon),
        "skill": 0.5,
        "data_sha256": "0" * 64,
        "ruling": Ruling(verdict="promoted", reason="the first version", numbers={"ours": 0.5}),
    }
    return Candidate(**{**values, **changes})


def ask(api: Api, method: str, path: str, body: bytes = b"", secret: str = SECRET) -> int:
    """Send a request and return the status of the answer."""
    return HttpClient(api.url, secret, 20.0).request(method, path, body).status


def test_both_contexts_read_the_same(database: Database, sales: Revision, api: Api) -> None:
    version = crown(database, sales)
    queue(database, sales)
    job = claim_with_secret(database)
    far, near = http_context(api, job), context_of(database, job)
    assert far.job == near.job
    assert far.load_panel(sales.id).fingerprint() == near.load_panel(sales.id).fingerprint()
    assert far.load_champion() == near.load_champion() == far.load_version(version.id)
    assert far.load_bundle(version.id) == near.load_bundle(version.id)
    assert far.load_checkpoint() is None
    far.save_checkpoint(b"\x00state")
    assert far.load_checkpoint() == near.load_checkpoint() == b"\x00state"
    for context in (far, near):
        with pytest.raises(NotFound, match="4711"):
            context.load_version(4711)


def test_the_version_of_a_job_becomes_visible_with_its_end(database: Database, job: Job, api: Api) -> None:
    def work(context: JobContext) -> Outcome:
        assert context.load_champion() is None
        assert not context.report_progress(JobProgress(phase="fit", share=0.5))
        context.log("half done")
        assert look(database, job).progress == {"phase": "fit", "share": 0.5, "eta_s": None}
        return Outcome(result={"found": 7}, version=candidate())

    assert run_function(http_context(api, job), work) == ExitStatus.DONE
    done, [version] = look(database, job), versions(database, job)
    assert (done.state, done.version_id, done.result["found"]) == ("succeeded", version.id, 7)
    assert (version.skill, version.spec) == (0.5, SPEC.to_json())


def test_an_artifact_arrives_in_parts_and_is_whole(database: Database, job: Job, api: Api) -> None:
    data = bytes(range(256)) * (PART_BYTES // 256) + b"the end"
    context = http_context(api, job)
    with context.open_artifact("rows.bin", "application/octet-stream") as file:
        file.write(data)
    context.finish(Outcome())
    with database.read() as session:
        row = artifacts.get(session, jobs.get(session, job.tenant_id, job.id), "rows.bin")
        parts = [artifacts.read_part(session, row.id, number) for number in (1, 2, 3)]
    assert (row.size_bytes, parts[2]) == (len(data), None)
    assert (parts[0] or b"") + (parts[1] or b"") == data


def test_a_file_over_the_limit_of_the_service_fails_the_job(database: Database, job: Job) -> None:
    def write(context: JobContext) -> Outcome:
        with context.open_artifact("rows.bin", "application/octet-stream") as file:
            file.write(b"x" * 2_001)
        return Outcome()

    with api_of(database, max_artifact_bytes=2_000) as small:
        context = http_context(small, job)
        assert context.limits == JobLimits(max_file_bytes=2_000)
        assert run_function(context, write) == ExitStatus.REFUSED
    error = look(database, job).error
    assert error is not None
    assert "rows.bin has more than 2000 bytes" in error["message"]


def test_a_job_learns_of_its_cancellation_and_ends_cancelled(database: Database, job: Job, api: Api) -> None:
    cancel(database, job)

    def work(context: JobContext) -> Outcome:
        assert context.report_progress(JobProgress(share=0.1))
        raise Cancelled("asked for")

    assert run_function(http_context(api, job), work) == ExitStatus.CANCELLED
    assert look(database, job).state == "cancelled"


def test_a_job_that_is_wrong_fails_with_its_reason(database: Database, job: Job, api: Api) -> None:
    def work(context: JobContext) -> Outcome:
        raise InputError([Fault(code="too_short", message="9 points", hint="send more")])

    assert run_function(http_context(api, job), work) == ExitStatus.REFUSED
    failed = look(database, job)
    assert (failed.state, failed.error["code"]) == ("failed", "invalid_input")


def test_an_attempt_that_lost_its_job_can_write_nothing(database: Database, job: Job, api: Api) -> None:
    context = http_context(api, job)
    assert context.job.attempt == 1
    with database.write() as session:
        jobs.release(session, job.id, job.token)
    heir = claim_with_secret(database, "another")
    assert heir.token == job.token + 1

    def work(context: JobContext) -> Outcome:
        return Outcome(version=candidate())

    assert run_function(context, work) == ExitStatus.FENCED
    assert versions(database, job) == []
    assert look(database, job).state == "running"
    for secret, token in ((SECRET, job.token), (SECRET, heir.token), ("another", job.token), ("", heir.token)):
        assert ask(api, "POST", f"/internal/v1/attempts/{job.id}/{token}/report", b"{}", secret) == 401
    assert ask(api, "POST", f"/internal/v1/attempts/{job.id}/{heir.token}/report", b"{}", "another") == 200
    assert run_function(http_context(api, heir, "another"), work) == ExitStatus.DONE
    # The job has ended, so its secret is not valid any more.
    assert ask(api, "GET", f"/internal/v1/attempts/{job.id}/{heir.token}", secret="another") == 401


def test_a_secret_opens_its_own_attempt_and_nothing_else(
    database: Database, sales: Revision, job: Job, api: Api
) -> None:
    queue(database, sales)
    other = claim(database)  # for a runner beside the database: no secret opens it
    paths = [f"/internal/v1/attempts/{other.id}/{other.token}", "/v1/jobs", "/v1/models", "/metrics"]
    paths += [f"/internal/v1/attempts/{job.id}/{token}" for token in ("x", "0", "-1", "9" * 10, "1.0")]
    assert [ask(api, "GET", path) for path in paths] == [401] * len(paths)
    assert ask(api, "GET", f"/internal/v1/attempts/{job.id}/{job.token}") == 200
    for path in ("/panels/4711", "/versions/4711/bundle", "/artifacts/4711/parts/1"):
        method = "PUT" if "parts" in path else "GET"
        assert ask(api, method, f"/internal/v1/attempts/{job.id}/{job.token}{path}") == 404


def test_a_key_is_refused_as_the_secret_of_an_attempt_on_every_path(database: Database, job: Job, api: Api) -> None:
    with database.write() as session:
        key = keys.create_key(session, "default", "me", "write")
    assert ask(api, "GET", "/v1/jobs", secret=key) == 200
    for identity in (job.id, "-a"):
        assert ask(api, "POST", f"/internal/v1/attempts/{identity}/{job.token}/cancelled", secret=key) == 401
    assert look(database, job).state == "running"


def test_a_job_survives_a_restart_of_the_service(database: Database, job: Job, api: Api) -> None:
    def work(context: JobContext) -> Outcome:
        api.stop()
        threading.Timer(0.5, api.start).start()
        assert not context.report_progress(JobProgress(share=0.5))  # lost: the next says more
        context.save_checkpoint(b"state")
        return Outcome(version=candidate())

    assert run_function(http_context(api, job), work) == ExitStatus.DONE
    assert look(database, job).state == "succeeded"
    assert len(versions(database, job)) == 1


def test_a_context_gives_up_on_a_service_that_stays_away(database: Database, job: Job, api: Api) -> None:
    context = http_context(api, job, patience_s=0.3)
    assert context.job.id == job.id
    api.stop()
    began_s = time.monotonic()
    with pytest.raises(ServiceUnreachable, match="does not answer"):
        context.load_checkpoint()
    assert time.monotonic() - began_s < 10


def test_a_result_that_is_too_large_fails_the_job_and_a_checkpoint_that_is_too_large_does_not(
    database: Database, job: Job
) -> None:
    with api_of(database, max_body_bytes=100_000) as small:
        context = http_context(small, job)
        context.save_checkpoint(b"x" * 200_000)
        assert context.load_checkpoint() is None

        def work(context: JobContext) -> Outcome:
            return Outcome(result={"rows": "x" * 200_000})

        assert run_function(context, work) == ExitStatus.REFUSED
    failed = look(database, job)
    assert failed.state == "failed"
    assert "FORECASTLE_MAX_BODY_BYTES" in failed.error["message"]


def test_a_version_that_cannot_be_served_is_not_registered(database: Database, job: Job, api: Api) -> None:
    with pytest.raises(InputError, match="an outcome that cannot be read"):
        http_context(api, job).finish(Outcome(version=candidate(bundle=b"not a bundle")))
    assert versions(database, job) == []
    assert look(database, job).state == "running"


def test_a_bundle_damaged_in_the_store_is_an_error(database: Database, sales: Revision, api: Api) -> None:
    version: Version = crown(database, sales)
    queue(database, sales)
    job = claim_with_secret(database)
    with database.write() as session:
        session.get_one(Version, version.id).sha256 = "0" * 64
    with pytest.raises(CorruptBundle, match="backup"):
        http_context(api, job).load_bundle(version.id)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x01",
        (2**40).to_bytes(8, "little"),
        (2).to_bytes(8, "little") + b"{}" + b"left over",
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"\xff\xff\xff\xff",
        (15).to_bytes(8, "little") + b'{"version": {}}',
        (14).to_bytes(8, "little") + b'{"result": "x"}'[:14],
    ],
)
def test_bytes_that_are_no_outcome_are_refused(sent: bytes) -> None:
    with pytest.raises(InputError):
        outcome_from_bytes(sent)


def test_an_outcome_survives_its_encoding() -> None:
    imported = replace(candidate(), skill=None, data_sha256=None)
    for outcome in (
        Outcome(),
        Outcome(result={"a": [1, None]}),
        Outcome(result={"a": 1}, ruling=Ruling(verdict="kept", reason="the new rows differ", numbers={"windows": 0})),
        Outcome(version=candidate()),
        Outcome(version=imported),
    ):
        assert outcome_from_bytes(outcome_to_bytes(outcome)) == outcome


def test_the_store_settles_a_decoded_outcome(database: Database, job: Job) -> None:
    sent = outcome_from_bytes(outcome_to_bytes(Outcome(version=candidate())))
    with database.write() as session:
        checkpoints.save(session, jobs.hold(session, job.id, job.token), b"state")
        outcomes.finish_job(session, context_of(database, job).job, sent)
    assert len(versions(database, job)) == 1


def raw(api: Api, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(api.host, api.port, timeout=20)
    connection.request("POST", path, body, {"Authorization": f"Bearer {SECRET}", **headers})
    response = connection.getresponse()
    said = json.loads(response.read())
    connection.close()
    return response.status, said


def test_the_bodies_of_attempts_are_validated(api: Api, job: Job) -> None:
    own = f"/internal/v1/attempts/{job.id}/{job.token}"
    json_type = {"Content-Type": "application/json"}
    for path, body in (
        ("/log", b'{"line": "' + b"x" * 10_001 + b'"}'),
        ("/fail", b'{"code": "x"}'),
        ("/report", b"[]"),
        ("/report", b'{"loss": NaN}'),
        ("/report", b'{"phase": "\\u0000"}'),
        ("/report", b'{"phase": "' + b"x" * 20_000 + b'"}'),
        ("/log", b'{"line": "\\u0000"}'),
        ("/artifacts", b'{"name": "", "media_type": "text/csv"}'),
        ("/artifacts", b'{"name": "a/b", "media_type": "text/csv"}'),
        ("/artifacts", b'{"name": "a", "media_type": "text/csv\\r\\nX-More: 1"}'),
    ):
        assert raw(api, own + path, json_type, body)[0] == 422, path
    for outcome in (b'{"result": {"rows": NaN}}', b'{"result": ' + b"[" * 100_000, b"nonsense"):
        assert raw(api, own + "/finish", {}, len(outcome).to_bytes(8, "little") + outcome)[0] == 422
    assert raw(api, own + "/artifacts", json_type, b'{"name": "a", "media_type": "text/csv"}') == (201, {"id": 1})
    assert ask(api, "PUT", f"{own}/artifacts/1/parts/{2**40}", b"x") == 422
    assert ask(api, "PUT", f"{own}/artifacts/1/parts/1", b"x" * (PART_BYTES + 1)) == 413


def test_a_context_requests_its_job_once(api: Api, job: Job) -> None:
    context: HttpJobContext = http_context(api, job)
    first = context.job
    api.stop()
    assert context.job is first
