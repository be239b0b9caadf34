"""``forecastle tenants``."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter

from app.cli.commands.console import print_message, print_table, report_errors
from app.cli.commands.environment import local_principal, open_database, read_settings
from app.cli.commands.output_file import new_output
from app.principal import Principal
from app.store import tenant_deletion, tenants
from app.store.db import Database
from app.store.tables import Tenant
from app.tenant_export import export_tenant

COLUMNS = ("name", "created_at", "suspended_at", "deletion_began_at")
PAGE_SIZE = 1_000


def show(output: str) -> None:
    """Print all tenants."""
    rows = list[Tenant]()
    with report_errors(), open_database(read_settings()).read() as session:
        while page := tenants.list_page(session, rows[-1].id if rows else 0, PAGE_SIZE):
            rows += page
    print_table(COLUMNS, [dict(zip(COLUMNS, attrgetter(*COLUMNS)(row), strict=True)) for row in rows], output)


def create(name: str) -> None:
    """Create a tenant."""
    with _operator() as (database, caller), database.write() as session:
        tenants.create(session, name, caller)
    print_message(f"tenant {name} is created; give it a key: forecastle keys create --tenant {name}")


def suspend(name: str) -> None:
    """Suspend a tenant."""
    with _operator() as (database, caller), database.write() as session:
        tenants.suspend(session, name, caller)
    print_message(f"tenant {name} is suspended")


def resume(name: str) -> None:
    """End the suspension of a tenant."""
    with _operator() as (database, caller), database.write() as session:
        tenants.resume(session, name, caller)
    print_message(f"tenant {name} is resumed")


def export(name: str, file: str) -> None:
    """Write the archive of a tenant to a file, or to standard output."""
    with report_errors():
        database = open_database(read_settings())
        with new_output(file) as out:
            for piece in export_tenant(database, name):
                out.write(piece)
    print_message(f"tenant {name} is exported")


def delete(name: str) -> None:
    """Delete a suspended tenant."""
    with _operator() as (database, caller):
        with database.write() as session:
            tenant_deletion.stop_jobs(session, name, caller)
        is_done = False
        while not is_done:
            with database.write() as session:
                is_done = tenant_deletion.delete_some(session, name, caller)
    print_message(f"tenant {name} is deleted")


@contextmanager
def _operator() -> Iterator[tuple[Database, Principal]]:
    """Return the database and the principal of the command line, and report errors as those of the command."""
    with report_errors():
        database = open_database(read_settings())
        yield database, local_principal(database)
