"""Quotas that an operator sets for single tenants."""

import pytest

from app.problems import NotFound
from app.store import audit_log, quotas
from app.store.db import Database
from models.errors import InputError


def test_a_quota_is_set_changed_and_reset_for_one_tenant(database: Database, acme: int, rival: int) -> None:
    with database.write() as session:
        quotas.set_quota(session, "acme", "tenant_requests", "600/min", "cli")
        quotas.set_quota(session, "acme", "tenant_requests", "20/s", "cli")
        quotas.set_quota(session, "acme", "key_points", "", "cli")
        quotas.set_quota(session, "rival", "tenant_requests", "1/d", "cli")
    with database.read() as session:
        assert quotas.overrides(session) == {
            acme: {"tenant_requests": "20/s", "key_points": ""},
            rival: {"tenant_requests": "1/d"},
        }
        listed = [(row.tenant, row.name, row.value) for row in quotas.list_quotas(session, "acme")]
        assert listed == [("acme", "key_points", ""), ("acme", "tenant_requests", "20/s")]
        assert len(quotas.list_quotas(session)) == 3
    with database.write() as session:
        for _ in range(2):  # the second time it is reset already
            quotas.reset_quota(session, "acme", "tenant_requests", "cli")
    with database.read() as session:
        assert quotas.overrides(session)[acme] == {"key_points": ""}
        newest = audit_log.newest(session, 9)
    assert [(event.action, event.subject) for event in newest[:2]] == [
        ("quota.reset", "tenant_requests"),
        ("quota.set", "tenant_requests"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "code", "hint"),
    [
        ("tenant_request", "1/s", "unknown_quota", "did you mean tenant_requests?"),
        ("zzz", "1/s", "unknown_quota", "the quotas are tenant_requests, "),
        ("tenant_requests", "600", "bad_quota", "give a rate such as 600/min"),
    ],
)
def test_an_unknown_quota_and_a_wrong_value_are_refused_with_the_remedy(
    database: Database, acme: int, name: str, value: str, code: str, hint: str
) -> None:
    with database.write() as session, pytest.raises(InputError) as caught:
        quotas.set_quota(session, "acme", name, value, "cli")
    assert caught.value.faults[0].code == code
    assert hint in caught.value.faults[0].hint


def test_a_tenant_that_does_not_exist_is_not_created(database: Database) -> None:
    with database.write() as session, pytest.raises(NotFound, match="no tenant 'nobody'"):
        quotas.set_quota(session, "nobody", "tenant_requests", "1/s", "cli")
