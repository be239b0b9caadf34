"""The protocols that published figures are measured by: two sines, ETT, M4."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy import ett, m4, two_sine
from benchmarks.accuracy.protocol import Answer
from benchmarks.data import Dataset, datasets
from models.data.calendar import Freq
from models.data.panel import Panel
from models.types import Ints
from tests.benchmarks.test_accuracy import FakeTeacher, panel, saved, truth_and
from tests.benchmarks.test_data import SHARED, needs_data


def test_the_two_sine_series_are_those_of_the_published_figures() -> None:
    waves, noise = two_sine.series()
    values = waves + noise
    chosen = values[7_000:9_000]
    naive = np.square(chosen[:, 50:] - chosen[:, 49:50]).mean()
    assert naive == pytest.approx(0.2570, abs=5e-5)  # as published for these series: 0.25697


def test_nobody_can_be_better_at_the_two_sine_task_than_its_noise() -> None:
    waves, _ = two_sine.series()
    parts = {1_000: waves[9_000:], 2_000: waves[7_000:9_000]}

    def oracle(panel: Panel, series: Ints, at: Ints, horizon: int) -> Answer:
        mean = parts[len(panel)][series][:, 50:]
        return Answer(mean, mean, mean)

    teacher = FakeTeacher(oracle)
    found = two_sine.measure(teacher)
    assert found["mse"] == pytest.approx(0.1**2 / 12, rel=0.03)
    assert found["validation_mse"] == pytest.approx(0.1**2 / 12, rel=0.03)
    assert teacher.taught is not None
    assert len(teacher.taught) == 7_000
    assert teacher.held == 0


@pytest.fixture
def temperatures(tmp_path: Path) -> Dataset:
    """14,450 hours of seven columns."""
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(i, i + 1, 14_450) for i, name in enumerate(ett.COLUMNS)}
    moments = pd.date_range("2016-07-01", periods=14_450, freq="h")
    file = tmp_path / "ett.parquet"
    pd.DataFrame({"unique_id": "one", "ds": moments, **columns}).to_parquet(file)
    return Dataset(name="etth1", file=file, freq=Freq(1, "h"), horizon=96, season=24)


def test_ett_has_twelve_four_and_four_months(temperatures: Dataset) -> None:
    quarters = Dataset(name="ettm1", file=temperatures.file, freq=Freq(15, "min"), horizon=96, season=96)
    assert ett.parts(temperatures) == (8_640, 2_880, 2_880)
    assert ett.parts(quarters) == (34_560, 11_520, 11_520)


def test_ett_is_standardised_by_the_part_that_teaches(temperatures: Dataset) -> None:
    whole = ett.panel(temperatures)
    assert set(whole.lengths) == {14_400}
    for _, y in whole:
        assert y[:8_640].mean() == pytest.approx(0, abs=1e-9)
        assert y[:8_640].std() == pytest.approx(1)


def test_ett_counts_every_window_of_the_test_part() -> None:
    series, at = ett.moments(7, 11_520, 2_880, 96)
    assert len(at) == 7 * (2_880 - 96 + 1)
    assert (at.min(), at.max() + 96) == (11_520, 14_400)
    assert set(series) == set(range(7))


def test_ett_errors_are_means_over_windows_steps_and_columns(temperatures: Dataset) -> None:
    teacher = FakeTeacher(truth_and(lambda step: np.where(step < 48, 1.0, 3.0)))
    found = ett.measure(temperatures, 96, teacher)
    assert found["mse"] == pytest.approx(5.0)  # (1 + 9) / 2
    assert found["mae"] == pytest.approx(2.0)
    assert found["validation_mse"] == pytest.approx(5.0)
    assert found["windows"] == 19_495
    assert teacher.taught is not None
    assert set(teacher.taught.lengths) == {11_520}  # the test part is not there
    assert teacher.held == 2_880
    assert teacher.fields == {"season": 24, "context": 720, "horizon": 96}


def test_owa_is_worked_out_beside_naive2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cards").mkdir()
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    reference = pd.DataFrame({"unique_id": ["s0"], "step": [1], "Naive2": [2.0]})
    reference.to_parquet(tmp_path / m4.REFERENCE)
    found = m4.scores(panel(np.array([1.0, 2, 3, 4])), np.array([[3.0]]), season=1)
    # Off by 1 where Naive2 is off by 2: MASE 1 against 2, sMAPE 200/7 against 200/3.
    assert found["mase"] == pytest.approx(1.0)
    assert found["smape"] == pytest.approx(200 / 7)
    assert found["owa"] == pytest.approx((3 / 7 + 1 / 2) / 2)


@needs_data
@pytest.mark.parametrize("name", ["m4_hourly", "m4_weekly"])
def test_the_scores_of_the_competition_are_reproduced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(SHARED))
    dataset = datasets()[name]
    whole = dataset.panel()
    with (SHARED / "m4_submission_scores_recomputed.csv").open() as file:
        published = [row for row in csv.DictReader(file) if row["dataset"] == name]
    assert len(published) == 7
    for row in published:
        method = row["submission"] if row["submission"].isalnum() and not row["submission"].isdigit() else None
        handed_in = m4.reference(whole, dataset.horizon, method or f"sub{row['submission']}")
        found = m4.scores(whole, handed_in, dataset.season)
        assert found["owa"] == pytest.approx(float(row["OWA"]), rel=1e-12)
        assert found["mase"] == pytest.approx(float(row["MASE"]), rel=1e-12)
        assert found["smape"] == pytest.approx(float(row["sMAPE"]), rel=1e-12)


def test_m4_teaches_on_the_training_sets_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cards").mkdir()
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    pd.DataFrame({"unique_id": ["s0"] * 2, "step": [1, 2], "Naive2": [6.0, 6.0]}).to_parquet(tmp_path / m4.REFERENCE)
    teacher = FakeTeacher(truth_and(lambda step: 0.0 * step))
    found = m4.measure(saved(panel(np.arange(9.0)), tmp_path, horizon=2, season=1), teacher)
    assert found["owa"] == 0.0
    assert teacher.taught is not None
    np.testing.assert_array_equal(teacher.taught.y, np.arange(7.0))
