import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.principal import SCOPES
from app.problems import Conflict, NotFound
from app.store import keys
from app.store.db import Database, now
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
        keys.revoke(session, acme, key_id, "cli")
    with database.read() as session:
        assert keys.authenticate(session, raw, NOON) is None
        revoked_at = keys.list_keys(session)[0].revoked_at
    with database.write() as session:
        keys.revoke(session, acme, key_id, "cli")
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
        keys.revoke(session, keys.find_tenant(session, "nightly"), "nightly", "cli")


def test_a_scope_is_one_of_five(database: Database) -> None:
    for scope in SCOPES:
        with database.write() as session:
            raw = keys.create_key(session, "acme", "nightly", scope)
            assert getattr(keys.authenticate(session, raw, NOON), "scope", None) == scope
    with pytest.raises(IntegrityError), database.write() as session:
        keys.create_key(session, "acme", "nightly", "root")  # type: ignore[arg-type]


def test_a_rotated_key_works_beside_its_successor_for_the_overlap_and_lives_as_long(database: Database) -> None:
    with database.write() as session:
        created_at, acme = now(session), keys.tenant_id(session, "acme")
        old = keys.create_key(session, "acme", "nightly", "read", created_at + timedelta(days=30))
        new = keys.rotate(session, acme, old[3:11], 60, "cli")
        assert (new.row.name, new.row.scope) == ("nightly", "read")
        assert new.row.expires_at is not None
        assert timedelta(days=30) <= new.row.expires_at - created_at < timedelta(days=30, minutes=5)
        ends_at = keys.get(session, acme, old[3:11]).expires_at
        assert ends_at is not None
        assert timedelta(seconds=60) <= ends_at - created_at < timedelta(minutes=5)
        for raw, works in ((old, False), (new.text, True)):
            assert (keys.authenticate(session, raw, ends_at) is not None) is works
            assert keys.authenticate(session, raw, ends_at - timedelta(seconds=1)) is not None


def test_a_rotation_does_not_prolong_a_key_and_needs_a_valid_one(database: Database) -> None:
    with database.write() as session:
        acme, soon = keys.tenant_id(session, "acme"), now(session) + timedelta(seconds=5)
        old = keys.create_key(session, "acme", "nightly", "read", soon)[3:11]
        keys.rotate(session, acme, old, 3600, "cli")
        assert keys.get(session, acme, old).expires_at == soon
        keys.revoke(session, acme, old, "cli")
        with pytest.raises(Conflict, match="revoked or has expired; create another one"):
            keys.rotate(session, acme, old, 3600, "cli")


def test_of_two_uses_the_later_one_is_kept(database: Database) -> None:
    with database.write() as session:
        key_id = keys.create_key(session, "acme", "nightly", "read")[3:11]
        for moment in (NOON, NOON + timedelta(minutes=1), NOON - timedelta(minutes=1)):
            keys.record_use(session, {key_id: moment, "gone": moment})
    with database.read() as session:
        assert keys.list_keys(session)[0].last_used_at == NOON + timedelta(minutes=1)


def test_of_two_operators_that_revoke_each_other_at_once_one_stays(database: Database) -> None:
    with database.write() as session:
        acme = keys.tenant_id(session, "acme")
        both = [keys.create_key(session, "acme", name, "operator")[3:11] for name in ("a", "b")]

    def revoke(key_id: str) -> bool:
        with suppress(Conflict), database.write() as session:
            keys.check_not_last_operator(session, keys.get(session, acme, key_id))
            keys.revoke(session, acme, key_id, "cli")
            return True
        return False

    assert sorted(at_once([partial(revoke, key_id) for key_id in both])) == [False, True]


def test_a_tenant_that_eight_threads_create_at_once_exists_once(database: Database) -> None:
    def create() -> int:
        with database.write() as session:
            return keys.tenant_id(session, "acme")

    assert len(set(at_once([partial(create)] * 8))) == 1
    with database.read() as session:
        assert session.scalars(select(func.count()).select_from(Tenant)).one() == 1
