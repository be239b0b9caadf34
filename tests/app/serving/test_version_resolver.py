"""Versions by number and by alias: known ones are returned at once, threads query the database for others."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from app.problems import CorruptBundle, NotFound, Unavailable
from app.serving.alias_refresher import AliasMoves
from app.serving.alias_state import AliasTimes, ResolvedVersion
from app.serving.futures import resolve, shared_future
from app.serving.version_resolver import Resolver
from models.errors import ModelBroken
from tests.app.serving.shelves import Clock, Loads, Registry, version_of

CHAMPION = (7, "demand", None, None)
DAMAGED = CorruptBundle("it is damaged")


@contextmanager
def resolving(registry: Registry, loads: Any = None, **options: Any) -> Iterator[Resolver]:
    made = Resolver(registry, loads or Loads(), **options)
    try:
        yield made
    finally:
        if registry.gate is not None:
            registry.gate.set()
        made.close()


def asked(resolver: Resolver, what: tuple[int, str, int | None, str | None] = CHAMPION) -> int:
    """Return the number of the version that the resolver's future gives."""
    return resolver.ask(*what).result(10).number


def found(resolver: Resolver, what: tuple[int, str, int | None, str | None] = CHAMPION) -> int | None:
    version = resolver.find(*what)
    return None if version is None else version.number


def comes(ask: Callable[[], Any], wanted: Any) -> bool:
    """Return whether ``ask`` returns ``wanted`` within some seconds."""
    end = time.monotonic() + 10
    while ask() != wanted:
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def test_a_version_number_is_looked_up_once_a_second_since_the_version_may_be_archived() -> None:
    registry, clock = Registry(), Clock()
    with resolving(registry, clock=clock) as resolver:
        assert found(resolver, (7, "demand", 4, None)) is None
        assert asked(resolver, (7, "demand", 4, None)) == 4
        clock.after(1.0)
        assert found(resolver, (7, "demand", 4, None)) == asked(resolver, (7, "demand", 4, None)) == 4
        assert registry.looked_up == [(7, "demand", 4, None)]
        clock.after(0.1)
        assert found(resolver, (7, "demand", 4, None)) is None
        assert asked(resolver, (7, "demand", 4, None)) == 4
    assert registry.looked_up == [(7, "demand", 4, None)] * 2
    assert registry.pointed == []


def test_the_default_alias_is_champion() -> None:
    registry = Registry()
    with resolving(registry) as resolver:
        assert asked(resolver) == 1
        assert resolver.find(*CHAMPION) is resolver.find(7, "demand", None, "champion")
    assert registry.looked_up == [(7, "demand", None, "champion")]


def test_a_missing_version_is_not_remembered() -> None:
    registry = Registry()
    with resolving(registry) as resolver:
        for what in ((7, "demand", 12, None), (7, "demand", None, "shadow"), (8, "demand", None, None)):
            for _ in range(2):
                with pytest.raises(NotFound):
                    asked(resolver, what)
        assert len(registry.looked_up) == 6
        registry.points["shadow"] = 2
        assert asked(resolver, (7, "demand", None, "shadow")) == 2


def test_concurrent_requests_share_one_look_up() -> None:
    registry = Registry(gate=threading.Event())
    with resolving(registry) as resolver:
        waiting = [resolver.ask(*what) for what in [CHAMPION, (7, "demand", 3, None)] * 10]
        assert registry.gate is not None
        registry.gate.set()
        assert [future.result(10).number for future in waiting] == [1, 3] * 10
    assert sorted(registry.looked_up, key=str) == [(7, "demand", 3, None), (7, "demand", None, "champion")]


def test_one_query_every_half_second_refreshes_all_aliases_in_use() -> None:
    registry, clock = Registry({"champion": 1, "shadow": 2, "old": 3}), Clock()
    with resolving(registry, clock=clock) as resolver:
        names = [(7, "demand", None, alias) for alias in ("champion", "shadow", "old")]
        for name in names:
            asked(resolver, name)
        clock.after(0.49)
        assert [found(resolver, name) for name in names[:2]] == [1, 2]
        assert registry.pointed == []
        clock.after(0.02)
        assert found(resolver) == 1
        assert comes(lambda: len(registry.pointed), 1)
        assert found(resolver, names[1]) == 2
    assert [sorted(names) for names in registry.pointed] == [[(7, "demand", "champion"), (7, "demand", "shadow")]]
    assert len(registry.looked_up) == 3  # nothing had moved: no version was read again


def test_no_request_waits_for_a_promotion() -> None:
    registry, clock, loads = Registry(), Clock(), Loads()
    with resolving(registry, loads, clock=clock) as resolver:
        asked(resolver)
        registry.move(2)
        clock.after(0.6)
        assert found(resolver) == 1  # which also asks
        assert comes(lambda: found(resolver), 2)
        assert loads.asked == [2]  # before it was served
        registry.move(1)
        clock.after(0.6)
        assert comes(lambda: found(resolver), 1)
        assert resolver.aliases.moves() == AliasMoves(followed=2)


def test_the_old_version_is_served_while_the_new_one_loads_slowly() -> None:
    slow: Future[Any] = shared_future()
    registry, clock, loads = Registry(), Clock(), Loads(slow={2: slow})
    with resolving(registry, loads, clock=clock) as resolver:
        asked(resolver)
        registry.move(2)
        clock.after(0.6)
        assert found(resolver) == 1
        assert comes(lambda: loads.asked, [2])
        for _ in range(100):
            clock.after(0.3)
            assert found(resolver) == 1
        resolve(slow, "loaded")
        clock.after(0.1)
        assert comes(lambda: found(resolver), 2)
        assert loads.asked == [2]


def test_the_process_that_moves_an_alias_serves_the_new_version_at_once() -> None:
    registry, clock = Registry(), Clock()
    with resolving(registry, clock=clock) as resolver:
        asked(resolver)
        clock.after(2.0)
        registry.gate = threading.Event()
        early = resolver.ask(*CHAMPION)  # and is kept waiting by the database
        registry.move(2)
        resolver.aliases.forget((7, "demand", "champion"))
        assert early.result(10).number == 1
        assert found(resolver) is None
        registry.gate.set()
        assert asked(resolver) == 2
        resolver.aliases.forget((7, "demand", "nobody"))


def test_a_request_that_comes_during_a_query_is_answered_by_the_next_one() -> None:
    registry, clock = Registry({"champion": 1, "shadow": 2}), Clock()
    with resolving(registry, clock=clock) as resolver:
        shadow = (7, "demand", None, "shadow")
        assert (asked(resolver), asked(resolver, shadow)) == (1, 2)
        registry.gate = threading.Event()
        registry.asking.clear()
        clock.after(2.0)
        first = resolver.ask(*CHAMPION)
        assert registry.asking.wait(10)
        second = resolver.ask(*shadow)
        registry.gate.set()
        assert (first.result(10).number, second.result(10).number) == (1, 2)
    assert registry.pointed == [[(7, "demand", "champion")], [(7, "demand", "shadow")]]


def test_a_waiting_request_never_gets_a_version_that_was_replaced_during_its_load() -> None:
    slow: dict[int, Future[Any]] = {2: shared_future(), 3: shared_future()}
    registry, clock, loads = Registry(), Clock(), Loads(slow=slow)
    with resolving(registry, loads, clock=clock) as resolver:
        asked(resolver)
        clock.after(3600)
        for number in (2, 3):
            registry.move(number)
            waiting = resolver.ask(*CHAMPION)
            assert comes(lambda: loads.asked[-1:], [number])
        resolve(slow[2], "loaded")
        assert not waiting.done()
        resolve(slow[3], "loaded")
        assert waiting.result(10).number == 3


def test_the_first_request_after_an_idle_time_gets_the_new_version() -> None:
    registry, clock = Registry(), Clock()
    with resolving(registry, clock=clock) as resolver:
        asked(resolver)
        registry.move(2)
        clock.after(3600)
        assert found(resolver) is None
        assert asked(resolver) == 2


def test_after_an_idle_time_a_slow_load_is_answered_with_the_old_version() -> None:
    slow: Future[Any] = shared_future()
    registry, loads = Registry(), Loads(slow={2: slow})
    times = AliasTimes(refresh_s=0.02, max_age_s=0.05, patience_s=0.2, retry_s=10.0)
    with resolving(registry, loads, times=times) as resolver:
        asked(resolver)
        registry.move(2)
        time.sleep(0.06)
        began = time.monotonic()
        assert asyncio.run(resolver.wait(*CHAMPION)).number == 1
        assert 0.15 < time.monotonic() - began < 5
        resolve(slow, "loaded")
        assert comes(lambda: asyncio.run(resolver.wait(*CHAMPION)).number, 2)


def test_wait_returns_and_raises_the_same_as_ask() -> None:
    with resolving(Registry()) as resolver:
        assert asyncio.run(resolver.wait(*CHAMPION)).number == 1
        assert asyncio.run(resolver.wait(7, "demand", 5, None)).number == 5
        with pytest.raises(NotFound):
            asyncio.run(resolver.wait(7, "demand", None, "shadow"))


def test_a_cancelled_wait_stops_no_look_up() -> None:
    registry = Registry(gate=threading.Event())

    async def scene(resolver: Resolver) -> int:
        hasty, patient = (asyncio.create_task(resolver.wait(*CHAMPION)) for _ in range(2))
        await asyncio.to_thread(registry.asking.wait, 10)
        hasty.cancel()
        await asyncio.wait([hasty])
        assert registry.gate is not None
        registry.gate.set()
        return (await patient).number

    with resolving(registry) as resolver:
        assert asyncio.run(scene(resolver)) == 1
    assert len(registry.looked_up) == 1


def test_if_the_new_version_cannot_be_loaded_the_old_one_answers_with_a_note(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry, clock, loads = Registry(), Clock(), Loads(broken={2: DAMAGED})
    with resolving(registry, loads, clock=clock) as resolver:
        asked(resolver)
        registry.move(2)
        clock.after(0.6)
        found(resolver)
        assert comes(resolver.aliases.moves, AliasMoves(failed=1, fallen_back=1))
        version = resolver.find(*CHAMPION)
        assert version is not None
        assert (version.number, [note.code for note in version.notes]) == (1, ["fell_back"])
        # The refresher counts the failure before it logs it.
        reason = "tenant 7 model demand alias champion: version 2 cannot be served: CorruptBundle"
        assert comes(lambda: reason in caplog.text, True)
        del loads.broken[2]  # somebody has mended it
        clock.after(10.1)
        assert comes(lambda: found(resolver), 2) or comes(lambda: asked(resolver), 2)
        assert comes(resolver.aliases.moves, AliasMoves(followed=1, failed=1))


def test_the_newest_earlier_version_that_loads_replaces_a_broken_one() -> None:
    registry = Registry({"champion": 4}, before=[3, 4, 2, 1])
    loads = Loads(broken={3: DAMAGED, 4: DAMAGED})
    with resolving(registry, loads) as resolver:
        version = resolver.ask(*CHAMPION).result(10)
        waiting = [resolver.aliases.report_broken(version, DAMAGED) for _ in range(5)]
        assert {future.result(10).number for future in waiting} == {2}
        assert loads.asked == [3, 2]
        fallback = resolver.find(*CHAMPION)
        assert fallback is not None
        assert fallback.number == 2
        assert fallback.notes[0].message == (
            "version 4 cannot be served: CorruptBundle 'it is damaged'; version 2 answers in its place"
        )
        assert (
            resolver.aliases.report_broken(version, DAMAGED).result(10) is fallback
        )  # later reports get the same version
        again = resolver.aliases.report_broken(fallback, ModelBroken("it gave NaN"))
        assert again.result(10).number == 1


def test_a_fallback_ends_when_the_alias_moves() -> None:
    registry, clock = Registry({"champion": 2}, before=[1]), Clock()
    with resolving(registry, clock=clock) as resolver:
        version = resolver.ask(*CHAMPION).result(10)
        assert resolver.aliases.report_broken(version, DAMAGED).result(10).number == 1
        for _ in range(3):  # the database still says 2
            clock.after(1.1)
            assert asked(resolver) == 1
        registry.move(3)
        clock.after(0.6)
        assert comes(lambda: found(resolver), 3)
        assert resolver.aliases.moves().fallen_back == 0


def test_without_a_loadable_earlier_version_the_error_is_raised_and_the_search_pauses() -> None:
    registry, clock, loads = Registry({"champion": 2}, before=[1]), Clock(), Loads(broken={1: DAMAGED})
    with resolving(registry, loads, clock=clock) as resolver:
        version = resolver.ask(*CHAMPION).result(10)
        for _ in range(3):
            assert resolver.aliases.report_broken(version, DAMAGED).exception(10) is DAMAGED
        assert loads.asked == [1]
        assert found(resolver) == 2


def test_a_version_asked_for_by_its_number_has_no_fallback() -> None:
    with resolving(Registry(before=[2])) as resolver:
        version = resolver.ask(7, "demand", 1, None).result(10)
        assert resolver.aliases.report_broken(version, DAMAGED).exception(0) is DAMAGED


def test_a_broken_version_of_a_forgotten_alias_falls_back_too() -> None:
    with resolving(Registry({"champion": 4}, before=[3])) as resolver:
        assert resolver.aliases.report_broken(version_of(4), DAMAGED).result(10).number == 3


def test_a_deleted_alias_is_not_found() -> None:
    registry, clock = Registry(), Clock()
    with resolving(registry, clock=clock) as resolver:
        asked(resolver)
        del registry.points["champion"]
        clock.after(2.0)
        with pytest.raises(NotFound):
            asked(resolver)
        assert resolver.find(*CHAMPION) is None


def test_while_the_database_is_unreachable_known_aliases_are_served_for_one_second() -> None:
    registry, clock = Registry(), Clock()
    with resolving(registry, clock=clock) as resolver:
        asked(resolver)
        registry.away = ConnectionError("no route to the database")
        clock.after(0.6)
        assert found(resolver) == 1
        assert comes(lambda: len(registry.pointed), 1)
        clock.after(0.5)
        assert found(resolver) is None
        with pytest.raises(ConnectionError):
            asked(resolver)
        registry.away = None
        assert asked(resolver) == 1


def test_the_number_of_remembered_versions_is_bounded() -> None:
    registry = Registry()
    with resolving(registry, capacity=2) as resolver:
        for number in (1, 2, 3):
            asked(resolver, (7, "demand", number, None))
            asked(resolver, (7, f"model{number}", None, None))
        known = [found(resolver, (7, "demand", number, None)) for number in (1, 2, 3)]
        assert known == [None, 2, 3]
        assert [found(resolver, (7, f"model{number}", None, None)) for number in (1, 2, 3)] == [None, 1, 1]


def test_closing_fails_all_waiting_and_later_requests() -> None:
    registry, clock = Registry({"champion": 2}, before=[1]), Clock()
    with resolving(registry, clock=clock) as resolver:
        version = resolver.ask(*CHAMPION).result(10)
        registry.gate = threading.Event()
        falling = resolver.aliases.report_broken(version, DAMAGED)
        asking = resolver.ask(7, "demand", 5, None)
        clock.after(5)
        looking = resolver.ask(*CHAMPION)
        resolver.close()
        for future in (falling, asking, looking, resolver.ask(*CHAMPION), resolver.ask(7, "demand", 6, None)):
            with pytest.raises(Unavailable):
                future.result(10)
        assert resolver.aliases.report_broken(version_of(9, model="other"), DAMAGED).exception(10) is DAMAGED


def test_many_threads_see_every_move_within_one_second_without_waiting_or_failing() -> None:
    """With the real clock, eight threads look up as fast as they can while the alias moves every 50 ms."""
    registry, stop = Registry(), threading.Event()
    moved_s = {1: time.monotonic()}  # when the alias came to point at each version

    def use(resolver: Resolver) -> list[tuple[float, int]]:
        seen = []
        while not stop.is_set():
            version: ResolvedVersion | None = resolver.find(*CHAMPION)
            assert version is not None
            seen.append((time.monotonic(), version.number))
            time.sleep(0.001)
        return seen

    times = AliasTimes(refresh_s=0.05, max_age_s=10.0, patience_s=5.0, retry_s=10.0)
    with resolving(registry, times=times) as resolver, ThreadPoolExecutor(8) as pool:
        asked(resolver)
        users = [pool.submit(use, resolver) for _ in range(8)]
        for number in range(2, 42):
            registry.move(number)
            moved_s[number] = time.monotonic()
            time.sleep(0.05)
        arrived = comes(lambda: found(resolver), 41)
        stop.set()
        seen = [moment for user in users for moment in user.result(10)]
    assert arrived
    assert len({number for _, number in seen}) > 5
    assert all(at_s - moved_s.get(number + 1, at_s) < 1 for at_s, number in seen)
