"""``forecastle usage``."""

from datetime import UTC, datetime, timedelta

from app.cli.commands.console import print_table, report_errors
from app.cli.commands.environment import open_database, read_settings
from app.schemas.usage import UsageOfDay
from app.store import tenants, usage


def show(tenant: str, days: int, output: str) -> None:
    """Print the use of a tenant on the last ``days`` days."""
    last = datetime.now(UTC).date()
    with report_errors(), open_database(read_settings()).read() as session:
        rows = usage.list_days(session, tenants.get(session, tenant).id, last - timedelta(days=days - 1), last)
        items = [UsageOfDay.model_validate(row).model_dump() for row in rows]
    print_table(list(UsageOfDay.model_fields), items, output)
