"""``forecastle schedules``, and a real ``forecastle scheduler`` process."""

import json
import signal
import sys
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from sqlalchemy import update

from app.store import firings, schedules, webhooks
from app.store.tables import Schedule
from tests.app.cli.conftest import Forecastle, Home, refused
from tests.app.receivers import receiver
from tests.app.work.small_jobs import environment, eventually, keep, put_away, weeks

JOB = json.dumps({"model": "demand", "dataset": "sales", "spec": {"horizon": 4}, "training": {"max_epochs": 1}})


def test_a_schedule_is_added_listed_paused_resumed_and_deleted(forecastle: Forecastle, home: Home) -> None:
    keep(home.database, weeks())
    words = ["--cron", "30 2 * * *", "--zone", "Europe/Paris", "--job", JOB, "--triggers", '{"new_rows": 7}']
    result = forecastle("schedules", "add", "nightly", *words)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("schedule nightly: next due ")
    [row] = json.loads(forecastle("schedules", "list", "--format", "json").stdout)
    assert (row["name"], row["paused"], row["cron"]) == ("nightly", False, "30 2 * * *")
    assert json.loads(row["triggers"]) == {"new_rows": 7, "pause_s": 3600.0}
    assert "T02:30:00+0" in row["next_due"] or "T03:00:00+0" in row["next_due"]
    header, line = forecastle("schedules", "list").stdout.splitlines()
    assert header == "name,paused,cron,zone,next_due,triggers"
    assert line.startswith("nightly,False,30 2 * * *,Europe/Paris,")
    assert forecastle("schedules", "pause", "nightly").stderr == "schedule nightly is paused\n"
    shown = json.loads(forecastle("schedules", "show", "nightly").stdout)
    assert (shown["paused"], shown["firings"], shown["job"]["spec"]) == (True, [], {"horizon": 4})
    assert forecastle("schedules", "resume", "nightly").stderr.startswith("schedule nightly: next due ")
    assert forecastle("schedules", "delete", "nightly").stderr == "schedule nightly is deleted\n"
    assert refused(forecastle("schedules", "show", "nightly"), "no schedule 'nightly'")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--cron", "0 0 30 2 *", "--job", JOB], "cron: '0 0 30 2 *' is no cron expression"),
        (["--job", JOB], "give 'cron' or 'triggers'"),
        (["--cron", "0 0 * * *", "--zone", "Mars", "--job", JOB], "no time zone 'Mars'"),
        (["--cron", "0 0 * * *", "--job", "{model}"], "--job: "),
        (["--cron", "0 0 * * *", "--job", '{"model": "demand"}'], "--job: dataset: Field required"),
        (["--cron", "0 0 * * *", "--job", '{"model": "demand", "dataset": "gone"}'], "no data set 'gone'"),
        (["--cron", "0 0 * * *", "--job", JOB, "--triggers", '{"new_rows": 0}'], "--triggers: new_rows"),
        (
            ["--cron", "0 0 * * *", "--job", '{"modle": "demand"}'],
            "modle: there is no field of this name; did you mean",
        ),
        (["--cron", "0 0 * * *", "--job", JOB, "--misfire", "all"], "give overlap 'queue'"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused_in_one_line(
    forecastle: Forecastle, home: Home, words: list[str], reason: str
) -> None:
    keep(home.database, weeks())
    assert refused(forecastle("schedules", "add", "nightly", *words), reason)
    assert forecastle("schedules", "list", "--format", "json").stdout == "[]\n"


def test_a_scheduler_queues_jobs_sends_webhooks_and_ends_on_a_signal(forecastle: Forecastle, home: Home) -> None:
    revision = keep(home.database, weeks())
    result = forecastle("schedules", "add", "often", "--cron", "* * * * *", "--job", JOB)
    assert result.exit_code == 0, result.stderr
    with home.database.write() as session:  # due a minute ago
        past = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
        session.execute(update(Schedule).values(due_at=past, next_at=past))
    env = environment(data_dir=home.folder, poll_s=0.1, webhook_private_networks="127.0.0.0/8")
    with receiver() as desk:
        with home.database.write() as session:
            webhooks.create(session, revision.tenant_id, "desk", desk.url, ["job.failed"], "cli")
            webhooks.announce(session, revision.tenant_id, "job.failed", {"job": "a1"})
        process = psutil.Popen([sys.executable, "-m", "app", "scheduler"], env=env)
        try:
            eventually(lambda: desk.received)
            eventually(lambda: json.loads(forecastle("schedules", "show", "often").stdout)["firings"])
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            put_away(process)
    with home.database.read() as session:
        rows = firings.list_page(session, revision.tenant_id, "often", None, 10)
        assert {row.outcome for row in rows} <= {"fired", "missed", "skipped"}
        assert any(row.job_id for row in rows)
        assert firings.last_heartbeat(session, firings.SCHEDULER) is not None
        assert schedules.get(session, revision.tenant_id, "often").due_at > past  # type: ignore[operator]
