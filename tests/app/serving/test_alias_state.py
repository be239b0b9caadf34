"""State of an alias, driven by hand: every statement of the database and every second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.problems import CorruptBundle
from app.serving.alias_state import AliasState, AliasTimes
from tests.app.serving.shelves import version_of

ONE, TWO, THREE = (version_of(number) for number in (1, 2, 3))
DAMAGED = CorruptBundle("it is damaged")
TIMES = AliasTimes(refresh_s=0.5, max_age_s=1.0, patience_s=0.4, retry_s=10.0)


def served(alias: AliasState, now_s: float) -> int | None:
    version = alias.current(now_s)
    return None if version is None else version.number


@pytest.fixture
def alias() -> AliasState:
    """Return an alias that points at version 1, as the database stated at second 0."""
    return AliasState(ONE, 0.0, TIMES)


def test_a_statement_of_the_database_is_used_for_one_second(alias: AliasState) -> None:
    assert [served(alias, now_s) for now_s in (0.0, 0.99, 1.0, 5.0)] == [1, 1, None, None]
    alias.confirm(5.0)
    assert [served(alias, now_s) for now_s in (5.9, 6.0)] == [1, None]


def test_a_confirmed_version_stays_the_same_object(alias: AliasState) -> None:
    assert alias.is_settled(101, 0.5)
    alias.confirm(0.5)
    assert alias.current(1.2) is ONE


def test_a_version_is_served_as_soon_as_it_is_loaded(alias: AliasState) -> None:
    assert not alias.is_settled(102, 0.5)
    assert alias.point_at(TWO, 0.5)
    assert served(alias, 0.55) == 1
    assert alias.loaded(TWO)
    assert [served(alias, now_s) for now_s in (0.56, 1.49, 1.5)] == [2, 2, None]


def test_no_request_waits_for_an_alias_in_steady_use_while_its_new_version_loads_slowly(alias: AliasState) -> None:
    alias.point_at(TWO, 0.5)
    for now_s in (0.6, 0.8, 0.9, 0.99, 1.0, 1.5, 30.0):
        assert served(alias, now_s) == 1
        alias.confirm(now_s)
    alias.loaded(TWO)
    assert served(alias, 30.1) == 2


def test_after_an_idle_time_a_request_waits_for_the_new_version_up_to_its_patience(alias: AliasState) -> None:
    alias.point_at(TWO, 60.0)
    assert [served(alias, now_s) for now_s in (60.0, 60.39, 60.41, 70.0)] == [None, None, 1, 1]


def test_an_alias_that_moves_again_during_a_load_follows_the_newest_version(alias: AliasState) -> None:
    alias.point_at(TWO, 0.5)
    alias.point_at(THREE, 1.0)
    assert not alias.loaded(TWO)
    assert not alias.load_failed(TWO, DAMAGED, 1.2)
    assert served(alias, 1.5) == 1
    assert alias.loaded(THREE)
    assert served(alias, 1.6) == 3


def test_a_rollback_during_a_load_keeps_the_old_version(alias: AliasState) -> None:
    alias.point_at(TWO, 0.5)
    assert not alias.point_at(version_of(1), 1.0)
    assert not alias.loaded(TWO)
    assert served(alias, 1.9) == 1


def test_if_the_new_version_cannot_be_loaded_the_old_one_is_served_with_a_note(alias: AliasState) -> None:
    alias.point_at(TWO, 0.5)
    assert alias.load_failed(TWO, DAMAGED, 0.6)
    version = alias.current(0.7)
    assert version is not None
    (note,) = version.notes
    assert (version.number, note.code) == (1, "fell_back")
    assert note.message == ("version 2 cannot be served: CorruptBundle 'it is damaged'; version 1 answers in its place")
    assert alias.fell_back
    assert alias.is_settled(102, 10.5)
    alias.confirm(10.5)
    assert alias.current(11.4) is version


def test_a_failed_load_is_tried_again_while_the_old_version_is_served(alias: AliasState) -> None:
    alias.point_at(TWO, 0.5)
    alias.load_failed(TWO, DAMAGED, 0.6)
    assert not alias.is_settled(102, 10.6)
    assert alias.point_at(TWO, 10.6)
    assert served(alias, 11.5) == 1
    alias.loaded(TWO)
    version = alias.current(11.5)
    assert version is TWO
    assert not alias.fell_back


def test_an_earlier_version_replaces_a_broken_one_until_the_alias_moves(alias: AliasState) -> None:
    alias.point_at(THREE, 0.5)
    alias.loaded(THREE)
    alias.mark_broken(THREE, DAMAGED)
    assert alias.is_broken(103)
    fallback = alias.fall_back_to(version_of(2, None))
    assert (fallback.number, fallback.alias, fallback.notes[0].code) == (2, "champion", "fell_back")
    assert alias.is_settled(103, 1000.0)  # never tried again by itself
    assert not alias.point_at(TWO, 1000.5)  # it was moved to the version that answered all along
    assert alias.current(1000.6) is TWO
    assert not alias.fell_back


def test_a_fallback_found_after_the_alias_has_moved_changes_nothing(alias: AliasState) -> None:
    alias.mark_broken(ONE, DAMAGED)
    alias.point_at(THREE, 0.5)
    alias.loaded(THREE)
    assert alias.fall_back_to(TWO) is TWO
    assert served(alias, 0.6) == 3


def test_a_version_that_loads_after_all_is_served_without_a_note(alias: AliasState) -> None:
    alias.point_at(TWO, 0.5)
    alias.loaded(TWO)
    alias.point_at(version_of(1), 1.0)
    assert alias.loading is not None
    alias.load_failed(alias.loading, DAMAGED, 1.1)
    alias.mark_broken(TWO, DAMAGED)
    version = alias.fall_back_to(version_of(1, None))
    assert (version.number, version.alias, version.notes) == (1, "champion", ())
    assert not alias.fell_back


def test_a_failed_search_for_an_earlier_version_is_not_repeated_at_once(alias: AliasState) -> None:
    assert alias.may_search(0.0)
    alias.search_failed(0.0)
    assert [alias.may_search(now_s) for now_s in (5.0, 9.9, 10.0)] == [False, False, True]
    alias.search_failed(10.0)
    alias.point_at(TWO, 11.0)
    assert alias.may_search(11.0)  # another version may have earlier ones that can be served


def test_a_note_shortens_a_long_error(alias: AliasState) -> None:
    alias.point_at(TWO, 0.5)
    alias.load_failed(TWO, CorruptBundle("x" * 10_000), 0.6)
    version = alias.current(0.7)
    assert version is not None
    assert len(version.notes[0].message) < 400


class World:
    """Database, loader and clock around one alias, and the properties that must always hold."""

    def __init__(self) -> None:
        self.now_s, self.asked_s, self.points, self.versions = 0.0, 0.0, 1, 1
        self.alias = AliasState(ONE, 0.0, TIMES)

    def wait(self) -> None:
        self.now_s += 0.3

    def move(self) -> None:
        self.versions += 1
        self.points = self.versions

    def roll_back(self) -> None:
        self.points = max(1, self.points - 1)

    def look(self) -> None:
        self.asked_s = self.now_s
        if self.alias.is_settled(100 + self.points, self.now_s):
            self.alias.confirm(self.now_s)
        else:
            self.alias.point_at(version_of(self.points), self.now_s)

    def load(self) -> None:
        if self.alias.loading is not None:
            self.alias.loaded(self.alias.loading)

    def fail(self) -> None:
        if self.alias.loading is not None:
            self.alias.load_failed(self.alias.loading, DAMAGED, self.now_s)

    def fall(self) -> None:
        if self.alias.served.number > 1:
            self.alias.mark_broken(self.alias.served, DAMAGED)
            self.alias.fall_back_to(version_of(1, None))

    def check(self) -> None:
        version = self.alias.current(self.now_s)
        if self.alias.loading is None:
            assert (version is not None) == (self.now_s < self.asked_s + TIMES.max_age_s)
            assert self.alias.fell_back == bool(self.alias.served.notes)
            assert self.alias.fell_back or self.alias.served.version_id == self.alias.points_at
        elif self.now_s >= self.asked_s + TIMES.patience_s:
            assert version is not None
        assert self.alias.served.alias == "champion"


@given(st.lists(st.sampled_from(["wait", "move", "roll_back", "look", "load", "fail", "fall"]), max_size=60))
def test_after_any_sequence_of_events_an_alias_serves_its_version_or_states_the_reason(story: list[str]) -> None:
    world = World()
    for act in story:
        getattr(world, act)()
        world.check()
    world.wait()
    world.move()
    world.look()
    world.load()
    assert world.alias.current(world.now_s) is not None
    assert world.alias.served.number == world.points
    assert world.alias.served.notes == ()
