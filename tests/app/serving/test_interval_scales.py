"""Interval scales in serving: no request waits for them, and nothing is read that is not used."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from app.serving.interval_scales import ADAPTED, IntervalScales
from app.serving.model_cache import LoadedModel
from models.types import Floats
from tests.fakes import says
from tests.models.samples import ready_of


class Learned:
    """Database of learned scales; ``asked`` are the queries it got."""

    def __init__(self, **factors: float) -> None:
        self.known = {int(name[1:]): np.full((4, 99), value) for name, value in factors.items()}
        self.asked: list[list[int]] = []
        self.broken = False

    def read(self, version_ids: Sequence[int]) -> Mapping[int, Floats]:
        self.asked.append(list(version_ids))
        if self.broken:
            raise OSError("the database is away")
        return {one: self.known[one] for one in version_ids if one in self.known}


def loaded() -> LoadedModel:
    made = says(1, 2, -1)
    return LoadedModel(made, ready_of(*made.members[0][:2]), 1)


def eventually(look: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_a_version_with_learned_scales_gets_them_and_a_note_after_the_first_refresh() -> None:
    scales, one = IntervalScales(Learned(v3=1.5).read, refresh_s=60), loaded()
    assert scales.apply(3, one) is one  # nobody waits
    eventually(lambda: scales.scales_of(3) is not None)
    wide = scales.apply(3, one)
    assert wide.forecaster.calibration.scales is not None
    assert wide.forecaster.calibration.scales[0, 79] == 1.5
    [note] = wide.notes
    assert note.code == ADAPTED
    assert "80 % is 1.50, 1.50, 1.50 times as wide as in the backtest" in note.message
    assert scales.apply(3, one) is wide  # so that requests are still put together
    assert scales.apply(3, loaded()) is not wide
    scales.close()


def test_a_new_version_is_read_without_the_ones_that_are_known_until_the_refresh_is_due() -> None:
    now_s, learned = [0.0], Learned(v3=1.5, v4=2.0)
    scales = IntervalScales(learned.read, refresh_s=60, gather_s=0, clock=lambda: now_s[0])
    scales.scales_of(3)
    eventually(lambda: scales.scales_of(3) is not None)
    scales.scales_of(4)
    eventually(lambda: scales.scales_of(4) is not None)
    assert learned.asked == [[3], [4]]
    now_s[0] = 60.0
    scales.scales_of(5)
    eventually(lambda: len(learned.asked) == 3)
    assert learned.asked[2] == [3, 4, 5]  # in use since the last whole refresh
    scales.close()


def test_a_version_without_scales_stays_as_calibrated() -> None:
    learned, one = Learned(), loaded()
    scales = IntervalScales(learned.read, refresh_s=60)
    scales.apply(3, one)
    eventually(lambda: learned.asked == [[3]])
    assert scales.apply(3, one) is one
    scales.close()


def test_changed_scales_make_a_new_model_and_unchanged_ones_keep_the_object() -> None:
    learned, one = Learned(v3=1.5), loaded()
    scales = IntervalScales(learned.read, refresh_s=0.02)
    eventually(lambda: scales.scales_of(3) is not None)
    before, asked = scales.apply(3, one), len(learned.asked)
    eventually(lambda: scales.scales_of(3) is not None and len(learned.asked) > asked + 2)
    assert scales.apply(3, one) is before
    learned.known[3] = np.full((4, 99), 2.0)
    eventually(lambda: (found := scales.scales_of(3)) is not None and found[0, 79] == 2.0)
    assert scales.apply(3, one) is not before
    scales.close()


def test_while_the_database_is_unreachable_the_scales_stay_as_they_are() -> None:
    learned = Learned(v3=1.5)
    scales = IntervalScales(learned.read, refresh_s=0.02)
    eventually(lambda: scales.scales_of(3) is not None)
    learned.broken, asked = True, len(learned.asked)
    eventually(lambda: scales.scales_of(3) is not None and len(learned.asked) > asked + 1)
    assert scales.scales_of(3) is not None
    scales.close()


def test_while_the_database_is_unreachable_requests_do_not_query_it_each() -> None:
    learned = Learned(v3=1.5)
    learned.broken = True
    scales = IntervalScales(learned.read, refresh_s=60)
    for _ in range(100):
        assert scales.scales_of(3) is None
        time.sleep(0.001)
    assert len(learned.asked) <= 3
    scales.close()


def test_nothing_is_read_while_no_version_is_used() -> None:
    learned = Learned(v3=1.5)
    scales = IntervalScales(learned.read, refresh_s=0.02)
    eventually(lambda: scales.scales_of(3) is not None)
    time.sleep(0.2)
    asked = len(learned.asked)
    time.sleep(0.2)
    assert len(learned.asked) == asked
    assert scales.scales_of(3) is not None  # a version used again has its old scales until they are read again
    eventually(lambda: len(learned.asked) > asked)
    scales.close()


@pytest.mark.parametrize("used", [False, True])
def test_closing_ends_the_thread(used: bool) -> None:
    scales = IntervalScales(Learned().read)
    if used:
        scales.scales_of(3)
    scales.close()
    assert scales.scales_of(4) is None
