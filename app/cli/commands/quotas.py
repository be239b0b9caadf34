"""``forecastle quotas``."""

import dataclasses

from app.cli.commands.console import print_message, print_table, report_errors
from app.cli.commands.environment import ACTOR, open_database, read_settings
from app.store import quotas


def set_one(tenant: str, name: str, value: str) -> None:
    """Set a quota of a tenant."""
    with report_errors(), open_database(read_settings()).write() as session:
        quotas.set_quota(session, tenant, name, value, ACTOR)
    print_message(f"{name} of {tenant} is now {value or 'without a limit'}")


def reset(tenant: str, name: str) -> None:
    """Let the setting count for a tenant again."""
    with report_errors(), open_database(read_settings()).write() as session:
        quotas.reset_quota(session, tenant, name, ACTOR)
    print_message(f"{name} of {tenant} is now that of the settings")


def show(tenant: str | None, output: str) -> None:
    """Print the quotas that were set for tenants."""
    with report_errors(), open_database(read_settings()).read() as session:
        rows = [dataclasses.asdict(quota) for quota in quotas.list_quotas(session, tenant)]
    print_table([field.name for field in dataclasses.fields(quotas.QuotaInfo)], rows, output)
