"""Groups of series by the value of a static covariate, and the names of their models."""

import numpy as np
import pytest

from app.planning.groups import SeriesGroup, model_name, split_by
from models.data.panel import Panel
from models.errors import InputError
from tests.models.samples import panel_of, with_covariates

TWO_DAYS = [1.0, 2.0]


def shops(towns: list[float]) -> Panel:
    """Series of two days; ``towns`` holds the covariate ``town`` of each day: 0 is Ulm, 1 is Bonn."""
    panel = panel_of(*[TWO_DAYS] * (len(towns) // 2))
    return with_covariates(panel, {"town": ("Ulm", "Bonn")}, town=towns, size=np.repeat([5.0, 7.5, 5.0], 2))


SHOPS = shops([0, 0, 1, 1, 0, 0])


def test_a_text_covariate_divides_the_series_by_its_values() -> None:
    groups = {group: panel.ids for group, panel in split_by(SHOPS, "town")}
    assert groups == {SeriesGroup("town", "Ulm"): ("s0", "s2"), SeriesGroup("town", "Bonn"): ("s1",)}


def test_a_numeric_covariate_divides_the_series_by_its_values() -> None:
    assert [group.value for group, _ in split_by(SHOPS, "size")] == [5.0, 7.5]


def test_each_series_is_a_group_of_unique_id() -> None:
    assert [(group.value, panel.ids) for group, panel in split_by(SHOPS, "unique_id")] == [
        (name, (name,)) for name in ("s0", "s1", "s2")
    ]


def test_a_group_selects_its_series_from_later_data_too() -> None:
    later = shops([1, 1, 1, 1, 0, 0])
    assert SeriesGroup("town", "Ulm").select(later).ids == ("s2",)
    assert SeriesGroup("size", 5.0).select(later).ids == ("s0", "s2")
    assert SeriesGroup("unique_id", "s1").select(later).ids == ("s1",)
    with pytest.raises(InputError, match="no series has town = 'Ulm'"):
        SeriesGroup("town", "Ulm").select(shops([1] * 6))


@pytest.mark.parametrize(
    ("panel", "column", "code", "series"),
    [
        (SHOPS, "colour", "missing_covariate", None),
        (shops([0, 1, 1, 1, 0, 0]), "town", "not_static", "s0"),
        (shops([0, 0, np.nan, np.nan, 0, 0]), "town", "no_group", "s1"),
    ],
)
def test_a_column_that_does_not_divide_series_is_refused(
    panel: Panel, column: str, code: str, series: str | None
) -> None:
    with pytest.raises(InputError) as caught:
        list(split_by(panel, column))
    fault = caught.value.faults[0]
    assert (fault.code, fault.unique_id, fault.field) == (code, series, "by")


def test_each_group_has_a_model_name_of_its_own_that_is_a_valid_name() -> None:
    assert model_name("demand", "Ulm") == "demand-Ulm"
    assert model_name("demand", 7.5) == "demand-7.5"
    # Values that differ only in characters that names cannot have, or beyond 128 characters, get a digest.
    spaced, dashed = model_name("demand", "Bad A"), model_name("demand", "Bad/A")
    assert spaced.startswith("demand-Bad-A-")
    assert spaced != dashed
    assert spaced == model_name("demand", "Bad A")
    long, longer = model_name("demand", "x" * 200), model_name("demand", "x" * 201)
    assert len(long) == len(longer) == 128
    assert long != longer
