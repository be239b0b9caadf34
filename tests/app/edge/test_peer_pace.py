"""The pace of requests without a key, with a clock that moves only while somebody waits."""

import asyncio

import pytest

from app.edge import peer_pace
from app.edge.peer_pace import PeerPace
from app.problems import TooManyRequests

from .conftest import Clock


def pace(gap_s: float = 0.5, burst: int = 2) -> tuple[PeerPace, Clock, list[float]]:
    """A pace, its clock, and the times that were waited."""
    clock, waits = Clock(100.0), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return PeerPace(gap_s, burst, clock, sleep), clock, waits


def ask(paced: PeerPace, *peers: str) -> None:
    async def all_of_them() -> None:
        for peer in peers:
            await paced.wait(peer)

    asyncio.run(all_of_them())


def test_after_a_burst_the_requests_of_an_address_take_turns() -> None:
    paced, _, waits = pace()
    ask(paced, *["10.0.0.1"] * 6)  # two saved turns and the present one, then one in half a second
    assert waits == [0.5, 1.0, 1.5]


def test_another_address_does_not_wait_for_a_flood() -> None:
    paced, _, waits = pace()
    ask(paced, *["10.0.0.1"] * 3, "10.0.0.2", "10.0.0.2")
    assert waits == []


def test_a_client_that_sends_one_after_another_in_the_pace_never_waits() -> None:
    paced, clock, waits = pace()
    for _ in range(50):
        ask(paced, "10.0.0.1")
        clock.now_s += 0.5
    assert waits == []


def test_a_queue_of_over_two_seconds_is_refused_and_not_made_longer() -> None:
    paced, clock, waits = pace()
    ask(paced, *["10.0.0.1"] * 7)
    assert waits[-1] == 2.0
    for _ in range(9):
        with pytest.raises(TooManyRequests, match="from your address"):
            ask(paced, "10.0.0.1")
    clock.now_s += 0.5
    ask(paced, "10.0.0.1")
    assert waits[-1] == 2.0


def test_the_memory_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_pace, "MAX_PEERS", 3)
    paced, clock, _ = pace(burst=0)
    ask(paced, *[f"10.0.0.{n}" for n in range(9)])
    assert len(paced._next_s) == 3
    clock.now_s += 60
    ask(paced, "10.0.1.1")
    assert set(paced._next_s) == {"10.0.1.1"}
