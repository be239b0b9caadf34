"""Memory of bodies: it is known before they are parsed, and bounded for a request, a tenant and the process."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from app.edge import body_budget
from app.edge.body_admission import BodyAdmission
from app.edge.body_budget import BodyBudget, JsonSize

from .conftest import READ_KEY, WRITE_KEY, Caller, Wire, guarded, toy_app

KIB, MIB = 1024, 1024**2


def admitting(max_bytes: int = 64 * MIB, max_json_bytes: int = 256 * KIB) -> tuple[Wire, BodyBudget]:
    """The guarded toy service behind the admission of bodies, and the budget."""
    wire, budget = guarded(toy_app()), BodyBudget(max_bytes)
    wire.app.app = BodyAdmission(wire.app.app, budget, max_json_bytes)
    return wire, budget


def test_numbers_texts_and_groups_are_counted_before_they_are_parsed() -> None:
    size = JsonSize()
    # Two groups of 200 bytes, one comma of 32, two texts of 60, and the 15 bytes themselves.
    assert size.add(b'{"y":[1,2]}') == 400 + 32 + 60 + 11
    assert size.add(b',"a"') == 400 + 64 + 120 + 15


@pytest.mark.parametrize(
    "piece",
    [b"[],", b"{},", b"1,", b'"",', b'{"a":1},', b'"2026-01-01T00:00:00",'],
    ids=["lists", "objects", "numbers", "texts", "pairs", "timestamps"],
)
def test_json_that_would_take_much_memory_is_refused_while_it_is_read(piece: bytes) -> None:
    wire, budget = admitting()
    chunks = [b'{"history":{"y":[', *[piece * (16 * KIB // len(piece))] * 60]
    answer = wire.ask("POST", "/v1/forecasts", key=READ_KEY, headers={"content-type": "application/json"}, body=chunks)
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")
    assert answer.read_bytes <= 256 * KIB + 16 * KIB
    assert budget.held_bytes == 0


def test_blanks_and_long_texts_are_refused_in_long_json_only() -> None:
    wire, _ = admitting(max_json_bytes=4 * MIB)
    headers = {"content-type": "application/json"}
    for padding in (b" ", b"x"):
        text = b'{"history":{"y":[1],"name":"' + padding * 700 * KIB + b'"}}'
        assert wire.ask("POST", "/v1/forecasts", key=READ_KEY, headers=headers, body=[text]).status == 200
    assert wire.app.max_body_bytes == MIB  # of the toy service: what is longer, it refuses itself
    size = JsonSize()
    size.add(b'{"a":"' + b"x" * 2 * MIB)
    assert size.is_padded
    size.add(b"1.5," * 2 * KIB)
    assert not size.is_padded


def test_json_of_a_route_without_data_has_a_lower_limit() -> None:
    admission = BodyAdmission(toy_app(), BodyBudget(MIB), 16 * MIB)
    headers = [(b"content-type", b"application/json")]

    def limit(method: str, path: str) -> Any:
        return admission._limit({"method": method, "path": path, "headers": headers})

    assert limit("POST", "/v1/forecasts").max_bytes == 16 * MIB
    assert limit("POST", "/v1/datasets/sales/rows").max_bytes == 16 * MIB
    assert limit("POST", "/v1/jobs").max_bytes == 4 * MIB
    assert limit("POST", "/internal/v1/attempts/j1/3/report") is None


def test_a_table_counts_twice_until_its_request_is_answered() -> None:
    wire, budget = admitting()
    held = []

    def pieces() -> Iterator[bytes]:
        for _ in range(4):
            held.append(budget.held_bytes)
            yield b" " * 100 * KIB

    answer = wire.ask("POST", "/v1/datasets", key=WRITE_KEY, headers={"content-type": "text/csv"}, body=pieces())
    assert answer.json == {"size_bytes": 400 * KIB}
    assert held == [0, 200 * KIB, 400 * KIB, 600 * KIB]
    assert budget.held_bytes == 0


def test_a_tenant_may_use_half_of_the_memory_and_all_tenants_the_whole() -> None:
    budget = BodyBudget(100)
    budget.take(1, 50)
    for tenant, size_bytes, status in ((1, 1, 429), (2, 51, 429)):
        with pytest.raises(HTTPException) as refused:
            budget.take(tenant, size_bytes)
        assert refused.value.status_code == status
        assert refused.value.headers == {"Retry-After": "1"}
    budget.take(2, 40)
    with pytest.raises(HTTPException) as full:
        budget.take(3, 11)
    assert full.value.status_code == 503
    budget.release(1, 50)
    budget.take(3, 11)
    assert budget.held_bytes == 51


def test_a_body_that_alone_takes_more_than_a_share_is_too_large_rather_than_early() -> None:
    wire, _ = admitting(max_bytes=400 * KIB)
    for size_bytes, status in ((100 * KIB, 200), (101 * KIB, 413)):
        headers = {"content-type": "text/csv"}
        answer = wire.ask("POST", "/v1/datasets", key=WRITE_KEY, headers=headers, body=[b" " * size_bytes])
        assert answer.status == status


def test_bodies_that_do_not_end_hold_no_more_than_a_tenants_half() -> None:
    """Twenty requests of one tenant whose bodies stay incomplete: ten are kept, the others are refused at once."""
    wire, budget = admitting(max_bytes=40 * 100 * KIB)
    caller = Caller(7, "k1", "write")
    statuses: list[int] = []
    refused = asyncio.Event()

    async def one(hold: asyncio.Event) -> None:
        sent = False

        async def receive() -> dict[str, object]:
            nonlocal sent
            if sent:
                await hold.wait()
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": b" " * 100 * KIB, "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            statuses.append(message.get("status", 0))
            if len(statuses) == 20:  # a head and a body for each of ten refusals
                refused.set()

        headers = [(b"content-type", b"text/csv"), (b"transfer-encoding", b"chunked")]
        scope = {"type": "http", "method": "POST", "path": "/v1/datasets", "headers": headers, "query_string": b""}
        await wire.app.app({**scope, "state": {"principal": caller, "request_id": "r"}}, receive, send)

    async def all_of_them() -> int:
        hold = asyncio.Event()
        requests = [asyncio.create_task(one(hold)) for _ in range(20)]
        await refused.wait()
        held_bytes = budget.held_bytes
        hold.set()
        await asyncio.gather(*requests, return_exceptions=True)
        return held_bytes

    assert asyncio.run(all_of_them()) == 20 * 100 * KIB
    assert statuses[:20:2] == [429] * 10
    assert budget.held_bytes == 0


def test_released_bytes_cause_a_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    collections: list[int] = []
    monkeypatch.setattr(body_budget, "COLLECT_BYTES", 100)
    monkeypatch.setattr(gc, "collect", lambda: collections.append(1))
    budget = BodyBudget(1000)
    for _ in range(5):
        budget.take(1, 60)
        budget.release(1, 60)
    assert len(collections) == 2
