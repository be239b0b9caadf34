"""``forecastle forecast`` and ``backtest``: a registered version on a table; data on stdout, all else on stderr."""

import csv
import io
import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from app.store.tables import Version
from models.evaluation.backtest import evaluate
from models.evaluation.origins import origins_of, plan_for
from models.forecasting.forecaster import forecast as make_forecast
from models.forecasting.forecaster import predict
from tests.app.cli.conftest import Forecastle, Home, refused
from tests.app.work.small_jobs import SPEC, crown, keep, untrained, weeks
from tests.fakes import report
from tests.models.samples import ready_of, with_covariates

LAST_DAY = date(2024, 1, 1) + timedelta(days=89)


@pytest.fixture(name="demand")
def demand_fixture(home: Home) -> Version:
    """Champion of ``demand``, trained on the data set ``sales``."""
    database = home.database
    try:
        return crown(database, keep(database, weeks()))
    finally:
        database.dispose()


def test_a_forecast_is_csv_with_a_row_for_each_series_and_step(
    forecastle: Forecastle, home: Home, demand: Version
) -> None:
    result = forecastle("forecast", home.csv(), "--model", "demand")
    assert result.exit_code == 0
    assert result.stderr == "demand version 1, skill against seasonal naive 25.0 %\n"
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == ["unique_id", "ds", "median", "mean", "lo-80", "hi-80"]
    assert [row["unique_id"] for row in rows] == [name for name in ("s0", "s1", "s2") for _ in range(4)]
    assert [row["ds"] for row in rows[:4]] == [f"{LAST_DAY + timedelta(days=n)}T00:00:00" for n in (1, 2, 3, 4)]
    made = untrained()
    expected = make_forecast(ready_of(*made.members[0][:2]), made.calibration, weeks(), 4, [80])
    assert [float(row["median"]) for row in rows] == pytest.approx(expected.median.ravel().tolist())
    assert [float(row["mean"]) for row in rows] == pytest.approx(expected.mean.ravel().tolist())
    assert all(float(row["lo-80"]) < float(row["median"]) < float(row["hi-80"]) for row in rows)


def test_a_forecast_is_json_with_the_levels_of_the_options(forecastle: Forecastle, home: Home, demand: Version) -> None:
    options = ["--format", "json", "--level", 50, "--level", 95, "-H", 6, "--version", 1]
    result = forecastle("forecast", "dataset:sales", "-m", "demand", *options)
    rows = json.loads(result.stdout)
    assert len(rows) == 18
    assert set(rows[0]) == {"unique_id", "ds", "median", "mean", "lo-50", "hi-50", "lo-95", "hi-95"}
    assert "note: the model was trained and calibrated for 4 steps" in result.stderr


def test_a_forecast_has_the_quantiles_and_bounds_of_the_options(
    forecastle: Forecastle, home: Home, demand: Version
) -> None:
    options = ["--quantile", 0.1, "--quantile", 0.5, "--non-negative"]
    rows = list(csv.DictReader(io.StringIO(forecastle("forecast", "dataset:sales", "-m", "demand", *options).stdout)))
    assert list(rows[0]) == ["unique_id", "ds", "median", "mean", "lo-80", "hi-80", "q-0.1", "q-0.5"]
    assert all((row["q-0.1"], row["q-0.5"]) == (row["lo-80"], row["median"]) for row in rows)
    assert all(float(value) >= 0 for row in rows for name, value in row.items() if name not in ("unique_id", "ds"))


def test_bounds_of_the_option_take_the_place_of_those_of_the_model(
    forecastle: Forecastle, home: Home, demand: Version
) -> None:
    arguments = ["forecast", "dataset:sales", "-m", "demand", "--level", 99, "--format", "json"]
    highest = weeks().y.max().item()
    assert max(row["hi-99"] for row in json.loads(forecastle(*arguments).stdout)) > highest
    rows = json.loads(forecastle(*arguments, "--bounds", f",{highest}").stdout)
    assert max(row["hi-99"] for row in rows) == highest


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ("0", "--bounds: List should have at least 2 items"),
        ("low,high", "--bounds: Input should be a valid number"),
        ("5,1", "the lower of the bounds, 5, is not below the upper one, 1"),
    ],
)
def test_bounds_that_no_value_lies_within_are_refused(
    forecastle: Forecastle, home: Home, demand: Version, bounds: str, reason: str
) -> None:
    assert refused(forecastle("forecast", "dataset:sales", "-m", "demand", "--bounds", bounds), reason)


def test_bounds_that_exclude_the_history_are_refused(forecastle: Forecastle, home: Home, demand: Version) -> None:
    table = home.csv(panel=weeks(series=1))
    assert refused(forecastle("forecast", table, "-m", "demand", "--bounds", "0,2"), "series 's0': the history has the")


def test_a_note_names_its_series(forecastle: Forecastle, home: Home, demand: Version) -> None:
    flat = weeks(series=1)
    flat.y[:] = 5.0
    result = forecastle("forecast", home.csv(panel=flat), "-m", "demand")
    assert "have no width (s0)" in result.stderr
    assert {row["median"] for row in csv.DictReader(io.StringIO(result.stdout))} == {"5.0"}


def test_warnings_about_the_version_are_printed_in_the_words_of_the_api(forecastle: Forecastle, home: Home) -> None:
    database = home.database
    crown(database, keep(database, weeks()), report=report(-0.1, 4))
    database.dispose()
    result = forecastle("forecast", home.csv(), "-m", "demand")
    assert "note: this version was not better than seasonal naive in its backtest\n" in result.stderr


def test_a_backtest_shows_the_model_beside_the_baselines(forecastle: Forecastle, home: Home, demand: Version) -> None:
    result = forecastle("backtest", home.csv(), "--model", "demand", "--format", "json")
    rows = {row["forecaster"]: row for row in json.loads(result.stdout)}
    networks, panel = ready_of(*untrained().members[0][:2]), weeks()
    origins = origins_of(panel, plan_for(panel, 4, 7), 7)
    found = evaluate(lambda *windows: predict(networks, *windows), origins).report
    for name in ("model", "seasonal_naive", "naive", "drift"):
        assert rows[name]["mase"] == pytest.approx(found.scores[name]["mase"])
    assert result.stderr == f"demand version 1: {found.windows} windows from {found.origins} origins\n"
    again = list(csv.DictReader(io.StringIO(forecastle("backtest", "dataset:sales", "-m", "demand", "-H", 2).stdout)))
    assert [row["forecaster"] for row in again] == ["model", "seasonal_naive", "naive", "drift"]


def test_a_table_without_the_covariates_of_the_model_is_refused(forecastle: Forecastle, home: Home) -> None:
    database = home.database
    priced = with_covariates(weeks(), price=np.arange(270.0))
    crown(database, keep(database, priced), untrained(replace(SPEC, past_covariates=("price",))))
    database.dispose()
    for command in ("forecast", "backtest"):
        result = forecastle(command, home.csv("other.csv"), "-m", "demand")
        assert refused(result, "there is no covariate 'price'", "send a column of that name")
        assert forecastle(command, "dataset:sales", "-m", "demand").exit_code == 0


@pytest.mark.parametrize("command", ["forecast", "backtest"])
def test_a_table_or_model_that_cannot_be_read_is_refused_in_one_line(
    forecastle: Forecastle, home: Home, demand: Version, command: str
) -> None:
    assert refused(forecastle(command, "nowhere.csv", "-m", "demand"), "there is no file nowhere.csv; check the path")
    assert refused(forecastle(command, "sales.xls", "-m", "demand"), "must end in .csv, .tsv, .parquet, .json")
    wrong = forecastle(command, "sample:tides", "-m", "demand")
    assert refused(wrong, "no sample of the name 'tides'; the samples are electricity-hourly, retail-monthly")
    assert refused(forecastle(command, "dataset:tides", "-m", "demand"), "no data set 'tides'", "lists them")
    assert refused(forecastle(command, home.csv(), "-m", "tides"), "no model 'tides'", "lists them")
    assert refused(forecastle(command, home.csv(), "-m", "demand", "--version", 9), "no version 9; its versions are 1")
    twice = Path(home.csv("twice.csv"))
    twice.write_text("".join(line * (1 + (n == 50)) for n, line in enumerate(twice.read_text().splitlines(True))))
    assert refused(forecastle(command, twice, "-m", "demand"), "series 's0', row 52", "is there twice")


def test_a_table_of_another_frequency_is_refused(forecastle: Forecastle, home: Home, demand: Version) -> None:
    hourly = home.csv("hourly.csv", weeks(freq="h"))
    forecast, backtest = (forecastle(command, hourly, "-m", "demand") for command in ("forecast", "backtest"))
    assert refused(forecast, "has frequency h, the model was trained on D")
    assert refused(backtest, "version: demand@1 has frequency D, the data h; name a version of that frequency")


def test_a_table_that_names_no_frequency_is_read_at_that_of_the_version(forecastle: Forecastle, home: Home) -> None:
    database = home.database
    business = replace(SPEC, freq="B")
    crown(database, keep(database, weeks(freq="B")), untrained(business))
    database.dispose()
    table = Path(home.csv("week.csv"))
    table.write_text("unique_id,ds,y\n" + "".join(f"s0,2024-01-{day:02d},{day}\n" for day in (1, 2, 3, 4, 5)))
    rows = csv.DictReader(io.StringIO(forecastle("forecast", table, "-m", "demand").stdout))
    assert [row["ds"][:10] for row in rows] == ["2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11"]


def test_levels_and_horizons_out_of_range_are_refused(forecastle: Forecastle, home: Home, demand: Version) -> None:
    arguments = ["forecast", home.csv(), "-m", "demand"]
    assert refused(forecastle(*arguments, "--level", 100), "--level: Input should be less than or equal to 99")
    assert refused(forecastle(*arguments, "--quantile", 0.333), "--quantile: give quantiles from 0.005 to 0.995 in")
    assert refused(forecastle(*arguments, "-H", 0), "--horizon: Input should be greater than or equal to 1")
    too_short = forecastle("backtest", home.csv("short.csv", weeks(points=4)), "-m", "demand")
    assert refused(too_short, "the longest series has 4 points", "shorter horizon")


def test_a_version_whose_bytes_changed_is_not_used(forecastle: Forecastle, home: Home) -> None:
    database = home.database
    made = untrained()
    crown(database, keep(database, weeks()), made, bundle=b"damaged")
    database.dispose()
    assert refused(forecastle("forecast", home.csv(), "-m", "demand"), "error: ")
