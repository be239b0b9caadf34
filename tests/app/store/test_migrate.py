import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.store import datasets, jobs, registry
from app.store.db import HEAD, Database
from app.store.migrate import config, migrate
from app.store.schema import find_mismatch
from app.store.tables import Base, JobEvent
from tests.app.store.conftest import at_once


def test_the_migrations_make_the_tables_that_the_program_was_written_for(database: Database) -> None:
    with database.read() as session:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(session.connection(), opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_every_constraint_is_as_in_the_tables(database: Database) -> None:
    # compare_metadata does not look at CHECK constraints and names; this does.
    with database.write() as session:
        migrated = constraints(session.connection())
        Base.metadata.drop_all(session.connection())
        Base.metadata.create_all(session.connection())
        assert constraints(session.connection()) == migrated
    assert "ck_jobs_state" in str(migrated["jobs check_constraints"])


def constraints(connection: Connection) -> dict[str, Any]:
    inspector = inspect(connection)
    kinds = ("check_constraints", "foreign_keys", "indexes", "pk_constraint", "unique_constraints")
    found = {kind: getattr(inspector, f"get_{kind}") for kind in kinds}
    return {
        f"{table} {kind}": sorted(map(str, rows)) if isinstance(rows := get(table), list) else rows
        for table in inspector.get_table_names()
        for kind, get in found.items()
    }


def test_migrating_makes_the_folder_and_twice_is_harmless(empty_url: str) -> None:
    migrate(empty_url)
    migrate(empty_url)
    database = Database(empty_url)
    assert find_mismatch(database) is None
    database.dispose()


def test_four_processes_that_migrate_at_once_do_not_hurt_each_other(empty_url: str) -> None:
    assert at_once([partial(migrate, empty_url)] * 4) == [None] * 4
    database = Database(empty_url)
    assert find_mismatch(database) is None
    database.dispose()


def test_a_database_without_tables_is_not_ready(empty_url: str, tmp_path: Any) -> None:
    (tmp_path / "empty").mkdir()
    database = Database(empty_url)
    assert find_mismatch(database) is not None
    database.dispose()


def test_the_newest_script_is_the_one_the_program_expects(database: Database) -> None:
    with database.write() as session:
        scripts = ScriptDirectory.from_config(config(session.connection()))
    assert scripts.get_current_head() == HEAD


def test_downgrading_takes_every_table_away(database: Database) -> None:
    with database.write() as session:
        command.downgrade(config(session.connection()), "base")
        assert inspect(session.connection()).get_table_names() == ["alembic_version"]
    assert find_mismatch(database) is not None


def test_revisions_of_the_first_schema_have_nothing_missing_and_no_covariates(empty_url: str, tmp_path: Any) -> None:
    (tmp_path / "empty").mkdir(exist_ok=True)
    database = Database(empty_url)
    with database.write() as session:
        command.upgrade(config(session.connection()), "0001")
        for statement in (
            "INSERT INTO tenants (id, name, created_at) VALUES (7, 'acme', '2026-01-01')",
            "INSERT INTO datasets (id, name, freq, created_at, tenant_id) VALUES (3, 'sales', 'D', '2026-01-01', 7)",
            "INSERT INTO revisions (dataset_id, number, sha256, rows_added, rows_total, series_total, first_ds,"
            " last_ds, chunk, created_by, created_at, tenant_id)"
            " VALUES (3, 1, '5a1e5', 3, 3, 1, '2026', '2026', '', 'cli', '2026-01-01', 7)",
        ):
            session.execute(text(statement))
    migrate(empty_url)
    with database.read() as session:
        found = datasets.revision(session, 7, "sales")
        assert (found.rows_total, found.missing_total, found.covariates) == (3, 0, [])
    database.dispose()


def test_a_serving_process_does_not_load_alembic() -> None:
    program = "import sys; from app.store import datasets, jobs, keys, registry; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


ROWS_OF_0005 = (
    "INSERT INTO tenants (id, name, created_at) VALUES (7, 'acme', '2026-01-01')",
    "INSERT INTO datasets (id, name, freq, created_at, tenant_id) VALUES (3, 'sales', 'D', '2026-01-01', 7)",
    "INSERT INTO revisions (id, dataset_id, number, sha256, rows_added, rows_total, series_total, first_ds, last_ds,"
    " chunk, created_by, created_at, tenant_id)"
    " VALUES (5, 3, 1, '5a1e5', 3, 3, 1, '2026', '2026', '', 'cli', '2026-01-01', 7)",
    "INSERT INTO jobs (id, kind, model, revision_id, request, state, attempt, max_attempts, token, cancel_requested,"
    " progress, created_by, created_at, tenant_id)"
    " VALUES ('j1', 'train', 'demand', 5, '{}', 'succeeded', 1, 3, 1, FALSE, '{}', 'cli', '2026-01-01', 7)",
    "INSERT INTO job_events (job_id, kind, data, at) VALUES ('j1', 'state', '{}', '2026-01-01')",
    "INSERT INTO models (id, name, created_at, tenant_id) VALUES (2, 'demand', '2026-01-01', 7)",
    "INSERT INTO versions (id, model_id, number, bundle, sha256, size_bytes, spec, scores, revision_id, data_sha256,"
    " job_id, created_by, created_at, tenant_id)"
    " VALUES (4, 2, 1, 'abc', 'ba78', 3, '{}', '{}', 5, '5a1e5', 'j1', 'cli', '2026-01-01', 7)",
    "INSERT INTO aliases (model_id, name, version_id, moved_at, tenant_id) VALUES (2, 'champion', 4, '2026-01-01', 7)",
)
IMPORTED = (
    "INSERT INTO jobs (id, kind, model, request, state, attempt, max_attempts, token, cancel_requested, progress,"
    " created_by, created_at, tenant_id)"
    " VALUES ('j2', 'import', 'demand', '{}', 'succeeded', 1, 3, 1, FALSE, '{}', 'cli', '2026-01-01', 7)",
    "INSERT INTO job_events (job_id, kind, data, at) VALUES ('j2', 'state', '{}', '2026-01-01')",
    "INSERT INTO versions (id, model_id, number, bundle, sha256, size_bytes, spec, scores, job_id, origin,"
    " created_by, created_at, tenant_id)"
    " VALUES (6, 2, 2, 'abc', 'ba78', 3, '{}', '{}', 'j2', 'import', 'cli', '2026-01-01', 7)",
    "INSERT INTO aliases (model_id, name, version_id, moved_at, tenant_id) VALUES (2, 'next', 6, '2026-01-01', 7)",
)


def run(session: Session, statements: Sequence[str]) -> None:
    # A colon in a literal would read as a parameter.
    for statement in statements:
        session.connection().exec_driver_sql(statement)


def test_versions_and_jobs_of_before_imports_are_kept_as_the_work_of_jobs(empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(exist_ok=True)
    database = Database(empty_url)
    with database.write() as session:
        command.upgrade(config(session.connection()), "0005")
        run(session, ROWS_OF_0005)
    migrate(empty_url)
    with database.read() as session:
        version = registry.resolve(session, 7, "demand", None, None)
        assert (version.id, version.job_id, version.revision_id, version.origin) == (4, "j1", 5, "job")
        assert session.scalars(select(JobEvent.job_id)).all() == ["j1"]
        job = jobs.get(session, 7, "j1")
        assert (job.kind, job.model, job.revision_id, job.resource) == ("train", "demand", 5, "cpu")
    # The tables that point at the rebuilt ones still do.
    with pytest.raises(IntegrityError), database.write() as session:
        run(session, ["INSERT INTO job_events (job_id, kind, data, at) VALUES ('j9', 'state', '{}', '2026-01-01')"])
    database.dispose()


def test_going_back_to_before_imports_deletes_only_what_that_schema_cannot_hold(empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(exist_ok=True)
    database = Database(empty_url, foreign_keys=False)
    with database.write() as session:
        command.upgrade(config(session.connection()), "head")
        run(session, [*ROWS_OF_0005, *IMPORTED])
        command.downgrade(config(session.connection()), "0005")
        left = {
            table: session.scalars(text(f"SELECT {column} FROM {table}")).all()  # noqa: S608
            for table, column in {"jobs": "id", "versions": "id", "aliases": "name", "job_events": "job_id"}.items()
        }
    assert left == {"jobs": ["j1"], "versions": [4], "aliases": ["champion"], "job_events": ["j1"]}
    database.dispose()
    migrate(empty_url)


@pytest.mark.parametrize("column", ["job_id", "revision_id", "data_sha256"])
def test_only_an_import_may_be_without_a_job_and_data(empty_url: str, tmp_path: Path, column: str) -> None:
    (tmp_path / "empty").mkdir(exist_ok=True)
    migrate(empty_url)
    database = Database(empty_url)
    with database.write() as session:
        run(session, ROWS_OF_0005)
        run(session, [f"UPDATE versions SET origin = 'import', {column} = NULL"])  # noqa: S608
    with pytest.raises(IntegrityError, match="ck_versions_lineage"), database.write() as session:
        run(session, ["UPDATE versions SET origin = 'job'"])
    with pytest.raises(IntegrityError, match="ck_versions_origin"), database.write() as session:
        run(session, ["UPDATE versions SET origin = 'gift'"])
    database.dispose()
