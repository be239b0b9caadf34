"""A diary of long work: what is in it after a death, and what is not read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError
from models.training.checkpoint import Checkpoint, CheckpointEntry

ROW = np.array([[1.5, -2.0]], dtype=np.float32)


class JobContext:
    """Keeps the newest diary; is due as often as it is told."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.is_due = True

    def diary(self, key: str = "job 1") -> Checkpoint:
        diary = Checkpoint(key, self.kept.append, lambda: self.is_due)
        if self.kept:
            diary.read(self.kept[-1])
        return diary


def test_who_comes_after_finds_the_steps_done_and_the_one_at_work() -> None:
    desk = JobContext()
    first = desk.diary()
    first.close("fit/0", CheckpointEntry({"loss": 0.5}, {"head/bias": ROW}))
    first.page("fit/1").note(lambda: CheckpointEntry({"epoch": 3}, {"w": ROW * 2}))

    second = desk.diary()
    done = second.done("fit/0")
    assert done is not None
    assert done.facts == {"loss": 0.5}
    np.testing.assert_array_equal(done.arrays["head/bias"], ROW)
    at_work = second.page("fit/1").entry
    assert at_work is not None
    assert (at_work.facts, at_work.arrays["w"].tolist()) == ({"epoch": 3}, [[3.0, -4.0]])
    assert second.done("fit/1") is None
    assert second.page("fit/2").entry is None


def test_a_step_that_is_done_is_at_work_no_more() -> None:
    desk = JobContext()
    diary = desk.diary()
    diary.page("fit/0").note(lambda: CheckpointEntry({"epoch": 3}))
    diary.close("fit/0", CheckpointEntry({"epoch": 4}))
    after = desk.diary()
    assert after.page("fit/0").entry is None
    assert [entry.facts for entry in after.under("fit/")] == [{"epoch": 4}]


def test_nothing_is_made_or_kept_before_it_is_due() -> None:
    desk = JobContext()
    desk.is_due = False

    def costly() -> CheckpointEntry:
        raise AssertionError("made for nothing")

    diary = desk.diary()
    diary.page("fit/0").note(costly)
    diary.close("fit/0", CheckpointEntry())
    assert desk.kept == []
    desk.is_due = True
    diary.close("fit/1", CheckpointEntry())
    assert desk.diary().done("fit/0") is not None  # what was done before is kept with what comes after


def test_a_diary_of_other_work_or_of_another_format_is_not_read() -> None:
    desk = JobContext()
    desk.diary().close("fit/0", CheckpointEntry())
    with pytest.raises(BundleError, match="of other work"):
        desk.diary("job 2")
    diary = Checkpoint("job 1")
    with pytest.raises(BundleError, match="of other work"):
        diary.read(desk.kept[-1].replace(b'"format": 1', b'"format": 9'))
    assert diary.done("fit/0") is None


@given(st.integers(0, 200), st.integers(0, 255))
def test_damaged_bytes_are_refused_or_read_as_a_diary(at: int, byte: int) -> None:
    desk = JobContext()
    desk.diary().close("fit/0", CheckpointEntry({"epoch": 1}, {"w": ROW}))
    damaged = bytearray(desk.kept[-1])
    damaged[at % len(damaged)] = byte
    diary = Checkpoint("job 1")
    try:
        diary.read(bytes(damaged))
    except BundleError:
        assert diary.under("") == []
