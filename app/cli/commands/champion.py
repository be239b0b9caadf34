"""Look-up of the champion of a model, for commands that do nothing if there is one."""

from app.cli.commands.console import print_message, report_errors
from app.cli.commands.environment import local_principal, open_database, read_settings
from app.store import registry


def exists(model: str) -> bool:
    """Return whether ``model`` has a champion, and say so if it has."""
    with report_errors():
        database = open_database(read_settings())
        tenant_id = local_principal(database).tenant_id
        with database.read() as session:
            champion = registry.champion(session, tenant_id, model)
    if champion is not None:
        print_message(f"model {model} exists already")
    return champion is not None
