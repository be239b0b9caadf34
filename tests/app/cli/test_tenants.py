"""``forecastle tenants``: the operator of the machine manages tenants without a key."""

import json

from tests.app.cli.conftest import Forecastle, Home, refused


def test_a_tenant_is_made_suspended_resumed_and_deleted(forecastle: Forecastle, home: Home) -> None:
    assert "forecastle keys create --tenant acme" in forecastle("tenants", "create", "acme").stderr
    assert refused(forecastle("tenants", "delete", "acme"), "tenant 'acme' is in use; suspend it first")
    assert forecastle("tenants", "suspend", "acme").exit_code == 0
    [row] = [row for row in json.loads(forecastle("tenants", "list", "--format", "json").stdout) if row["suspended_at"]]
    assert row["name"] == "acme"
    assert forecastle("tenants", "resume", "acme").exit_code == 0
    assert "acme,20" in forecastle("tenants", "list").stdout
    forecastle("tenants", "suspend", "acme")
    assert "is deleted" in forecastle("tenants", "delete", "acme").stderr
    assert "acme" not in forecastle("tenants", "list").stdout


def test_the_tenant_of_the_command_line_is_not_suspended(forecastle: Forecastle, home: Home) -> None:
    assert refused(forecastle("tenants", "suspend", "default"), "tenant 'default' is your own")
    assert refused(forecastle("tenants", "suspend", "never-was"), "no tenant 'never-was'")
