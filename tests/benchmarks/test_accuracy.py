"""The protocols of ``make bench-accuracy``, on forecasters whose scores can be worked out by hand."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy import sets, theta
from benchmarks.accuracy.protocol import (
    Answer,
    Plan,
    Predictor,
    actual_of,
    coverage_by_steps,
    mean_error,
    plan_for,
    windows_of,
)
from benchmarks.accuracy.report import rows
from benchmarks.accuracy.tasks import Crew, Task, noted, tasks
from benchmarks.data import Dataset, datasets, panel_of
from benchmarks.learn import Open, Recipe, Teacher
from models.data.calendar import Freq
from models.data.panel import Panel
from models.evaluation.intervals import Prediction
from models.types import Floats, Ints
from tests.benchmarks.test_data import SHARED, needs_data

START = np.datetime64("2020-01-01", "us")


def panel(*series: Floats) -> Panel:
    return panel_of(Freq(1, "D"), ((f"s{i}", START, np.asarray(y, dtype=np.float64)) for i, y in enumerate(series)))


def saved(each: Panel, folder: Path, horizon: int, season: int) -> Dataset:
    """``each`` as the file of a data set."""
    frames = [pd.DataFrame({"unique_id": n, "ds": each.times(i), "y": y}) for i, (n, y) in enumerate(each)]
    file = folder / "some.parquet"
    pd.concat(frames).to_parquet(file)
    return Dataset(name="some", file=file, freq=each.freq, horizon=horizon, season=season)


def truth_and(off: Callable[[Ints], Floats]) -> Predictor:
    """A predictor that knows what comes and is ``off`` by so much at steps 0, 1, ...; its intervals reach 0.75 up."""

    def said(panel: Panel, series: Ints, at: Ints, horizon: int) -> Answer:
        mean = actual_of(panel, series, at, horizon) - off(np.arange(horizon))
        return Answer(mean, mean, mean + 0.75)

    return said


class FakeTeacher:
    """Teaches nothing: keeps what it was given, and hands out a predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.taught: Panel | None = None
        self.fields: Mapping[str, Any] = {}
        self.held: int | None = None

    def __call__(self, panel: Panel, fields: Mapping[str, Any], held: int | None = None) -> Predictor:
        self.taught, self.fields, self.held = panel, fields, held
        return self.predictor


def test_origins_lie_in_the_newest_fifth_and_no_further_apart_than_the_horizon() -> None:
    single, several, long = panel(np.zeros(100)), panel(*[np.zeros(100)] * 5), panel(*[np.zeros(1000)] * 5)
    assert plan_for(single, 10, 7) == Plan(horizon=10, season=7, origins=20, stride=1)
    assert plan_for(several, 10, 7) == Plan(horizon=10, season=7, origins=5, stride=2)  # (20 - 10) // 4
    assert plan_for(several, 10, 7).held_out == 18
    assert plan_for(long, 24, 7).stride == 24  # (200 - 24) // 4 is 44


def test_a_horizon_longer_than_the_newest_fifth_moves_one_step_at_a_time() -> None:
    assert plan_for(panel(*[np.zeros(20)] * 2), 6, 1) == Plan(horizon=6, season=1, origins=5, stride=1)


def test_a_series_takes_part_where_it_has_more_than_a_season_behind_it() -> None:
    both = panel(np.arange(10.0) ** 2, np.array([0.0, 1, 2, 5, 9]))
    windows = windows_of(both, Plan(horizon=2, season=2, origins=3, stride=2))
    moments = list(zip(windows.origin, windows.series, windows.at, strict=True))
    assert moments == [(0, 0, 4), (1, 0, 6), (2, 0, 8), (2, 1, 3)]
    np.testing.assert_array_equal(windows.actual, [[16, 25], [36, 49], [64, 81], [5, 9]])
    # Differences over two steps before the first window: 4 - 0 and 9 - 1 of the first series, 2 - 0 of the second.
    np.testing.assert_array_equal(windows.unit, [6, 6, 6, 2])


def test_the_mean_is_over_series_and_then_over_origins() -> None:
    windows = windows_of(panel(np.arange(4.0), np.arange(3.0)), Plan(horizon=1, season=1, origins=2, stride=1))
    assert windows.origin.tolist() == [0, 1, 1]
    assert mean_error(np.array([7.0, 1.0, 3.0]), windows) == 4.5  # (7 + (1 + 3) / 2) / 2, not 11 / 3
    assert mean_error(np.array([np.nan, 1.0, 3.0]), windows) == 2.0


def test_a_set_is_scored_beside_seasonal_naive_on_the_same_windows(tmp_path: Path) -> None:
    # On a line of slope 1, seasonal naive (season 1) is off by 1 and 2 over two steps, and MASE's unit is 1.
    lines = panel(*[np.arange(20.0) + i for i in range(5)])
    dataset = saved(lines, tmp_path, horizon=2, season=1)
    teacher = FakeTeacher(truth_and(lambda step: (step + 1) / 2))
    plan = plan_for(lines, 2, 1)
    found = sets.measure(dataset, teacher, {"some": {"plan": str(plan), "mase": 3.0}})
    assert found["mase"] == pytest.approx(0.75)
    assert found["seasonal_naive_mase"] == pytest.approx(1.5)
    assert found["ratio"] == pytest.approx(0.5)
    assert found["theta_ratio"] == pytest.approx(0.25)
    assert found["coverage"] == 0.5  # an interval that reaches 0.75 up holds what is 0.5 above, not what is 1 above
    assert found["windows"] == 25
    assert teacher.fields == {"horizon": 2, "season": 1}
    assert teacher.taught is not None
    assert set(teacher.taught.lengths) == {20 - plan.held_out}


def test_points_never_observed_count_neither_as_errors_nor_as_covered(tmp_path: Path) -> None:
    y = np.arange(60.0)
    y[-11] = np.nan
    dataset = saved(panel(y), tmp_path, horizon=1, season=1)
    plan = plan_for(dataset.panel(), 1, 1)
    assert plan.origins == 20
    found = sets.measure(
        dataset, FakeTeacher(truth_and(lambda step: 0 * step + 0.5)), {"some": {"plan": str(plan), "mase": None}}
    )
    assert found["mase"] == pytest.approx(0.5)
    assert found["coverage"] == 1.0
    assert found["theta_ratio"] is None


def test_theta_of_another_plan_is_not_compared() -> None:
    plan = Plan(horizon=2, season=1, origins=5, stride=1)
    entries = {"some": {"plan": "horizon 3, season 1, 5 origins 1 apart", "mase": 1.0}}
    with pytest.raises(
        LookupError, match=r"has horizon 3, .* for some, not .horizon 2, .*; python -m benchmarks\.accuracy\.theta"
    ):
        theta.recorded(entries, "some", plan)


def test_theta_forecasts_at_most_forty_series_evenly_chosen() -> None:
    many = panel(*[np.arange(12.0)] * 79)
    windows = windows_of(many, Plan(horizon=1, season=1, origins=2, stride=1))
    chosen = theta.sample(many, windows)
    assert chosen.sum() == 80
    assert set(windows.series[chosen]) == set(range(0, 79, 2))


def test_theta_takes_no_part_where_the_season_is_too_long(tmp_path: Path) -> None:
    entry = theta.compute(saved(panel(np.arange(400.0)), tmp_path, horizon=5, season=96))
    assert entry["mase"] is None
    assert entry["why"] == "a season of 96 steps is more than 60"


def test_theta_follows_a_line(tmp_path: Path) -> None:
    pytest.importorskip("statsforecast", reason="the extra `worker` is not installed")
    entry = theta.compute(saved(panel(np.arange(60.0)), tmp_path, horizon=2, season=1))
    assert entry["mase"] < 0.75  # half of seasonal naive's 1.5: Theta follows half of the trend at least
    assert entry["windows"] == 20


def test_theta_was_computed_for_the_plan_of_every_set() -> None:
    known = theta.known()
    assert len(known) == 48
    assert set(theta.why_not()) == {"ettm1", "nab_5min", "weather_jena_10min", "yosemite_temps_5min"}


def test_the_table_has_the_geometric_mean_and_the_shares() -> None:
    def one(ratio: float, theta_ratio: float | None, coverage: float) -> dict[str, Any]:
        return {"ratio": ratio, "theta_ratio": theta_ratio, "coverage": coverage, "cpu_seconds": 10 * ratio}

    found = {
        "sets/a": one(0.5, 0.9, 0.80),
        "sets/b": one(2.0, None, 0.75),
        "sets/c": one(1.0, 1.1, 0.60),
        "two-sine/two-sine": {"mse": 0.0019, "cpu_seconds": 100.0},
    }
    values = {row.name: (round(row.value, 6), row.verdict) for row in rows(found)}
    assert values == {
        "two-sine": (0.0019, "MISSED"),
        "two-sine: training": (100.0, "met"),
        "3 sets: MASE / seasonal naive's, geometric mean": (1.0, "MISSED"),
        "3 sets: better than seasonal naive": (0.333333, "MISSED"),
        "2 sets: better than AutoTheta": (0.5, "MISSED"),
        "3 sets: 75 to 85 % in intervals of 80 %": (0.666667, "MISSED"),
        "3 sets: training, median": (10.0, ""),
        "3 sets: training, longest": (20.0, ""),
    }
    found["sets/b"]["seconds_alone"] = 31.0  # with all cores, which is what the bar speaks of
    alone = {row.name: row.verdict for row in rows(found)}["3 sets: training, longest, on all cores"]
    assert alone == "MISSED"


def test_coverage_by_steps_has_its_noise_and_the_number_of_windows() -> None:
    # Three steps taught and one beyond: intervals from 0 to 1 hold the values of 0.5.
    actual = np.array([[0.5, 0.5, 9.0, np.nan], [0.5, 9.0, 9.0, np.nan], [np.nan, 0.5, 9.0, 0.5]])
    answer = Answer(actual * 0, np.zeros((3, 4)), np.ones((3, 4)))
    assert coverage_by_steps(actual, answer, 3) == {
        "first": {"share": 1.0, "windows": 2, "noise": 0.0},
        "middle": {"share": pytest.approx(2 / 3), "windows": 3, "noise": pytest.approx(1 / 3)},  # 1, 0 and 1
        "last": {"share": 0.0, "windows": 3, "noise": 0.0},
        "beyond": {"share": 1.0, "windows": 1, "noise": None},
    }


def test_the_table_has_the_share_of_sets_that_are_right_in_each_third_and_beyond() -> None:
    def one(*shares: float | None) -> dict[str, Any]:
        parts = [None if share is None else {"share": share, "windows": 5, "noise": 0.02} for share in shares]
        by_steps = dict(zip(("first", "middle", "last", "beyond"), parts, strict=True))
        plain = {"ratio": 0.5, "theta_ratio": None, "coverage": 0.8, "cpu_seconds": 1.0}
        return {**plain, "coverage_by_steps": by_steps}

    found = {
        "sets/a": one(0.75, 0.8, 0.85, 0.9),
        "sets/b": one(0.8, 0.8, 0.8, 0.8),
        "sets/c": one(0.8, 0.74, 0.8, None),
        "sets/d": one(0.8, 0.8, None, None),  # a horizon of two steps
    }
    values = {row.name: (round(row.value, 6), row.verdict) for row in rows(found)}
    assert values["3 sets: 75 to 85 % in each third of the horizon"] == (0.666667, "MISSED")
    assert values["3 sets: 75 to 85 % in each third of the horizon, or within two standard errors"] == (1.0, "")
    assert values["2 sets: 75 to 85 % beyond the horizon"] == (0.5, "MISSED")
    assert values["2 sets: 75 to 85 % beyond the horizon, or within two standard errors"] == (0.5, "")


ECHO = (
    "import json, os, sys; "
    "assert sys.argv[1] != 'sets/bad', 'it is bad'; "
    "print('noise'); "
    "print(json.dumps({'argv': sys.argv[1:], 'backend': os.environ['KERAS_BACKEND'],"
    " 'threads': os.environ['OMP_NUM_THREADS']}))"
)


def test_each_task_has_a_process_of_its_own_and_a_failure_is_told() -> None:
    crew = Crew(processes=2, backend="jax", seed=7, command=(sys.executable, "-c", ECHO))
    found = {str(task): each for task, each in crew.run([Task("sets", "good"), Task("sets", "bad")])}
    assert found["sets/good"]["argv"] == ["sets/good", "7"]
    assert found["sets/good"]["backend"] == "jax"
    assert int(found["sets/good"]["threads"]) >= 1
    assert found["sets/bad"]["error"][-1] == "AssertionError: it is bad"


def test_what_was_found_is_not_measured_again_but_failures_are(tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    assert noted(file) == {}
    lines = [
        {"task": "sets/a", "ratio": 1.0},
        {"task": "sets/b", "error": ["it broke"]},
        {"task": "sets/a", "ratio": 2.0},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert noted(file) == {"sets/a": {"ratio": 2.0}}


@needs_data
def test_every_set_is_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(SHARED))
    assert {task.name for task in tasks() if task.suite == "sets"} == set(datasets())
    assert len(tasks()) == len(set(tasks())) == 48 + 8


@pytest.mark.parametrize("held", [None, 6])
def test_the_library_speaks_the_words_of_the_protocols(held: int | None) -> None:
    short = Recipe(fields={"units": 2, "context": 8, "segment": 1}, training={"max_epochs": 1, "steps_per_epoch": 2})
    waves = panel(*[np.sin(np.arange(80) * (i + 1) / 7) + i for i in range(3)])
    predictor = Teacher(short, seed=0)(waves.cut(10), {"horizon": 3, "season": 7}, held)
    said = predictor(waves, np.array([2, 0]), np.array([70, 75]), 3)
    assert said.median.shape == (2, 3)
    assert np.isfinite(said.median).all()
    if held is None:
        assert (said.lo < said.median).all()
        assert (said.median < said.hi).all()
    else:
        np.testing.assert_array_equal(said.lo, said.hi)


def test_each_value_arrives_once() -> None:
    days = panel(np.arange(10.0), np.arange(10.0) + 100)
    flat = Prediction.of_points(np.zeros((2, 3)), np.ones((2, 1)))
    said = Open(np.array([0, 1]), np.array([5, 5]), flat, np.zeros(2, dtype=np.int64))
    np.testing.assert_array_equal(said.arrived(days, {0: 7, 1: 5}, 3), [[5, 6, np.nan], [np.nan] * 3])
    np.testing.assert_array_equal(said.arrived(days, {0: 9}, 3), [[np.nan, np.nan, 7], [np.nan] * 3])
    np.testing.assert_array_equal(said.arrived(days, {0: 9, 1: 6}, 3), [[np.nan] * 3, [105, np.nan, np.nan]])
