"""One panel from the history and the future of a request."""

from typing import Any

import numpy as np
import pytest

from app.forecasting.request_panel import panel_of as build
from app.schemas.forecasts import ForecastRequest
from models.data.panel import Panel, panel_from_columns
from models.errors import InputError
from tests.app.api.tables import days

NAN = float("nan")
AHEAD = {"unique_id": "shop", "ds": ["2026-01-04", "2026-01-05"], "covariates": {"price": [7, 8]}}


def stored() -> Panel:
    """Return two series, one of them with a row known ahead."""
    names, ds = ["shop"] * 4 + ["kiosk"] * 3, days(4) + days(3)
    price = {"price": [5, 5, 6, 9, 1, 1, 1]}
    return panel_from_columns(names, ds, [1, 2, 3, None, 10, 20, 30], "D", price)


def panel_of(stored: Panel | None = None, freq: str = "D", **fields: Any) -> Panel:
    return build(ForecastRequest.model_validate({"model": "demand", **fields}), stored, freq)


def fault(**fields: Any) -> tuple[str, str | None]:
    with pytest.raises(InputError) as caught:
        panel_of(**fields)
    return caught.value.faults[0].code, caught.value.faults[0].unique_id


def test_a_history_may_lack_values_and_rows_and_have_covariates() -> None:
    ds = ["2026-01-01", "2026-01-02", "2026-01-04"]
    panel = panel_of(history={"ds": ds, "y": [1, None, 4], "covariates": {"on": [True, False, None]}})
    np.testing.assert_array_equal(panel.y, [1, NAN, NAN, 4])
    np.testing.assert_array_equal(panel.covariates["on"], [1, 0, NAN, NAN])
    assert str(panel.freq) == "D"


def test_a_future_follows_inline_history() -> None:
    history = {"unique_id": "shop", "ds": days(3), "y": [1, 2, 3], "covariates": {"price": [5, 5, 6]}}
    panel = panel_of(history=history, future=AHEAD)
    np.testing.assert_array_equal(panel.y, [1, 2, 3, NAN, NAN])
    assert panel.covariates["price"].tolist() == [5, 5, 6, 7, 8]
    assert panel.observed_lengths.tolist() == [3]


def test_a_future_replaces_the_future_rows_of_a_data_set() -> None:
    whole = panel_of(stored(), dataset={"name": "sales"})
    assert whole.covariates["price"].tolist() == [5, 5, 6, 9, 1, 1, 1]
    panel = panel_of(stored(), dataset={"name": "sales"}, future=AHEAD)
    assert panel.covariates["price"].tolist() == [5, 5, 6, 7, 8, 1, 1, 1]
    assert panel.observed_lengths.tolist() == [3, 3]


def test_a_future_is_cut_to_the_series_asked_for() -> None:
    panel = panel_of(stored(), dataset={"name": "sales", "ids": ["kiosk"]}, future=AHEAD)
    assert (panel.ids, panel.lengths.tolist()) == (("kiosk",), [3])
    assert fault(stored=stored(), dataset={"name": "sales", "ids": ["van"]}) == ("unknown_series", None)


def test_a_series_may_have_a_future_without_a_history() -> None:
    alone = panel_of(future={**AHEAD, "unique_id": "van"}, freq="D")
    assert (alone.ids, alone.observed_lengths.tolist()) == (("van",), [0])
    beside = panel_of(stored(), dataset={"name": "sales"}, future={**AHEAD, "unique_id": "van"})
    assert beside.ids == ("shop", "kiosk", "van")
    assert beside.observed_lengths.tolist() == [3, 3, 0]
    assert beside.timestamp(2, 0) == np.datetime64("2026-01-04")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ds": ["2026-01-03", "2026-01-04"]}, "already_known"),
        ({"ds": ["2026-01-04T12:00", "2026-01-05T12:00"]}, "off_grid_timestamp"),
        ({"ds": ["2026-03-04", "2026-03-05"]}, "gap_too_long"),
        ({"ds": ["2026-01-04Z", "2026-01-05Z"]}, "other_zone"),
        ({"ds": ["2026-01-05", "2026-01-04"]}, "unsorted_timestamps"),
        ({"covariates": {"price": ["dear", "cheap"]}}, "other_kind"),
        ({"covariates": {"price": [7]}}, "ragged_columns"),
        ({"covariates": {"price": [7, float("inf")]}}, "infinite_value"),
    ],
)
def test_a_future_that_cannot_follow_is_refused(changes: dict[str, Any], code: str) -> None:
    history = {"unique_id": "shop", "ds": days(3), "y": [1, 2, 3], "covariates": {"price": [5, 5, 6]}}
    assert fault(history=history, future={**AHEAD, **changes})[0] == code


def test_one_timestamp_has_the_frequency_of_the_model() -> None:
    assert str(panel_of(freq="h", history={"ds": days(1), "y": [1]}).freq) == "h"


def test_monday_to_friday_are_business_days_to_a_model_of_business_days() -> None:
    week = {"ds": [f"2024-01-{day:02d}" for day in range(1, 6)], "y": [1, 2, 3, 4, 5]}
    assert str(panel_of(freq="B", history=week).freq) == "B"
    assert str(panel_of(freq="h", history=week).freq) == "D"  # no hours: refused later as another frequency
