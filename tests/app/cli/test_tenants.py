"""``forecastle tenants``: the operator of the machine manages tenants without a key."""

import json
import zipfile

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


def test_an_export_is_a_file_for_its_owner_alone(forecastle: Forecastle, home: Home) -> None:
    forecastle("tenants", "create", "acme")
    file = home.folder / "acme.zip"
    assert "is exported" in forecastle("tenants", "export", "acme", file).stderr
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        assert json.loads(archive.read("manifest.json"))["tenant"] == "acme"
    assert refused(forecastle("tenants", "export", "never-was", file), "no tenant 'never-was'")
    assert zipfile.is_zipfile(file)  # the earlier one
