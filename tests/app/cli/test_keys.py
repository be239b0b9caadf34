"""``forecastle keys``: stdout has keys and nothing else."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

from app.store import keys
from app.store.db import now
from tests.app.cli.conftest import Forecastle, Home, refused


def whose(home: Home, raw: str) -> keys.KeyPrincipal | None:
    with home.database.read() as session:
        return keys.authenticate(session, raw, now(session))


def test_a_key_is_printed_once_and_works(forecastle: Forecastle, home: Home) -> None:
    result = forecastle("keys", "create", "--name", "laptop")
    assert result.exit_code == 0
    [raw] = result.stdout.splitlines()
    assert "not shown again" in result.stderr
    principal = whose(home, raw)
    assert principal is not None
    assert principal.scope == "write"
    listed = forecastle("keys", "list")
    assert raw.split("_")[2] not in listed.output


def test_a_key_may_read_only_belong_to_another_tenant_and_expire(forecastle: Forecastle, home: Home) -> None:
    raw = forecastle("keys", "create", "--name", "wall", "--scope", "read", "--tenant", "acme", "--days", 2).stdout
    principal = whose(home, raw.strip())
    assert principal is not None
    assert principal.scope == "read"
    [row] = json.loads(forecastle("keys", "list", "--format", "json").stdout)
    assert (row["tenant"], row["name"], row["scope"], row["revoked_at"]) == ("acme", "wall", "read", None)
    left = datetime.fromisoformat(row["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=1.9) < left < timedelta(days=2.1)


def test_a_key_may_expire_at_a_time_in_utc_that_has_not_passed(forecastle: Forecastle, home: Home) -> None:
    forecastle("keys", "create", "--name", "fair", "--scope", "forecast", "--until", "2100-01-02T03:04:05")
    [row] = json.loads(forecastle("keys", "list", "--format", "json").stdout)
    assert datetime.fromisoformat(row["expires_at"]) == datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)
    for words in (("2020-01-01",), ("2100-01-01", "--days", 2)):
        assert forecastle("keys", "create", "--name", "fair", "--until", *words).exit_code == 1


def test_a_rotated_key_has_a_successor_that_is_printed_once(forecastle: Forecastle, home: Home) -> None:
    old = forecastle("keys", "create", "--name", "laptop", "--scope", "admin").stdout.strip()
    result = forecastle("keys", "rotate", old.split("_")[1], "--overlap-s", 0)
    [new] = result.stdout.splitlines()
    assert "not shown again" in result.stderr
    assert whose(home, old) is None
    principal = whose(home, new)
    assert principal is not None
    assert principal.scope == "admin"
    assert refused(forecastle("keys", "rotate", old.split("_")[1]), "create another one")


def test_a_revoked_key_is_not_accepted(forecastle: Forecastle, home: Home) -> None:
    raw = forecastle("keys", "create", "--name", "lost").stdout.strip()
    result = forecastle("keys", "revoke", raw.split("_")[1])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "is revoked" in result.stderr
    assert whose(home, raw) is None
    assert forecastle("keys", "revoke", raw.split("_")[1]).exit_code == 0


def test_a_key_that_does_not_exist_cannot_be_revoked(forecastle: Forecastle, home: Home) -> None:
    assert refused(forecastle("keys", "revoke", "zzzzzzzz"), "no key 'zzzzzzzz'", "the 8 characters after 'fc_'")


def test_the_list_is_a_table_even_when_empty(forecastle: Forecastle, home: Home) -> None:
    header = "id,tenant,name,scope,created_at,expires_at,revoked_at,last_used_at\n"
    result = forecastle("keys", "list")
    assert (result.stdout, result.stderr) == (header, "")
    assert forecastle("keys", "list", "--format", "json").stdout == "[]\n"
    for name in ("a", 'b, "quoted"'):
        forecastle("keys", "create", "--name", name)
    result = forecastle("keys", "list")
    assert result.stdout.startswith(header)
    assert [row["name"] for row in csv.DictReader(io.StringIO(result.stdout))] == ["a", 'b, "quoted"']
