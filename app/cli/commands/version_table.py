"""A registered version and the table on which a command uses it."""

from typing import NamedTuple

from app.cli.commands.environment import local_principal, open_database, read_settings
from app.cli.commands.tables import load_table
from app.cli.grammar import TableSource, VersionChoice
from app.settings import Settings
from app.store import registry
from app.store.db import Database
from app.store.tables import Version
from models.data.frequency_choice import PreferredFreq
from models.data.panel import Panel
from models.network.spec import Spec


class VersionTable(NamedTuple):
    """A version of the tenant ``tenant_id`` and a table, with the settings and the database."""

    settings: Settings
    database: Database
    tenant_id: int
    panel: Panel
    version: Version


def open_version_and_table(source: TableSource, choice: VersionChoice) -> VersionTable:
    """Return the version and the table, which is read at the frequency of the version unless it names its own.

    Raises:
        NotFound, InputError: there is none, or it cannot be used.
    """
    settings = read_settings()
    database = open_database(settings)
    tenant_id = local_principal(database).tenant_id
    with database.read() as session:
        version = registry.resolve(session, tenant_id, choice.model, choice.number, None)
    freq = source.freq or PreferredFreq(Spec.from_json(version.spec).freq)
    panel = load_table(database, tenant_id, source, freq, settings.max_rows).panel
    return VersionTable(settings, database, tenant_id, panel, version)
