import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.problems import Conflict, NotFound
from app.store import jobs, keys, tenant_deletion, tenants
from app.store.db import Database
from app.store.keys import KeyPrincipal
from app.store.tables import AuditEvent, Job, Revision
from tests.app.store.conftest import new_job
from tests.app.store.rows import count_rows, fill_tables, tables_without_owner


@pytest.fixture
def operator(database: Database) -> KeyPrincipal:
    """The caller, in a tenant of his own."""
    with database.write() as session:
        return KeyPrincipal(keys.tenant_id(session, "office"), "a1b2c3d4", "operator")


def delete(database: Database, name: str, operator: KeyPrincipal, size: int = 1_000) -> int:
    """Delete a tenant; return the number of transactions."""
    for count in range(1, 1_000):
        with database.write() as session:
            if tenant_deletion.delete_some(session, name, operator, size):
                return count
    raise AssertionError("the deletion does not end")


def test_nothing_of_a_deleted_tenant_is_left_and_nothing_of_another_is_touched(
    database: Database, acme: int, rival: int, operator: KeyPrincipal
) -> None:
    with database.write() as session:
        for tenant in (acme, rival):
            fill_tables(session, tenant)
        tenants.suspend(session, "acme", operator)
        before = count_rows(session, rival)
        assert min(count_rows(session, acme).values()) >= 1
        assert len(before) >= 20
    assert delete(database, "acme", operator, size=5) > 4
    with database.read() as session:
        assert set(count_rows(session, acme).values()) == {0}
        assert count_rows(session, rival) == before
        with pytest.raises(NotFound, match="no tenant 'acme'; list the tenants"):
            tenants.get(session, "acme")
        [event] = session.query(AuditEvent).filter(AuditEvent.action == "tenant.deleted").all()
    assert (event.tenant_id, event.actor, event.subject) == (operator.tenant_id, "a1b2c3d4", "acme")


def test_every_table_but_these_has_rows_of_tenants() -> None:
    assert tables_without_owner() <= {"tenants", "resources", "pulses"}


def test_the_next_tenant_does_not_get_the_id_of_the_deleted_one(
    database: Database, operator: KeyPrincipal, acme: int
) -> None:
    with database.write() as session:
        tenants.suspend(session, "acme", operator)
    delete(database, "acme", operator)
    with database.write() as session:
        assert tenants.create(session, "acme", operator).id > acme


def test_a_tenant_in_use_and_the_callers_own_are_not_deleted(database: Database, operator: KeyPrincipal) -> None:
    with database.write() as session:
        keys.tenant_id(session, "acme")
    with pytest.raises(Conflict, match="tenant 'acme' is in use; suspend it first"):
        delete(database, "acme", operator)
    for change in (tenants.suspend, tenants.resume, tenant_deletion.delete_some, tenant_deletion.stop_jobs):
        with pytest.raises(Conflict, match="tenant 'office' is your own"), database.write() as session:
            change(session, "office", operator)


def test_a_deletion_that_has_begun_cannot_be_undone_and_goes_on(
    database: Database, acme: int, operator: KeyPrincipal
) -> None:
    with database.write() as session:
        fill_tables(session, acme)
        tenants.suspend(session, "acme", operator)
    with database.write() as session:
        assert not tenant_deletion.delete_some(session, "acme", operator, 3)
    with pytest.raises(Conflict, match="partly deleted; delete it again"), database.write() as session:
        tenants.resume(session, "acme", operator)
    delete(database, "acme", operator)


def start(session: Session, job: Job) -> None:
    session.execute(update(Job).where(Job.id == job.id).values(state="running", token=1))


def test_running_jobs_are_cancelled_first_and_the_deletion_waits_for_them(
    database: Database, sales: Revision, operator: KeyPrincipal
) -> None:
    with database.write() as session:
        job = jobs.enqueue(session, new_job(sales))
        start(session, job)
        tenants.suspend(session, "acme", operator)
    with database.write() as session:
        assert tenant_deletion.stop_jobs(session, "acme", operator) == 1
        assert jobs.get(session, sales.tenant_id, job.id).cancel_requested
    with pytest.raises(Conflict, match="1 jobs of tenant 'acme' are being cancelled"):
        delete(database, "acme", operator)
