"""What the contestants of ``make bench-training`` are given, and how their times become ratios."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import race
from benchmarks.contestants import panel_of_race, products
from benchmarks.race import Race
from benchmarks.training import finish, ratios, start, weights


@pytest.fixture
def sizes() -> Race:
    """Two series, 0 to 9 and 100 to 119."""
    values = np.concatenate([np.arange(10), np.arange(100, 120)]).astype(np.float32)
    return Race(values=values, lengths=np.array([10, 20]), context=4, horizon=2)


def test_windows_are_runs_of_one_series(sizes: Race) -> None:
    past, future = sizes.windows(200)
    both = np.concatenate([past, future], axis=1)
    assert both.shape == (200, 6)
    np.testing.assert_array_equal(np.diff(both), np.ones((200, 5)))
    assert set(both[:, 0].tolist()) == {*range(5), *range(100, 115)}


def test_series_are_scaled_and_constant_ones_stay_finite() -> None:
    values, lengths = race.scaled([np.array([1.0, 3.0]), np.array([5.0, 5.0, 5.0])])
    np.testing.assert_array_equal(values, [-1, 1, 0, 0, 0])
    assert lengths.tolist() == [2, 3]


def test_a_race_reaches_another_process_unchanged(sizes: Race, tmp_path: Path) -> None:
    race.write(replace(sizes, updates=7), tmp_path / "race.npz")
    found = race.read(tmp_path / "race.npz")
    assert (found.updates, found.context, found.horizon) == (7, 4, 2)
    np.testing.assert_array_equal(found.values, sizes.values)
    assert [len(y) for y in found.series()] == [10, 20]


def test_a_larger_panel_repeats_each_series(sizes: Race) -> None:
    panel = panel_of_race(replace(sizes, tiles=3))
    assert panel.lengths.tolist() == [30, 60]
    np.testing.assert_array_equal(panel.series(0), np.tile(np.arange(10.0), 3))
    np.testing.assert_array_equal(panel.series(1), np.tile(np.arange(100.0, 120.0), 3))


def test_ratios_are_those_of_medians_and_peers_count_with_their_faster_setting() -> None:
    rounds = {
        "ours": [1.0, 1.0, 50.0],
        "ours on JAX": [0.5],
        "keras.fit": [6.0],
        "Darts": [9.0],
        "Darts, one thread": [3.0],
        "neuralforecast": [2.0],
        "neuralforecast, one thread": [4.0],
        "matrix products alone": [0.75],
    }
    found = {row.name: (row.value, row.verdict) for row in ratios(rounds)}
    assert found == {
        "ours beside keras.fit": (6.0, "met"),
        "ours on JAX beside keras.fit": (12.0, "met"),
        "ours beside Darts": (3.0, "met"),
        "ours beside neuralforecast": (2.0, "MISSED"),
        "the most that is possible beside keras.fit": (8.0, ""),
    }


def test_the_matrix_products_are_timed_for_each_round(sizes: Race) -> None:
    found = products(replace(sizes, rounds=2))
    assert len(found) == 2
    assert min(found) > 0


def test_a_process_may_grow_by_its_panel_and_some() -> None:
    panel, growth = weights([100e6, 431e6])
    assert panel.value == pytest.approx(100)
    assert growth.bar == pytest.approx(430)
    assert growth.verdict == "MISSED"


def test_a_contestant_says_its_seconds_on_its_last_line(tmp_path: Path) -> None:
    talks = [sys.executable, "-c", "import os; print('hello'); print([1.5, float(os.environ['MORE'])])"]
    assert finish(start((talks, {"MORE": "2.5"}), tmp_path)) == [1.5, 2.5]


def test_a_contestant_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"sys\.exit.* failed with 3"):
        finish(start(([sys.executable, "-c", "import sys; sys.exit(3)"], {}), tmp_path))
