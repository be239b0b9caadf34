"""The loaders of the benchmarks: rows of a file become regular series, and every set says where it can be had."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import data
from benchmarks.data import Dataset, datasets, sources, usual_step, where
from models.data.calendar import Freq

SHARED = data.ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not (SHARED / "cards").is_dir(), reason="the shared data are not beside the repository")


def write(folder: Path, name: str, rows: list[tuple[str, str, float | None]]) -> Path:
    """A Parquet file of (series, moment, value)."""
    frame = pd.DataFrame(rows, columns=["unique_id", "ds", "y"])
    frame["ds"] = pd.to_datetime(frame["ds"], format="ISO8601").astype("datetime64[us]")
    file = folder / f"{name}.parquet"
    frame.to_parquet(file)
    return file


def daily(file: Path) -> Dataset:
    return Dataset(name="some", file=file, freq=Freq(1, "D"), horizon=2, season=1)


def test_missing_rows_are_missing_values_and_ends_without_values_are_cut_off(tmp_path: Path) -> None:
    days = [("01", None), ("02", 1.0), ("03", None), ("04", 3.0), ("06", 5.0), ("07", None)]
    file = write(tmp_path, "some", [("a", f"2020-01-{day}", value) for day, value in days])
    panel = daily(file).panel()
    np.testing.assert_array_equal(panel.series(0), [1.0, np.nan, 3.0, np.nan, 5.0])
    assert panel.starts[0] == np.datetime64("2020-01-02")


def test_of_two_rows_in_one_step_the_first_counts(tmp_path: Path) -> None:
    file = write(tmp_path, "some", [("a", "2020-01-01", 1.0), ("a", "2020-01-02", 2.0), ("a", "2020-01-02T12:00", 9.0)])
    np.testing.assert_array_equal(daily(file).panel().series(0), [1.0, 2.0])


def test_a_set_of_mixed_frequencies_is_as_many_sets_whose_seasons_last_equally_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stamps(step: str) -> list[str]:
        return [str(t) for t in pd.date_range("2020-01-01", periods=30, freq=step)]

    odd = [str(t) for t in pd.to_datetime(np.cumsum([7, 5, 5, 3, 11, 5, 2, 9] * 4), unit="m", origin="2020-01-01")]
    steps = {"quick": stamps("5min"), "slow": stamps("h"), "odd": odd}
    write(tmp_path, "zoo", [(name, moment, 1.0) for name, moments in steps.items() for moment in moments])
    card: dict[str, Any] = {"name": "zoo", "file": "zoo.parquet", "freq": "mostly 5min; some hourly/irregular"}
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "zoo.json").write_text(json.dumps({**card, "horizon": 288, "seasonality": 288}))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    found = datasets()
    assert {name: (each.horizon, each.season, each.ids) for name, each in found.items()} == {
        "zoo_5min": (288, 288, ("quick",)),
        "zoo_h": (24, 24, ("slow",)),
    }
    assert found["zoo_h"].panel().ids == ("slow",)


def test_the_usual_step_is_the_most_common_one_and_rows_beside_its_grid_are_counted() -> None:
    times = np.array(["2020-01-01T00", "2020-01-01T01", "2020-01-01T02", "2020-01-01T02:30"], dtype="datetime64[us]")
    assert usual_step(times) == (np.timedelta64(1, "h"), 0.25)


def test_without_data_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"set BENCH_DATA; python -m benchmarks\.data says where it can be had"):
        data.folder()


def test_every_set_says_where_it_can_be_had_and_under_which_licence() -> None:
    listed = json.loads(data.SOURCES.read_text())
    assert len(listed) == 46
    for each in listed:
        assert each["licence"]
        assert where(each["source"]).startswith(("https://github.com/", "Python package "))


def test_a_source_in_two_places_names_both() -> None:
    places = [
        {"kind": "github", "repo": "a/b", "commit": "c1"},
        {"kind": "pypi", "package": "d", "version": "2"},
    ]
    assert where(places) == "https://github.com/a/b/tree/c1; Python package d 2"


@needs_data
def test_the_list_of_sources_is_what_the_cards_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(SHARED))
    assert sources() == json.loads(data.SOURCES.read_text())


@needs_data
def test_every_set_is_a_panel_with_more_than_a_season(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(SHARED))
    for dataset in datasets().values():
        panel = dataset.panel()
        assert panel.median_length > dataset.season + dataset.horizon, dataset.name
        assert np.isfinite(panel.y[panel.indptr[:-1]]).all(), dataset.name
