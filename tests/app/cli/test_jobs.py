"""``forecastle jobs``."""

import json

import pytest
from click.testing import Result

from app.store import jobs
from app.store.outcomes import Outcome
from tests.app.cli.conftest import Forecastle, Home, refused
from tests.app.work.small_jobs import claim, context_of, keep, queue, weeks


def test_jobs_are_listed_newest_first_and_by_filter(forecastle: Forecastle, home: Home) -> None:
    revision = keep(home.database, weeks())
    first, second = queue(home.database, revision), queue(home.database, revision)
    claim(home.database)
    header, *rows = forecastle("jobs", "list").stdout.splitlines()
    assert header == "id,kind,model,state,attempt,priority,version,created_at,finished_at"
    assert [row.split(",")[:5] for row in rows] == [
        [second.id, "train", "demand", "queued", "0"],
        [first.id, "train", "demand", "running", "1"],
    ]
    [running] = json.loads(forecastle("jobs", "list", "--state", "running", "--format", "json").stdout)
    assert running["id"] == first.id
    assert forecastle("jobs", "list", "--kind", "tune").stdout.splitlines() == [header]


def test_a_job_is_shown_with_its_attempts_and_files(forecastle: Forecastle, home: Home) -> None:
    queue(home.database, keep(home.database, weeks()))
    job = claim(home.database)
    context = context_of(home.database, job)
    with context.open_artifact("a.csv", "text/csv") as file:
        file.write(b"ds,mean")
    context.finish(Outcome(result={"rows": 0}))
    shown = json.loads(forecastle("jobs", "show", job.id).stdout)
    assert (shown["state"], shown["result"], shown["spec"]["horizon"]) == ("succeeded", {"rows": 0}, 4)
    assert [(each["number"], each["outcome"]) for each in shown["attempts"]] == [(1, "succeeded")]
    assert [(each["name"], each["size_bytes"]) for each in shown["artifacts"]] == [("a.csv", 7)]
    watched = forecastle("jobs", "watch", job.id)
    assert (watched.exit_code, json.loads(watched.stdout)) == (0, {"rows": 0})


def test_a_job_is_cancelled_at_once_or_asked_to_stop(forecastle: Forecastle, home: Home) -> None:
    revision = keep(home.database, weeks())
    first, second = queue(home.database, revision), queue(home.database, revision)
    claim(home.database)
    assert forecastle("jobs", "cancel", first.id).stderr == f"job {first.id} is asked to stop\n"
    assert forecastle("jobs", "cancel", second.id).stderr == f"job {second.id} is cancelled\n"
    assert ended(forecastle("jobs", "watch", second.id)) == "the job is cancelled"
    assert refused(forecastle("jobs", "cancel", second.id), "there is nothing left to cancel")


def test_watching_a_job_that_fails_prints_the_reason(forecastle: Forecastle, home: Home) -> None:
    queue(home.database, keep(home.database, weeks()))
    job = claim(home.database)
    with home.database.write() as session:
        jobs.fail(session, job.id, job.token, "diverged", "the loss became nan", retry=False)
    assert ended(forecastle("jobs", "watch", job.id)) == "the job is failed: the loss became nan"


def ended(watched: Result) -> str:
    """Return the error of a command that watched a job until it failed."""
    assert (watched.exit_code, watched.stdout) == (1, "")
    return watched.stderr.splitlines()[-1].removeprefix("error: ")


@pytest.mark.parametrize("word", ["show", "cancel", "watch"])
def test_a_job_that_does_not_exist_is_one_line_of_error(forecastle: Forecastle, home: Home, word: str) -> None:
    assert refused(forecastle("jobs", word, "f" * 32), "no job")
