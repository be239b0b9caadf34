"""Versions by number and by alias: what is known is given at once, and the database is asked elsewhere."""

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
    """The number of the version that the database says."""
    return resolver.ask(*what).result(10).number


def found(resolver: Resolver, what: tuple[int, str, int | None, str | None] = CHAMPION) -> int | None:
    target = resolver.find(*what)
    return None if target is None else target.number


def comes(ask: Callable[[], Any], wanted: Any) -> bool:
    """Whether it is so within some seconds: threads are at work."""
    end = time.monotonic() + 10
    while ask() != wanted:
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def test_a_number_is_asked_once_and_then_known_for_good() -> None:
    registry, clock = Registry(), Clock()
    with resolving(registry, clock=clock) as resolver:
        assert found(resolver, (7, "demand", 4, None)) is None
        assert asked(resolver, (7, "demand", 4, None)) == 4
        clock.after(1e6)
        assert found(resolver, (7, "demand", 4, None)) == asked(resolver, (7, "demand", 4, None)) == 4
    assert registry.looked_up == [(7, "demand", 4, None)]
    assert registry.pointed == []


def test_champion_is_meant_where_neither_is_said() -> None:
    registry = Registry()
    with resolving(registry) as resolver:
        assert asked(resolver) == 1
        assert resolver.find(*CHAMPION) is resolver.find(7, "demand", None, "champion")
    assert registry.looked_up == [(7, "demand", None, "champion")]


def test_what_does_not_exist_is_not_remembered() -> None:
    registry = Registry()
    with resolving(registry) as resolver:
        for what in ((7, "demand", 12, None), (7, "demand", None, "shadow"), (8, "demand", None, None)):
            for _ in range(2):
                with pytest.raises(NotFound):
                    asked(resolver, what)
        assert len(registry.looked_up) == 6
        registry.points["shadow"] = 2
        assert asked(resolver, (7, "demand", None, "shadow")) == 2


def test_all_who_ask_at_once_wait_for_one_answer() -> None:
    registry = Registry(gate=threading.Event())
    with resolving(registry) as resolver:
        waiting = [resolver.ask(*what) for what in [CHAMPION, (7, "demand", 3, None)] * 10]
        assert registry.gate is not None
        registry.gate.set()
        assert [future.result(10).number for future in waiting] == [1, 3] * 10
    assert sorted(registry.looked_up, key=str) == [(7, "demand", 3, None), (7, "demand", None, "champion")]


def test_for_half_a_second_nobody_is_asked_and_then_one_question_is_for_all_aliases_in_use() -> None:
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


def test_a_promotion_takes_effect_without_anybody_waiting() -> None:
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


def test_while_a_version_loads_slowly_the_old_one_goes_on() -> None:
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


def test_who_asks_while_others_are_asked_about_is_answered_by_the_next_question() -> None:
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


def test_who_waits_is_not_told_of_a_version_that_was_overtaken_while_it_loaded() -> None:
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


def test_who_comes_after_an_idle_time_gets_the_new_version() -> None:
    registry, clock = Registry(), Clock()
    with resolving(registry, clock=clock) as resolver:
        asked(resolver)
        registry.move(2)
        clock.after(3600)
        assert found(resolver) is None
        assert asked(resolver) == 2


def test_who_waits_for_a_slow_version_after_an_idle_time_is_given_the_old_one() -> None:
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


def test_waiting_gives_what_asking_gives() -> None:
    with resolving(Registry()) as resolver:
        assert asyncio.run(resolver.wait(*CHAMPION)).number == 1
        assert asyncio.run(resolver.wait(7, "demand", 5, None)).number == 5
        with pytest.raises(NotFound):
            asyncio.run(resolver.wait(7, "demand", None, "shadow"))


def test_who_gives_up_waiting_stops_nothing() -> None:
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


def test_where_the_new_version_cannot_be_loaded_the_old_one_answers_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry, clock, loads = Registry(), Clock(), Loads(broken={2: DAMAGED})
    with resolving(registry, loads, clock=clock) as resolver:
        asked(resolver)
        registry.move(2)
        clock.after(0.6)
        found(resolver)
        assert comes(resolver.aliases.moves, AliasMoves(failed=1, fallen_back=1))
        target = resolver.find(*CHAMPION)
        assert target is not None
        assert (target.number, [note.code for note in target.notes]) == (1, ["fell_back"])
        assert "tenant 7 model demand alias champion: version 2 cannot be served: CorruptBundle" in caplog.text
        del loads.broken[2]  # somebody has mended it
        clock.after(10.1)
        assert comes(lambda: found(resolver), 2) or comes(lambda: asked(resolver), 2)
        assert comes(resolver.aliases.moves, AliasMoves(followed=1, failed=1))


def test_a_broken_version_gives_way_to_the_newest_earlier_one_that_loads() -> None:
    registry = Registry({"champion": 4}, before=[3, 4, 2, 1])
    loads = Loads(broken={3: DAMAGED, 4: DAMAGED})
    with resolving(registry, loads) as resolver:
        target = resolver.ask(*CHAMPION).result(10)
        waiting = [resolver.aliases.report_broken(target, DAMAGED) for _ in range(5)]
        assert {future.result(10).number for future in waiting} == {2}
        assert loads.asked == [3, 2]
        fallen = resolver.find(*CHAMPION)
        assert fallen is not None
        assert fallen.number == 2
        assert fallen.notes[0].message == (
            "version 4 cannot be served: CorruptBundle 'it is damaged'; version 2 answers in its place"
        )
        assert resolver.aliases.report_broken(target, DAMAGED).result(10) is fallen  # who was late is told the same
        again = resolver.aliases.report_broken(fallen, ModelBroken("it gave NaN"))
        assert again.result(10).number == 1


def test_a_version_that_fell_back_comes_back_when_its_alias_moves() -> None:
    registry, clock = Registry({"champion": 2}, before=[1]), Clock()
    with resolving(registry, clock=clock) as resolver:
        target = resolver.ask(*CHAMPION).result(10)
        assert resolver.aliases.report_broken(target, DAMAGED).result(10).number == 1
        for _ in range(3):  # the database still says 2
            clock.after(1.1)
            assert asked(resolver) == 1
        registry.move(3)
        clock.after(0.6)
        assert comes(lambda: found(resolver), 3)
        assert resolver.aliases.moves().fallen_back == 0


def test_where_no_earlier_version_loads_the_error_stands_and_is_not_looked_into_again_at_once() -> None:
    registry, clock, loads = Registry({"champion": 2}, before=[1]), Clock(), Loads(broken={1: DAMAGED})
    with resolving(registry, loads, clock=clock) as resolver:
        target = resolver.ask(*CHAMPION).result(10)
        for _ in range(3):
            assert resolver.aliases.report_broken(target, DAMAGED).exception(10) is DAMAGED
        assert loads.asked == [1]
        assert found(resolver) == 2


def test_a_version_asked_for_by_its_number_has_no_stand_in() -> None:
    with resolving(Registry(before=[2])) as resolver:
        target = resolver.ask(7, "demand", 1, None).result(10)
        assert resolver.aliases.report_broken(target, DAMAGED).exception(0) is DAMAGED


def test_a_broken_version_that_this_process_had_forgotten_gives_way_too() -> None:
    with resolving(Registry({"champion": 4}, before=[3])) as resolver:
        assert resolver.aliases.report_broken(version_of(4), DAMAGED).result(10).number == 3


def test_an_alias_that_is_gone_is_not_found() -> None:
    registry, clock = Registry(), Clock()
    with resolving(registry, clock=clock) as resolver:
        asked(resolver)
        del registry.points["champion"]
        clock.after(2.0)
        with pytest.raises(NotFound):
            asked(resolver)
        assert resolver.find(*CHAMPION) is None


def test_while_the_database_is_away_what_is_known_lasts_a_second() -> None:
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


def test_only_so_many_are_remembered() -> None:
    registry = Registry()
    with resolving(registry, capacity=2) as resolver:
        for number in (1, 2, 3):
            asked(resolver, (7, "demand", number, None))
            asked(resolver, (7, f"model{number}", None, None))
        known = [found(resolver, (7, "demand", number, None)) for number in (1, 2, 3)]
        assert known == [None, 2, 3]
        assert [found(resolver, (7, f"model{number}", None, None)) for number in (1, 2, 3)] == [None, 1, 1]


def test_closing_answers_everyone_who_waits_and_all_who_come_later() -> None:
    registry, clock = Registry({"champion": 2}, before=[1]), Clock()
    with resolving(registry, clock=clock) as resolver:
        target = resolver.ask(*CHAMPION).result(10)
        registry.gate = threading.Event()
        falling = resolver.aliases.report_broken(target, DAMAGED)
        asking = resolver.ask(7, "demand", 5, None)
        clock.after(5)
        looking = resolver.ask(*CHAMPION)
        resolver.close()
        for future in (falling, asking, looking, resolver.ask(*CHAMPION), resolver.ask(7, "demand", 6, None)):
            with pytest.raises(Unavailable):
                future.result(10)
        assert resolver.aliases.report_broken(version_of(9, model="other"), DAMAGED).exception(10) is DAMAGED


def test_many_threads_see_every_move_within_a_second_and_never_wait_or_fail() -> None:
    """The clock is the real one: eight threads ask as fast as they can while the alias moves every 50 ms."""
    registry, stop = Registry(), threading.Event()
    moved_s = {1: time.monotonic()}  # when the alias came to point at each version

    def use(resolver: Resolver) -> list[tuple[float, int]]:
        seen = []
        while not stop.is_set():
            target: ResolvedVersion | None = resolver.find(*CHAMPION)
            assert target is not None
            seen.append((time.monotonic(), target.number))
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
