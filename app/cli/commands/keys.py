"""``forecastle keys``."""

import dataclasses
from datetime import UTC, datetime

from app.cli.commands.console import print_message, print_table, report_errors
from app.cli.commands.environment import open_database, read_settings
from app.principal import Scope
from app.store import keys


def create(name: str, scope: Scope, tenant: str, days: int | None, until: datetime | None) -> None:
    """Print a new key."""
    with report_errors(), open_database(read_settings()).write() as session:
        end = None if until is None else until.replace(tzinfo=UTC)
        expires_at = keys.expiry(session, end, None if days is None else 86_400 * days)
        key = keys.create_key(session, tenant, name, scope, expires_at)
    _print_once(key)


def rotate(key_id: str, overlap_s: float) -> None:
    """Print the successor of a key, which expires in ``overlap_s`` seconds."""
    with report_errors(), open_database(read_settings()).write() as session:
        owner = keys.find_tenant(session, key_id)
        issued = keys.rotate(session, owner, key_id, overlap_s, keys.OPERATOR)
    _print_once(issued.text)


def show(output: str) -> None:
    """Print all keys without their secrets."""
    with report_errors(), open_database(read_settings()).read() as session:
        rows = [dataclasses.asdict(key) for key in keys.list_keys(session)]
    print_table([field.name for field in dataclasses.fields(keys.KeyInfo)], rows, output)


def revoke(key_id: str) -> None:
    """Revoke a key."""
    with report_errors(), open_database(read_settings()).write() as session:
        keys.revoke(session, keys.find_tenant(session, key_id), key_id, keys.OPERATOR)
    print_message(f"key {key_id} is revoked")


def _print_once(key: str) -> None:
    print(key)
    print_message("keep it safe: it is not shown again")
