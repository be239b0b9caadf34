"""``forecastle models`` and ``forecastle jobs delete``: the same deletion as over HTTP."""

import pytest

from app.problems import NotFound
from app.store import jobs, registry
from tests.app.cli.conftest import Forecastle, Home, refused
from tests.app.work.small_jobs import crown, keep, queue, weeks


def test_a_version_is_archived_restored_and_deleted(forecastle: Forecastle, home: Home) -> None:
    database = home.database
    crown(database, keep(database, weeks()))
    version = ["models", "delete", "demand", "--version", 1]
    assert refused(forecastle(*version), "alias 'champion' points at version 1", "delete it")
    assert (
        "alias champion of demand is deleted" in forecastle("models", "delete", "demand", "--alias", "champion").stderr
    )
    assert refused(forecastle(*version, "--purge"), "archive it first")
    assert "version 1 of demand is archived" in forecastle(*version).stderr
    assert "is in use again" in forecastle("models", "restore", "demand", "--version", 1).stderr
    for _ in range(2):
        assert forecastle(*version).exit_code == 0
    assert "version 1 of demand is deleted" in forecastle(*version, "--purge").stderr
    assert "demand is archived" in forecastle("models", "delete", "demand").stderr
    assert refused(forecastle("models", "delete", "demand", "--alias", "a", "--purge"), "--alias stands alone")
    with database.read() as session, pytest.raises(NotFound, match="was deleted on"):
        registry.resolve(session, 1, "demand", 1, None)
    database.dispose()


def test_a_job_is_deleted_once_it_has_ended(forecastle: Forecastle, home: Home) -> None:
    database = home.database
    job = queue(database, keep(database, weeks()))
    assert refused(forecastle("jobs", "delete", job.id), "has not ended")
    assert forecastle("jobs", "cancel", job.id).exit_code == 0
    assert "is deleted" in forecastle("jobs", "delete", job.id).stderr
    with database.read() as session, pytest.raises(NotFound):
        jobs.get(session, job.tenant_id, job.id)
    database.dispose()
