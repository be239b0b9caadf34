"""The quotas in memory: read from the database in the background, and never waited for."""

from collections.abc import Mapping

import pytest

from app.problems import Unavailable
from app.rates import Rate
from app.serving.quota_book import QuotaBook

Overrides = dict[int, Mapping[str, str]]


class Table:
    """The overrides in a database that can be down."""

    def __init__(self) -> None:
        self.rows: Overrides = {}
        self.is_down, self.read = False, 0

    def __call__(self) -> Overrides:
        self.read += 1
        if self.is_down:
            raise Unavailable("the database does not answer")
        return dict(self.rows)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def rates(book: QuotaBook, tenant_id: int) -> dict[str, Rate]:
    """The rates that count for a tenant once the query that this has begun has ended."""
    book.policies(tenant_id)
    book.close()
    return {policy.name: policy.rate for policy in book.policies(tenant_id).items}


def test_an_override_replaces_one_setting_of_one_tenant_within_a_second() -> None:
    table, clock = Table(), Clock()
    book = QuotaBook({"tenant_requests": "9/s", "key_series": "5/s"}, table, clock)
    assert rates(book, 1) == {"tenant-requests": Rate(9, 1), "key-series": Rate(5, 1)}
    table.rows[1] = {"tenant_requests": "2/min"}
    assert rates(book, 1)["tenant-requests"] == Rate(9, 1)  # read a moment ago
    clock.now_s = 1.0
    assert rates(book, 1) == {"tenant-requests": Rate(2, 60), "key-series": Rate(5, 1)}
    assert rates(book, 2)["tenant-requests"] == Rate(9, 1)
    table.rows[1] = {"key_series": ""}  # no limit at all
    clock.now_s = 2.0
    assert rates(book, 1) == {"tenant-requests": Rate(9, 1)}
    assert table.read == 3


def test_a_database_that_does_not_answer_leaves_the_quotas_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    table, clock = Table(), Clock()
    book = QuotaBook({"tenant_requests": ""}, table, clock)
    table.rows[1] = {"tenant_requests": "2/s"}
    assert rates(book, 1) == {"tenant-requests": Rate(2, 1)}
    table.is_down, clock.now_s = True, 5.0
    assert rates(book, 1) == {"tenant-requests": Rate(2, 1)}
    assert "the quotas of tenants cannot be read" in caplog.text
