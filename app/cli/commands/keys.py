"""``forecastle keys``."""

import dataclasses
import json
from datetime import timedelta

from app.cli.commands.console import print_message, print_table, report_errors
from app.cli.commands.environment import open_database, read_settings
from app.store import audit_log, keys
from app.store.db import now
from app.store.tables import Scope


def create(name: str, scope: Scope, tenant: str, days: int | None) -> None:
    """Print a new key."""
    with report_errors(), open_database(read_settings()).write() as session:
        expires_at = None if days is None else now(session) + timedelta(days=days)
        key = keys.create_key(session, tenant, name, scope, expires_at)
    print(key)
    print_message("keep it safe: it is not shown again")


def show(output: str) -> None:
    """Print all keys without their secrets."""
    with report_errors(), open_database(read_settings()).read() as session:
        rows = [dataclasses.asdict(key) for key in keys.list_keys(session)]
    print_table([field.name for field in dataclasses.fields(keys.KeyInfo)], rows, output)


def show_events(limit: int, output: str) -> None:
    """Print the newest events of the audit log."""
    with report_errors(), open_database(read_settings()).read() as session:
        rows = [dataclasses.asdict(event) for event in audit_log.newest(session, limit)]
    if output == "csv":
        rows = [{**row, "detail": json.dumps(row["detail"])} for row in rows]
    print_table([field.name for field in dataclasses.fields(audit_log.EventInfo)], rows, output)


def revoke(key_id: str) -> None:
    """Revoke a key."""
    with report_errors(), open_database(read_settings()).write() as session:
        keys.revoke_key(session, key_id)
    print_message(f"key {key_id} is revoked")
