"""Checkpoints of long work: their content after an interruption, and bytes that are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError
from models.training.checkpoint import Checkpoint, CheckpointEntry

ROW = np.array([[1.5, -2.0]], dtype=np.float32)


class JobContext:
    """Store of the newest checkpoint; saving is due whenever ``is_due`` is set."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.is_due = True

    def checkpoint(self, key: str = "job 1") -> Checkpoint:
        checkpoint = Checkpoint(key, self.kept.append, lambda: self.is_due)
        if self.kept:
            checkpoint.restore(self.kept[-1])
        return checkpoint


def test_after_a_restart_finished_steps_and_the_one_in_progress_are_found() -> None:
    desk = JobContext()
    first = desk.checkpoint()
    first.finish("fit/0", CheckpointEntry({"loss": 0.5}, {"head/bias": ROW}))
    first.open("fit/1").save(lambda: CheckpointEntry({"epoch": 3}, {"w": ROW * 2}))

    second = desk.checkpoint()
    done = second.find("fit/0")
    assert done is not None
    assert done.facts == {"loss": 0.5}
    np.testing.assert_array_equal(done.arrays["head/bias"], ROW)
    at_work = second.open("fit/1").entry
    assert at_work is not None
    assert (at_work.facts, at_work.arrays["w"].tolist()) == ({"epoch": 3}, [[3.0, -4.0]])
    assert second.find("fit/1") is None
    assert second.open("fit/2").entry is None


def test_a_finished_step_is_no_longer_in_progress() -> None:
    desk = JobContext()
    checkpoint = desk.checkpoint()
    checkpoint.open("fit/0").save(lambda: CheckpointEntry({"epoch": 3}))
    checkpoint.finish("fit/0", CheckpointEntry({"epoch": 4}))
    after = desk.checkpoint()
    assert after.open("fit/0").entry is None
    assert [entry.facts for entry in after.find_all("fit/")] == [{"epoch": 4}]


def test_nothing_is_computed_or_saved_before_it_is_due() -> None:
    desk = JobContext()
    desk.is_due = False

    def costly() -> CheckpointEntry:
        raise AssertionError("made for nothing")

    checkpoint = desk.checkpoint()
    checkpoint.open("fit/0").save(costly)
    checkpoint.finish("fit/0", CheckpointEntry())
    assert desk.kept == []
    desk.is_due = True
    checkpoint.finish("fit/1", CheckpointEntry())
    assert desk.checkpoint().find("fit/0") is not None  # what was done before is kept with what comes after


def test_a_checkpoint_of_other_work_or_of_another_format_is_refused() -> None:
    desk = JobContext()
    desk.checkpoint().finish("fit/0", CheckpointEntry())
    with pytest.raises(BundleError, match="belongs to other work"):
        desk.checkpoint("job 2")
    checkpoint = Checkpoint("job 1")
    with pytest.raises(BundleError, match="belongs to other work"):
        checkpoint.restore(desk.kept[-1].replace(b'"format": 1', b'"format": 9'))
    assert checkpoint.find("fit/0") is None


@given(st.integers(0, 200), st.integers(0, 255))
def test_damaged_bytes_are_refused_or_read_as_a_checkpoint(at: int, byte: int) -> None:
    desk = JobContext()
    desk.checkpoint().finish("fit/0", CheckpointEntry({"epoch": 1}, {"w": ROW}))
    damaged = bytearray(desk.kept[-1])
    damaged[at % len(damaged)] = byte
    checkpoint = Checkpoint("job 1")
    try:
        checkpoint.restore(bytes(damaged))
    except BundleError:
        assert checkpoint.find_all("") == []
