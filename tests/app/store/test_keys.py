import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.problems import NotFound
from app.store import keys
from app.store.db import Database
from app.store.keys import KeyPrincipal
from app.store.tables import ApiKey, Tenant
from tests.app.store.conftest import at_once

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_a_key_lives_from_its_creation_to_its_revocation(database: Database) -> None:
    with database.write() as session:
        raw = keys.create_key(session, "acme", "nightly", "read")
    key_id = raw[3:11]
    with database.read() as session:
        acme = keys.tenant_id(session, "acme")
        assert keys.authenticate(session, raw, NOON) == KeyPrincipal(acme, key_id, "read")
        assert [(key.id, key.tenant, key.name, key.scope) for key in keys.list_keys(session)] == [
            (key_id, "acme", "nightly", "read")
        ]
    with database.write() as session:
        keys.revoke_key(session, key_id)
    with database.read() as session:
        assert keys.authenticate(session, raw, NOON) is None
        revoked_at = keys.list_keys(session)[0].revoked_at
    with database.write() as session:
        keys.revoke_key(session, key_id)
        assert keys.list_keys(session)[0].revoked_at == revoked_at


def test_a_key_looks_as_documented(database: Database) -> None:
    with database.write() as session:
        assert re.fullmatch(r"fc_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", keys.create_key(session, "acme", "nightly", "write"))


def test_the_secret_is_nowhere_in_the_database(database: Database) -> None:
    with database.write() as session:
        secret = keys.create_key(session, "acme", "nightly", "write")[12:]
    with database.read() as session:
        rows = [tuple(row) for table in (ApiKey, Tenant) for row in session.execute(select(table.__table__))]
    assert "nightly" in str(rows)
    assert secret not in str(rows)
    if database.url.get_backend_name() == "sqlite":
        files = list(Path(str(database.url.database)).parent.glob("forecastle.db*"))
        assert any(b"nightly" in file.read_bytes() for file in files)
        assert not any(secret.encode() in file.read_bytes() for file in files)


def test_a_key_is_good_until_the_moment_it_expires(database: Database) -> None:
    with database.write() as session:
        raw = keys.create_key(session, "acme", "nightly", "read", expires_at=NOON)
    with database.read() as session:
        assert keys.authenticate(session, raw, NOON - timedelta(microseconds=1)) is not None
        assert keys.authenticate(session, raw, NOON) is None


def test_a_wrong_secret_or_an_unknown_id_is_nobody(database: Database) -> None:
    with database.write() as session:
        raw = keys.create_key(session, "acme", "nightly", "read")
        other = keys.create_key(session, "acme", "daily", "read")
    with database.read() as session:
        assert keys.authenticate(session, raw[:12] + other[12:], NOON) is None
        assert keys.authenticate(session, "fc_zzzzzzzz" + raw[11:], NOON) is None


@pytest.mark.parametrize(
    "raw", ["", "fc_", "Bearer x", f"fc_abcdefgh_{'s' * 42}", f"fc_abcdefgh_{'s' * 43}\n", "é" * 99]
)
def test_a_malformed_key_is_nobody_without_a_query(raw: str) -> None:
    with Session() as without_database:
        assert keys.authenticate(without_database, raw, NOON) is None


def test_keys_are_listed_for_one_tenant_or_for_all(database: Database) -> None:
    with database.write() as session:
        keys.create_key(session, "acme", "nightly", "read")
        keys.create_key(session, "rival", "spy", "write")
        assert [key.name for key in keys.list_keys(session, "rival")] == ["spy"]
        assert {key.name for key in keys.list_keys(session)} == {"nightly", "spy"}


def test_revoking_an_unknown_key_says_what_to_give(database: Database) -> None:
    with pytest.raises(NotFound, match="no key 'nightly'; give the 8 characters"), database.write() as session:
        keys.revoke_key(session, "nightly")


def test_a_scope_is_read_or_write(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        keys.create_key(session, "acme", "nightly", "admin")  # type: ignore[arg-type]


def test_a_tenant_that_eight_threads_create_at_once_exists_once(database: Database) -> None:
    def create() -> int:
        with database.write() as session:
            return keys.tenant_id(session, "acme")

    assert len(set(at_once([partial(create)] * 8))) == 1
    with database.read() as session:
        assert session.scalars(select(func.count()).select_from(Tenant)).one() == 1
