"""``forecastle audit-log``: events of keys, without their secrets."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.app.cli.conftest import Forecastle, Home, refused


@pytest.fixture
def key_id(forecastle: Forecastle, home: Home) -> str:
    """A key of acme that was created, and revoked twice."""
    raw: str = forecastle("keys", "create", "--name", "lost", "--tenant", "acme", "--days", 2).stdout.strip()
    found = raw.split("_", 2)[1]
    for _ in range(2):
        forecastle("keys", "revoke", found)
    assert raw.split("_", 2)[2] not in forecastle("audit-log", "export").output
    return found


def test_created_and_revoked_keys_leave_an_event_each(forecastle: Forecastle, key_id: str) -> None:
    revoked, created = json.loads(forecastle("audit-log", "list", "--format", "json").stdout)
    assert [(event["sequence"], event["action"], event["subject"]) for event in (created, revoked)] == [
        (1, "key.created", key_id),
        (2, "key.revoked", key_id),
    ]
    assert (created["tenant"], created["actor"], created["detail"]["scope"]) == ("acme", "cli", "write")
    assert datetime.fromisoformat(created["detail"]["expires_at"]) > datetime.now(UTC)
    [newest] = csv.DictReader(io.StringIO(forecastle("audit-log", "list", "--limit", 1).stdout))
    assert (newest["sequence"], json.loads(newest["detail"])) == ("2", {"name": "lost"})
    assert json.loads(forecastle("audit-log", "list", "--tenant", "rival", "--format", "json").stdout) == []


def test_an_altered_log_is_refused_with_the_event(forecastle: Forecastle, home: Home, key_id: str) -> None:
    sound = forecastle("audit-log", "verify")
    assert (sound.exit_code, sound.stdout.splitlines()[1].split(",")[:2]) == (0, ["acme", "2"])
    with home.database.write() as session:
        session.execute(text("UPDATE audit_events SET actor = 'nobody' WHERE sequence = 1"))
    assert refused(forecastle("audit-log", "verify"), "tenant 'acme': event 1 was changed")
    with home.database.write() as session:
        session.execute(text("UPDATE audit_events SET actor = 'cli' WHERE sequence = 1"))
    assert forecastle("audit-log", "verify", "--tenant", "acme").exit_code == 0


def test_an_export_is_compared_with_the_log(forecastle: Forecastle, home: Home, key_id: str, tmp_path: Path) -> None:
    exported, other = tmp_path / "audit.jsonl", tmp_path / "other.jsonl"
    exported.write_text(forecastle("audit-log", "export", "--tenant", "acme").stdout)
    assert [json.loads(line)["action"] for line in exported.read_text().splitlines()] == ["key.created", "key.revoked"]
    assert forecastle("audit-log", "verify", "--exported", exported).exit_code == 0
    other.write_text(exported.read_text().replace('"sequence": 2', '"sequence": 3'))
    assert refused(forecastle("audit-log", "verify", "--exported", other), "event 3 of tenant 'acme' is missing")
    other.write_text('{"tenant": "acme"}\n')
    assert refused(forecastle("audit-log", "verify", "--exported", other), "line 1 is not an event", "export")
