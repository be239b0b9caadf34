"""``forecastle models`` and ``forecastle jobs delete``: archive, delete and restore."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from app.cli.commands.console import exit_with_error, print_message, report_errors
from app.cli.commands.environment import ACTOR, local_principal, open_database, read_settings
from app.store import deletion


def delete(model: str, number: int | None, alias: str | None, purge: bool) -> None:
    """Archive a model or a version, with ``purge`` delete it; or delete an alias."""
    if alias is not None and (number is not None or purge):
        exit_with_error("--alias stands alone: an alias is deleted at once")
    with _writing() as (session, tenant_id):
        if alias is not None:
            deletion.delete_alias(session, tenant_id, model, alias, ACTOR)
        elif number is not None:
            of_version = deletion.purge_version if purge else deletion.archive_version
            of_version(session, tenant_id, model, number, ACTOR)
        else:
            of_model = deletion.purge_model if purge else deletion.archive_model
            of_model(session, tenant_id, model, ACTOR)
    thing = f"alias {alias} of {model}" if alias else model if number is None else f"version {number} of {model}"
    print_message(f"{thing} is {'deleted' if alias or purge else 'archived; --purge deletes its bytes'}")


def restore(model: str, number: int) -> None:
    """Take an archived version back into use."""
    with _writing() as (session, tenant_id):
        deletion.restore_version(session, tenant_id, model, number, ACTOR)
    print_message(f"version {number} of {model} is in use again")


def delete_job(job_id: str) -> None:
    """Delete a job that has ended."""
    with _writing() as (session, tenant_id):
        deletion.delete_job(session, tenant_id, job_id, ACTOR)
    print_message(f"job {job_id} is deleted")


@contextmanager
def _writing() -> Iterator[tuple[Session, int]]:
    """Open a transaction for the local tenant, and report the errors inside of it as those of the command."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.write() as session:
            yield session, tenant_id
