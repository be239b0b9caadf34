"""Batches of any size for engines with few sizes: padding, passes and pieces do not change the outputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engines.batching import batch_sizes, pieces, run_in_passes, run_in_pieces, run_padded


class Sums:
    """An engine that gives the sum of each row and records the number of rows."""

    def __init__(self):
        self.rows = []

    def run(self, inputs):
        self.rows.append(len(inputs["past"]))
        return {"predicted": inputs["past"].sum(axis=(1, 2), keepdims=True), "next_0": inputs["state_0"] + 1}


class Carries:
    """A cell that halves its state and adds each point; it gives its state and records the number of points."""

    def __init__(self):
        self.points = []

    def run(self, inputs):
        self.points.append(inputs["past"].shape[1])
        state = inputs["state_0"]
        for point in inputs["past"].transpose(1, 0, 2):
            state = state / 2 + point
        return {"predicted": state[:, None] + inputs["ahead"], "next_0": state}


def inputs_of(rows, points=2):
    rng = np.random.default_rng(0)
    return {
        "past": rng.normal(size=(rows, points, 1)).astype(np.float32),
        "state_0": rng.normal(size=(rows, 1)).astype(np.float32),
        "ahead": rng.normal(size=(rows, 3, 1)).astype(np.float32),
    }


def same(found, expected):
    return found.keys() == expected.keys() and all((found[name] == value).all() for name, value in expected.items())


def test_batch_sizes_are_few_and_end_with_the_largest():
    assert batch_sizes(512) == (1, 8, 64, 512)
    assert batch_sizes(50) == (1, 8, 50)
    assert [batch_sizes(rows) for rows in (0, 1, 2, 8, 9)] == [(), (1,), (1, 2), (1, 8), (1, 8, 9)]


@pytest.mark.parametrize(("rows", "given"), [(0, 1), (1, 1), (2, 8), (8, 8), (9, 64), (64, 64)])
def test_a_batch_is_padded_to_the_next_size_and_the_rest_is_dropped(rows, given):
    engine = Sums()
    assert same(run_padded(engine.run, inputs_of(rows), (1, 8, 64)), Sums().run(inputs_of(rows)))
    assert engine.rows == [given]


@pytest.mark.parametrize(("rows", "given"), [(0, [0]), (3, [3]), (4, [4]), (5, [4, 1]), (9, [4, 4, 1])])
def test_a_large_batch_runs_in_several_passes(rows, given):
    engine = Sums()
    assert same(run_in_passes(engine.run, inputs_of(rows), 4), Sums().run(inputs_of(rows)))
    assert engine.rows == given


@pytest.mark.parametrize(("points", "given"), [(1, [1]), (7, [1] * 7), (8, [8]), (20, [20]), (37, [20, 8, 8, 1])])
def test_a_state_is_carried_from_piece_to_piece(points, given):
    engine = Carries()
    found = run_in_pieces(engine.run, inputs_of(3, points), (1, 8, 20))
    assert engine.points == given
    assert same(found, Carries().run(inputs_of(3, points)))


@given(st.integers(0, 2000), st.integers(1, 300))
def test_pieces_have_the_given_sizes_and_cover_every_step(count, most):
    cut = list(pieces(count, batch_sizes(most)))
    assert [i for piece in cut for i in range(count)[piece]] == list(range(count))
    assert {piece.stop - piece.start for piece in cut} <= set(batch_sizes(most))
    assert len(cut) <= count // most + 7 * len(batch_sizes(most))
