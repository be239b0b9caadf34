"""Counts of what tenants use, written in batches."""

from collections.abc import Mapping

import pytest

from app.problems import Unavailable
from app.serving.usage_meter import UsageMeter


class Table:
    """What was written, by a database that can be down."""

    def __init__(self) -> None:
        self.written: list[dict[int, dict[str, float]]] = []
        self.is_down = False

    def __call__(self, used: Mapping[int, Mapping[str, float]]) -> None:
        if self.is_down:
            raise Unavailable("the database does not answer")
        self.written.append({tenant: dict(amounts) for tenant, amounts in used.items()})


def test_many_requests_are_one_write() -> None:
    table = Table()
    meter = UsageMeter(table, write_every_s=3_600)
    for _ in range(3):
        meter.add(1, {"requests": 1})
    meter.add(1, {"series": 2, "points": 24})
    meter.add(2, {"requests": 1})
    assert table.written == []
    meter.close()  # as when the service stops
    assert table.written == [{1: {"requests": 3, "series": 2, "points": 24}, 2: {"requests": 1}}]


def test_what_could_not_be_written_is_in_the_next_write(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    meter = UsageMeter(table, write_every_s=3_600)
    table.is_down = True
    meter.add(1, {"requests": 2})
    meter.flush()
    assert "the use of 1 tenants was not stored" in caplog.text
    table.is_down = False
    meter.add(1, {"requests": 1})
    meter.flush()
    meter.flush()
    assert table.written == [{1: {"requests": 3}}]
    meter.close()
