"""A table of arrays is the panel that its rows would be, one by one."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.formats.columns import Coded, Table, Timestamps, panel_of, panel_of_valid
from models.data.panel import panel_from_columns
from models.errors import InputError

FIRST = datetime(2026, 1, 1)  # noqa: DTZ001 - moments without a zone are meant


def coded(texts: list[str | None]) -> Coded:
    known = list(dict.fromkeys(text for text in texts if text is not None))
    return Coded(np.array([-1 if text is None else known.index(text) for text in texts], np.int64), known)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Rows of several daily series, in turn or one after another, some of them and some values missing."""
    lengths = draw(st.lists(st.integers(3, 6), min_size=1, max_size=4))
    found = [(f"s{i}", FIRST + timedelta(days=day)) for i, length in enumerate(lengths) for day in range(length)]
    keep = draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    kept = [row for row, is_kept in zip(found, keep, strict=True) if is_kept or row[1].day in (1, 2)]
    if draw(st.booleans()):
        kept.sort(key=lambda row: row[1])
    count = len(kept)
    numbers = st.lists(st.none() | st.floats(-1e99, 1e99), min_size=count, max_size=count)
    texts = st.lists(st.sampled_from(["b", "a", None, "ü"]), min_size=count, max_size=count)
    ids, ds = (list(column) for column in zip(*kept, strict=True))
    return {"unique_id": ids, "ds": ds, "y": draw(numbers), "x": draw(numbers), "c": draw(texts)}


@given(rows(), st.booleans(), st.booleans())
def test_a_table_is_the_panel_of_its_rows(table: dict[str, list[Any]], utc: bool, spelt: bool) -> None:
    stamps = [moment.isoformat() + "Z" * utc for moment in table["ds"]]
    ds = coded(stamps) if spelt else Timestamps(np.array(table["ds"], "datetime64[us]"), utc)
    numbers = {name: np.array([np.nan if v is None else v for v in table[name]]) for name in ("y", "x")}
    columns = Table(coded(table["unique_id"]), ds, numbers["y"], {"x": numbers["x"], "c": coded(table["c"])})
    more = {"x": table["x"], "c": table["c"]}
    expected = panel_from_columns(table["unique_id"], stamps, table["y"], "D", more)
    for panel in (panel_of(columns, "D"), panel_of_valid(columns, "D")):
        assert panel is not None
        assert (panel.ids, panel.utc) == (expected.ids, utc)
        assert panel.to_bytes() == expected.to_bytes()


GOOD = {
    "unique_id": coded(["a", "a", "a"]),
    "ds": Timestamps(np.array(["2026-01-01", "2026-01-02", "2026-01-03"], "datetime64[us]"), False),
    "y": np.arange(3.0),
    "covariates": {},
}


@pytest.mark.parametrize(
    ("changes", "code", "row"),
    [
        ({"unique_id": coded(["a", None, "a"])}, "bad_id", 2),
        ({"unique_id": coded(["a", " a", "a"])}, "bad_id", 2),
        ({"ds": coded(["2026-01-01", "2026-01-02", "yesterday"])}, "bad_timestamp", 3),
        ({"ds": coded(["2026-01-01", "2026-01-02", None])}, "bad_timestamp", 3),
        ({"ds": coded(["2026-01-01Z", "2026-01-02", "2026-01-03"])}, "mixed_zones", None),
        ({"ds": Timestamps(np.array(["2026-01-01", "NaT", "2026-01-03"], "datetime64[us]"), True)}, "bad_timestamp", 2),
        ({"ds": Timestamps(np.array(["1600-01-01", "NaT", "NaT"], "datetime64[us]"), False)}, "bad_timestamp", 1),
        ({"ds": coded(["2026-01-01", "2026-01-02", "2026-01-02"])}, "duplicate_timestamp", 3),
        ({"y": np.array([1.0, np.inf, 2.0])}, "infinite_value", 2),
        ({"covariates": {"x": np.array([1.0, 2.0, 1e101])}}, "value_too_large", 3),
        ({"covariates": {"c": coded(["a", "a", "b" * 129])}}, "bad_value", 3),
        ({"covariates": {" c": coded(["a", "a", "b"])}}, "bad_covariate", None),
    ],
)
def test_a_complaint_names_the_row(changes: dict[str, Any], code: str, row: int | None) -> None:
    with pytest.raises(InputError) as caught:
        panel_of(Table(**{**GOOD, **changes}), "D")
    (fault, *_) = caught.value.faults
    assert (fault.code, fault.row) == (code, row)


def test_a_table_of_no_rows_is_refused() -> None:
    nothing = Table(coded([]), Timestamps(np.array([], "datetime64[us]"), False), np.array([]), {})
    with pytest.raises(InputError, match="there are no rows"):
        panel_of(nothing, "D")
