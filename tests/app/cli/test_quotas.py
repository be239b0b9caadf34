"""``forecastle quotas``."""

import json

from tests.app.cli.conftest import Forecastle, Home, refused


def test_a_quota_is_set_listed_and_reset(forecastle: Forecastle, home: Home) -> None:
    forecastle("keys", "create", "--name", "k", "--tenant", "acme")
    result = forecastle("quotas", "set", "acme", "tenant_requests", "600/min")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "tenant_requests of acme is now 600/min" in result.stderr
    [row] = json.loads(forecastle("quotas", "list", "--tenant", "acme", "--format", "json").stdout)
    assert (row["tenant"], row["name"], row["value"]) == ("acme", "tenant_requests", "600/min")
    assert "is now that of the settings" in forecastle("quotas", "reset", "acme", "tenant_requests").stderr
    assert forecastle("quotas", "list").stdout == "tenant,name,value,changed_at\n"


def test_a_wrong_quota_is_refused_in_words(forecastle: Forecastle, home: Home) -> None:
    assert refused(forecastle("quotas", "set", "nobody", "tenant_requests", "1/s"), "no tenant 'nobody'")
    assert refused(forecastle("quotas", "set", "default", "requests", "1/s"), "no quota 'requests'")
    assert refused(forecastle("quotas", "set", "default", "tenant_requests", "many"), "a rate such as 600/min")
