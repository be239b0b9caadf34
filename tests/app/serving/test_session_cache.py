"""Cache of sessions: owners, expiry and eviction, and that a lost session changes no forecast."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from app.problems import Conflict, QuotaExceeded
from app.serving.session_cache import (
    ENTRY_BYTES,
    DatasetRows,
    InlineRows,
    SavedSession,
    SeriesSource,
    SessionCache,
    SessionKey,
)
from models.data.concat import join_panels
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.errors import InputError
from models.forecasting.forecaster import make_runnable
from models.forecasting.session import append, begin, predict
from tests.fakes import random_forecaster
from tests.models.samples import faults_of, helpful, panel_of, with_covariates

NETWORKS = make_runnable(random_forecaster(state="carried", strategy="iterative", season=3).members, OnnxEngine)
WINDOWS = 3
FIRST = np.datetime64("2024-01-01")
KEY = SessionKey(7, "demand@champion", "a")
Y = np.random.default_rng(0).normal(50, 5, (2, 60)).round(3)


def points(begin: int, end: int, series: int = 1) -> Panel:
    return panel_of(*Y[:series, begin:end], start=str(FIRST + begin))


def predict_from(saved: SavedSession | None) -> list[float]:
    assert saved is not None
    return [float(value) for value in predict(NETWORKS, saved.session, 3).median.ravel()]


def next_day(saved: SavedSession) -> int:
    """Return the day after the last point of the session's first series."""
    tail = saved.session.tail
    return int((tail.timestamp(0, len(tail.series(0))) - FIRST) / np.timedelta64(1, "D"))


def whole(end: int, series: int = 1) -> Any:
    return pytest.approx(predict_from(SavedSession(begin(NETWORKS, points(0, end, series), WINDOWS))), rel=1e-6)


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class RecordedMetrics:
    """Metrics that the cache has reported."""

    counts: Counter[str] = field(default_factory=Counter)
    kept: tuple[int, int] = (0, 0)

    def sessions_kept(self, count: int, size_bytes: int) -> None:
        self.kept = (count, size_bytes)

    def session_asked(self, outcome: str) -> None:
        self.counts[outcome] += 1

    def session_dropped(self, reason: str) -> None:
        self.counts[reason] += 1


SIZE_BYTES = ENTRY_BYTES + begin(NETWORKS, points(0, 8), WINDOWS).size_bytes


def sessions_of(room: float = 10, ttl_s: float = 60.0) -> tuple[SessionCache, RecordedMetrics, Clock]:
    """Return a cache with the budget of ``room`` sessions of one series and 8 points."""
    metrics, clock = RecordedMetrics(), Clock()
    return SessionCache(int(room * SIZE_BYTES), ttl_s, metrics, clock), metrics, clock


def post(sessions: SessionCache, key: SessionKey, rows: Panel) -> list[float]:
    """Send the rows, and return the forecast after the last of them."""

    def change(saved: SavedSession | None) -> tuple[SavedSession, list[float]]:
        after = InlineRows(rows).advance(NETWORKS, saved, WINDOWS)
        return after, predict_from(after)

    return sessions.update(key, change)


def test_new_points_alone_give_the_forecast_of_the_whole_history() -> None:
    sessions, metrics, _ = sessions_of()
    assert post(sessions, KEY, points(0, 8)) == whole(8)
    for end in range(9, 30):
        assert post(sessions, KEY, points(end - 1, end)) == whole(end)
    assert metrics.counts == {"unknown": 1, "found": 21}
    assert metrics.kept[0] == 1
    assert 0 < metrics.kept[1] < 2 * SIZE_BYTES


@pytest.mark.parametrize(
    "other",
    [
        SessionKey(8, "demand@champion", "a"),
        SessionKey(7, "demand@challenger", "a"),
        SessionKey(7, "demand@champion", "b"),
    ],
)
def test_a_session_belongs_to_one_tenant_one_model_and_one_name(other: SessionKey) -> None:
    sessions, _, _ = sessions_of()
    post(sessions, KEY, points(0, 8))
    assert sessions.find(other) is None
    with pytest.raises(InputError) as caught:
        post(sessions, other, points(8, 9))
    assert faults_of(caught.value) == [("unknown_session", "s0", None)]
    assert sessions.find(other) is None
    assert post(sessions, other, points(2, 10))  # holds a window: begun, and the forecast says so
    found = sessions.find(other)
    assert found is not None
    assert found.session.restarted == 1


def test_an_unused_session_expires() -> None:
    sessions, metrics, clock = sessions_of(ttl_s=60)
    post(sessions, KEY, points(0, 8))
    for _ in range(5):
        clock.now_s += 59
        assert sessions.find(KEY) is not None
    clock.now_s += 61
    assert sessions.find(KEY) is None
    assert metrics.counts["expired"] == 1
    assert post(sessions, KEY, points(0, 20)) == whole(20)


def test_saving_a_session_drops_expired_ones() -> None:
    sessions, metrics, clock = sessions_of(ttl_s=60)
    for number in range(5):
        post(sessions, SessionKey(number, "demand@champion", "a"), points(0, 8))
    clock.now_s += 61
    post(sessions, KEY, points(0, 8))
    assert metrics.kept == (1, SIZE_BYTES)
    assert metrics.counts["expired"] == 5


def test_the_least_recently_used_makes_room() -> None:
    sessions, metrics, _ = sessions_of(room=3.5)
    keys = [SessionKey(7, "demand@champion", name) for name in "abcd"]
    for key in keys[:3]:
        post(sessions, key, points(0, 8))
    sessions.find(keys[0])
    post(sessions, keys[3], points(0, 8))
    assert [sessions.find(key) is not None for key in keys] == [True, False, True, True]
    assert (metrics.counts["evicted"], metrics.kept) == (1, (3, 3 * SIZE_BYTES))


def test_the_tenant_with_most_bytes_makes_room() -> None:
    sessions, _, _ = sessions_of(room=4.5)
    small = SessionKey(1, "demand@champion", "a")
    post(sessions, small, points(0, 8))
    for number in range(20):
        post(sessions, SessionKey(2, "demand@champion", f"n{number}"), points(0, 8))
    assert sessions.find(small) is not None
    assert sessions.find(SessionKey(2, "demand@champion", "n16")) is None
    assert [sessions.find(SessionKey(2, "demand@champion", f"n{number}")) is not None for number in (17, 18, 19)] == [
        True
    ] * 3
    # one that needs nearly all the room is kept too: the others make room for it
    large = panel_of(*np.random.default_rng(1).normal(size=(10, 8)))
    sessions, _, _ = sessions_of(room=(ENTRY_BYTES + begin(NETWORKS, large, WINDOWS).size_bytes) / SIZE_BYTES + 0.1)
    post(sessions, small, points(0, 8))
    post(sessions, KEY, large)
    assert sessions.find(KEY) is not None
    assert sessions.find(small) is None


def test_a_session_larger_than_the_budget_is_refused_and_drops_no_other() -> None:
    sessions, _, _ = sessions_of(room=1.5)
    post(sessions, KEY, points(0, 8))
    with pytest.raises(InputError, match="fewer series in one session") as caught:
        post(sessions, SessionKey(7, "demand@champion", "b"), panel_of(*np.random.default_rng(1).normal(size=(60, 8))))
    assert all(map(helpful, caught.value.faults))
    assert sessions.find(KEY) is not None


def test_a_failed_request_leaves_the_session_unchanged() -> None:
    sessions, _, _ = sessions_of()
    post(sessions, KEY, points(0, 8))
    with pytest.raises(InputError, match=r"but 54\.735 was read"):
        post(sessions, KEY, panel_of([1.0], start=str(FIRST + 7)))

    def change(saved: SavedSession | None) -> tuple[SavedSession, None]:
        raise ArithmeticError("the forecast failed")

    with pytest.raises(ArithmeticError):
        sessions.update(KEY, change)
    assert post(sessions, KEY, points(8, 9)) == whole(9)


@pytest.mark.parametrize("name", ["", " a", "a\n", "x" * 129])
def test_an_invalid_name_is_refused(name: str) -> None:
    sessions, _, _ = sessions_of()
    with pytest.raises(InputError) as caught:
        post(sessions, SessionKey(7, "demand@champion", name), points(0, 8))
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [("bad_field", "session")]


def test_of_two_concurrent_requests_the_second_continues_the_first() -> None:
    sessions, _, _ = sessions_of()
    post(sessions, KEY, points(0, 8))
    seen: list[int] = []

    def change(saved: SavedSession | None) -> tuple[SavedSession, list[float]]:
        assert saved is not None
        if not seen:
            post(sessions, KEY, points(8, 10))  # another request comes between
        seen.append(next_day(saved))
        after = InlineRows(points(8, 12)).advance(NETWORKS, saved, WINDOWS)
        return after, predict_from(after)

    assert sessions.update(KEY, change) == whole(12)
    assert seen == [8, 10]
    assert predict_from(sessions.find(KEY)) == whole(12)


def test_a_request_that_loses_every_race_is_refused_with_a_conflict() -> None:
    sessions, _, _ = sessions_of()
    post(sessions, KEY, points(0, 8))
    end = iter(range(9, 60))

    def change(saved: SavedSession | None) -> tuple[SavedSession, None]:
        assert saved is not None
        number = next(end)
        post(sessions, KEY, points(number - 1, number))
        return saved, None

    with pytest.raises(Conflict, match="send them one after another"):
        sessions.update(KEY, change)
    assert predict_from(sessions.find(KEY)) == whole(11)


def test_a_session_evicted_during_a_request_is_saved_again() -> None:
    sessions, _, clock = sessions_of()
    post(sessions, KEY, points(0, 8))

    def change(saved: SavedSession | None) -> tuple[SavedSession, None]:
        clock.now_s += 100
        return InlineRows(points(8, 9)).advance(NETWORKS, saved, WINDOWS), None

    sessions.update(KEY, change)
    assert predict_from(sessions.find(KEY)) == whole(9)


def test_many_threads_lose_no_point() -> None:
    sessions, _, _ = sessions_of()
    post(sessions, KEY, points(0, 8))
    start = threading.Barrier(8)

    def next_point(saved: SavedSession | None) -> tuple[SavedSession, None]:
        assert saved is not None
        at = next_day(saved)
        return InlineRows(points(at, at + 1)).advance(NETWORKS, saved, WINDOWS), None

    def ask(_: int) -> int:
        start.wait(10)
        done = 0
        while done < 6:
            try:
                sessions.update(KEY, next_point)
                done += 1
            except Conflict:
                continue
        return done

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 48
    assert predict_from(sessions.find(KEY)) == whole(56)


@dataclass
class Dataset:
    """Revisions of a data set by the rows that each added; records its reads."""

    chunks: list[Panel]
    read_after: list[int] = field(default_factory=list)

    def at(self, revision: int, ids: Sequence[str] | None = None, future: Panel | None = None) -> DatasetRows:
        def read(after: int) -> Panel:
            self.read_after.append(after)
            return join_panels(self.chunks[after:revision])

        return DatasetRows(SeriesSource(1, None if ids is None else tuple(ids)), revision, read, future)


def test_only_newer_revisions_of_a_data_set_are_read() -> None:
    dataset = Dataset([points(0, 20, 2), points(20, 21, 2), points(21, 24), points(24, 25)])
    saved = dataset.at(1).advance(NETWORKS, None, WINDOWS)
    assert (saved.revision, saved.session.restarted) == (1, 2)
    for revision in (2, 3, 3, 4):
        saved = dataset.at(revision).advance(NETWORKS, saved, WINDOWS)
        assert (saved.revision, saved.session.restarted) == (revision, 0)
    assert dataset.read_after == [0, 1, 2, 3]
    reread = dataset.at(4).advance(NETWORKS, None, WINDOWS)  # as after a restart, or in another process
    assert predict_from(saved) == pytest.approx(predict_from(reread), rel=1e-6)
    assert predict_from(saved)[:3] == whole(25)


def test_another_source_or_an_older_revision_is_read_from_the_beginning() -> None:
    dataset = Dataset([points(0, 20, 2), points(20, 21, 2), points(21, 24, 2)])
    saved = dataset.at(3).advance(NETWORKS, None, WINDOWS)
    for other, alike in [(dataset.at(2), whole(21, 2)), (dataset.at(3, ["s0"]), whole(24))]:
        after = other.advance(NETWORKS, saved, WINDOWS)
        assert after.session.restarted == len(after.session)
        assert predict_from(after) == alike
    inline = InlineRows(points(0, 12)).advance(NETWORKS, None, WINDOWS)
    assert predict_from(dataset.at(3).advance(NETWORKS, inline, WINDOWS)) == whole(24, 2)


def test_a_session_of_some_series_reads_only_their_rows_and_a_new_series_begins() -> None:
    other = panel_of([1.0, 2.0, 5.0], start=str(FIRST + 20))
    dataset = Dataset([points(0, 20, 2), points(20, 21, 2), panel_of(Y[0, 21:22], start=str(FIRST + 21)), other])
    saved = dataset.at(1, ["s1"]).advance(NETWORKS, None, WINDOWS)
    for revision in (2, 3):
        saved = dataset.at(revision, ["s1"]).advance(NETWORKS, saved, WINDOWS)
    assert saved.session.tail.ids == ("s1",)
    assert predict_from(saved) == pytest.approx(whole(21, 2).expected[3:], rel=1e-6)
    with pytest.raises(InputError, match="s9"):
        dataset.at(3, ["s9"]).advance(NETWORKS, saved, WINDOWS)


def test_rows_that_cannot_follow_are_read_again_from_the_data_set() -> None:
    networks = make_runnable(random_forecaster(state="carried", static_covariates=("size",)).members, OnnxEngine)
    first = with_covariates(points(0, 20), size=np.ones(20))
    dataset = Dataset([first, with_covariates(points(20, 22), size=[1, 2])])
    saved = dataset.at(1).advance(networks, None, WINDOWS)
    after = dataset.at(2).advance(networks, saved, WINDOWS)
    assert after.session.restarted == 1
    reread = dataset.at(2).advance(networks, None, WINDOWS)
    assert predict(networks, after.session, 3).median.tolist() == predict(networks, reread.session, 3).median.tolist()


def test_future_covariates_come_with_the_request() -> None:
    forecaster = random_forecaster(state="carried", strategy="direct", future_covariates=("price",))
    networks = make_runnable(forecaster.members, OnnxEngine)
    dataset = Dataset([with_covariates(points(0, 20), price=range(20)), with_covariates(points(20, 21), price=[3])])

    def ahead(begin: int, price: float) -> Panel:
        return with_covariates(panel_of([np.nan] * 3, start=str(FIRST + begin)), price=[price, price, price])

    saved = dataset.at(1, future=ahead(20, 5)).advance(networks, None, WINDOWS)
    dear = predict(networks, saved.session, 3).median
    saved = dataset.at(1, future=ahead(20, -5)).advance(networks, saved, WINDOWS)
    assert np.abs(predict(networks, saved.session, 3).median - dear).max() > 1e-3
    saved = dataset.at(2, future=ahead(21, 5)).advance(networks, saved, WINDOWS)
    reread = dataset.at(2, future=ahead(21, 5)).advance(networks, None, WINDOWS)
    assert saved.session.restarted == 0
    predicted, expected = (predict(networks, one.session, 3).median for one in (saved, reread))
    assert predicted == pytest.approx(expected, rel=1e-6)


def test_a_model_without_carried_state_has_no_session() -> None:
    networks = make_runnable(random_forecaster().members, OnnxEngine)
    for source in (InlineRows(points(0, 20)), Dataset([points(0, 20)]).at(1)):
        with pytest.raises(InputError) as caught:
            source.advance(networks, None, WINDOWS)
        assert faults_of(caught.value) == [("no_state", None, None)]


def test_the_saved_session_is_the_same_object_and_is_never_modified() -> None:
    sessions, _, _ = sessions_of()
    post(sessions, KEY, points(0, 8))
    before = sessions.find(KEY)
    assert before is not None
    predicted = predict_from(before)
    later = append(NETWORKS, before.session, points(8, 9))
    assert sessions.find(KEY) is before
    assert predict_from(before) == predicted
    assert predict_from(SavedSession(later)) == whole(9)


def test_a_tenant_has_a_most_of_sessions_and_an_expired_one_makes_room() -> None:
    clock = Clock()
    sessions = SessionCache(20 * SIZE_BYTES, 60.0, RecordedMetrics(), clock, max_each=2)
    first, second, third = (SessionKey(7, "demand@champion", name) for name in "abc")
    post(sessions, first, points(0, 8))
    clock.now_s = 30.0
    post(sessions, second, points(0, 8))
    with pytest.raises(QuotaExceeded, match="your tenant has 2 sessions, and 2 are allowed"):
        post(sessions, third, points(0, 8))
    assert sessions.find(third) is None
    post(sessions, second, points(8, 9))  # goes on
    post(sessions, SessionKey(8, "demand@champion", "a"), points(0, 8))  # each tenant has its own
    clock.now_s = 61.0  # the first has expired
    post(sessions, third, points(0, 8))
