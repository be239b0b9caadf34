"""Panels: in by columns or frames, out as bytes, longer by new rows."""

import datetime as dt
import random
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError, InputError
from models.packing import pack, unpack
from models.panel import concat, panel_from_bytes, panel_from_columns, panel_from_frame
from tests.models.samples import days, faults_of, panel_of, rows_of


def same(one, other):
    return (one.ids, one.freq) == (other.ids, other.freq) and rows_of(one) == rows_of(other)


def test_mixed_rows_become_series_in_the_order_of_their_first_row():
    names = ["b", "a", "b", "b", "a"]
    ds = ["2024-01-01", "2024-03-01", "2024-01-02", "2024-01-03", "2024-03-02"]
    panel = panel_from_columns(names, ds, [1, 10, 2, 3, 20])
    assert panel.ids == ("b", "a")
    assert str(panel.freq) == "D"  # read off b, the longest
    assert panel.lengths.tolist() == [3, 2]
    assert panel.median_length == 2
    assert [(name, y.tolist()) for name, y in panel] == [("b", [1, 2, 3]), ("a", [10, 20])]
    assert panel.times(1).astype("datetime64[D]").astype(str).tolist() == ["2024-03-01", "2024-03-02"]
    assert panel.next_times(0, 2).astype("datetime64[D]").astype(str).tolist() == ["2024-01-04", "2024-01-05"]


def test_a_series_is_a_view_not_a_copy():
    panel = panel_of([1, 2, 3], [4, 5])
    assert np.shares_memory(panel.series(1), panel.y)


def test_one_name_serves_for_all_rows():
    assert panel_from_columns("only", days(3), [1, 2, 3]).ids == ("only",)


def test_z_and_no_zone_give_the_same_moments():
    plain = panel_from_columns("a", days(3), [1, 2, 3])
    assert same(plain, panel_from_columns("a", [f"{day}T00:00:00Z" for day in days(3)], [1, 2, 3]))


@st.composite
def series_sets(draw):
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))
    values = st.floats(-1e6, 1e6)
    return [draw(st.lists(values, min_size=n, max_size=n)) for n in lengths]


@given(series_sets(), st.sampled_from(["h", "D", "B", "W", "MS", "ME", "QS", "YE"]), st.randoms(use_true_random=False))
def test_any_interleaving_of_series_is_the_same_panel(series, freq, rng):
    panel = panel_of(*series, freq=freq, start={"MS": "2024-01-01", "QS": "2024-01-01"}.get(freq, "2024-12-31"))
    queues = {name: [row for row in rows_of(panel) if row[0] == name] for name in panel.ids}
    turns = [name for name, rows in queues.items() for _ in rows]
    rng.shuffle(turns)
    mixed = panel_from_columns(*map(list, zip(*(queues[name].pop(0) for name in turns), strict=True)), freq)
    assert same(mixed.select(panel.ids), panel)
    assert mixed.fingerprint() == panel.fingerprint()
    assert same(panel_from_bytes(panel.to_bytes()), panel)


def test_the_fingerprint_changes_with_one_value_one_id_one_start_or_the_frequency():
    base = panel_of([1, 2, 3], [4, 5])
    others = [
        panel_of([1, 2, 3], [4, 5.000001]),
        panel_of([1, 2, 3], [4, 5], start="2024-01-02"),
        panel_of([1, 2, 3], [4, 5], freq="h"),
        panel_of([1, 2], [3, 4, 5]),
        panel_from_columns(["s0"] * 3 + ["x"] * 2, days(3) + days(2), [1, 2, 3, 4, 5], "D"),
    ]
    assert len({panel.fingerprint() for panel in [base, *others]}) == 6


FRAMES = {
    "columns": lambda ids, ds, y: {"unique_id": ids, "ds": ds, "y": y},
    "text": lambda ids, ds, y: pd.DataFrame({"unique_id": ids, "ds": ds, "y": y}),
    "moments": lambda ids, ds, y: pd.DataFrame({"unique_id": ids, "ds": pd.to_datetime(ds), "y": y}),
    "nanoseconds": lambda ids, ds, y: pd.DataFrame({"unique_id": ids, "ds": np.array(ds, "datetime64[ns]"), "y": y}),
    "utc": lambda ids, ds, y: pd.DataFrame({"unique_id": ids, "ds": pd.to_datetime(ds, utc=True), "y": y}),
    "categories": lambda ids, ds, y: pd.DataFrame({"unique_id": pd.Categorical(ids), "ds": ds, "y": y, "extra": 0}),
    "objects": lambda ids, ds, y: {"unique_id": ids, "ds": [dt.date.fromisoformat(d) for d in ds], "y": y},
    "float32": lambda ids, ds, y: pd.DataFrame({"unique_id": ids, "ds": ds, "y": np.array(y, np.float32)}),
    "integers": lambda ids, ds, y: pd.DataFrame({"unique_id": ids, "ds": ds, "y": np.array(y, np.int64)}),
}


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_every_kind_of_frame_gives_the_same_panel(make):
    ids, ds, y = ["a", "a", "a", "b", "b"], [*days(3), *days(2)], [1.0, 2.0, 3.0, 4.0, 5.0]
    panel = panel_from_frame(make(ids, ds, y))
    expected = panel_from_columns(ids, [f"{d}Z" for d in ds] if panel.utc else ds, y)
    assert panel.fingerprint() == expected.fingerprint()
    assert panel.utc == (make is FRAMES["utc"])


def test_rows_of_another_zone_do_not_go_on_a_panel():
    panel = panel_from_columns("a", days(3), [1.0, 2.0, 3.0])
    more = panel_from_columns("a", ["2024-01-04Z"], [4.0], "D")
    with pytest.raises(InputError) as caught:
        panel.extend(more)
    assert [fault.code for fault in caught.value.faults] == ["other_zone"]


def test_the_zone_survives_bytes_and_cuts():
    panel = panel_from_columns("a", [f"{d}Z" for d in days(3)], [1.0, 2.0, 3.0])
    assert panel.utc
    assert panel_from_bytes(panel.to_bytes()).utc
    assert panel.cut(1).utc
    assert panel.select(["a"]).utc


def test_whole_numbers_in_a_frame_name_series():
    frame = pd.DataFrame({"unique_id": [1, 1, 1], "ds": days(3), "y": [1.0, 2.0, 3.0]})
    assert panel_from_frame(frame).ids == ("1",)


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [("ds", pd.NaT, "bad_timestamp"), ("y", float("nan"), "missing_value"), ("unique_id", None, "bad_id")],
)
def test_missing_cells_of_a_frame_are_refused(column, value, code):
    frame = pd.DataFrame({"unique_id": ["a"] * 3, "ds": pd.to_datetime(days(3)), "y": [1.0, 2.0, 3.0]})
    frame.loc[1, column] = value
    with pytest.raises(InputError) as caught:
        panel_from_frame(frame)
    assert [(fault.code, fault.row) for fault in caught.value.faults] == [(code, 2)]


def test_local_times_with_an_offset_are_refused():
    frame = pd.DataFrame({"unique_id": "a", "ds": pd.to_datetime(days(3)).tz_localize("Europe/Berlin"), "y": 1.0})
    with pytest.raises(InputError, match=r"without an offset or in UTC"):
        panel_from_frame(frame)


def test_series_are_selected_by_name_in_the_order_named():
    panel = panel_of([1, 2], [3], [4, 5, 6])
    chosen = panel.select(["s2", "s0"])
    assert [(name, y.tolist()) for name, y in chosen] == [("s2", [4, 5, 6]), ("s0", [1, 2])]
    with pytest.raises(InputError, match=r"no series 'nobody'.*3 series, among them \['s0', 's1', 's2'\]"):
        panel.select(["s0", "nobody"])


def test_a_cut_takes_the_end_of_each_series_and_drops_those_too_short():
    panel = panel_of([1, 2, 3], [4, 5], [6])
    assert [(name, y.tolist()) for name, y in panel.cut(1)] == [("s0", [1, 2]), ("s1", [4])]
    assert same(panel.cut(0), panel)
    assert len(panel.cut(9)) == 0
    assert panel.cut(9).median_length == 0


def test_new_rows_follow_the_known_ones_and_new_series_are_added():
    known = panel_of([1, 2], [10, 20, 30])
    rows = panel_from_columns(["s1", "new"], ["2024-01-04", "2020-02-29"], [40, 7], "D")
    longer = known.extend(rows)
    assert [(n, y.tolist()) for n, y in longer] == [("s0", [1, 2]), ("s1", [10, 20, 30, 40]), ("new", [7])]
    assert str(longer.times(2)[0])[:10] == "2020-02-29"


@pytest.mark.parametrize(
    ("start", "code"), [("2024-01-03", "already_known"), ("2024-01-05", "gap"), ("2024-01-04T06:00", "gap")]
)
def test_rows_that_do_not_meet_the_seam_are_refused(start, code):
    with pytest.raises(InputError) as caught:
        panel_of([1, 2, 3]).extend(panel_of([4], start=start))
    assert faults_of(caught.value) == [(code, "s0", None)]
    assert "goes on at 2024-01-04T00:00:00" in str(caught.value)


def test_rows_of_another_frequency_are_refused():
    with pytest.raises(InputError, match="the rows have frequency h, the data set has D"):
        panel_of([1, 2, 3]).extend(panel_of([1, 2, 3], freq="h"))


@given(series_sets(), st.integers(1, 4))
def test_parts_put_together_are_the_whole(series, parts):
    whole = panel_of(*series)
    rows = rows_of(whole)
    cuts = [f"2024-01-{1 + 8 * k // parts:02d}" for k in range(parts + 1)]
    chunks = [[row for row in rows if a <= row[1][:10] < b] for a, b in pairwise(cuts)]
    panels = [panel_from_columns(*map(list, zip(*chunk, strict=True)), "D") for chunk in chunks if chunk]
    assert concat(panel.to_bytes() for panel in panels).fingerprint() == whole.fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        lambda header, arrays: header.pop("ids"),
        lambda header, arrays: header.update(ids=3),
        lambda header, arrays: header.update(ids=["only one"]),
        lambda header, arrays: header.update(freq="foo"),
        lambda header, arrays: arrays.pop("y"),
        lambda header, arrays: arrays.update(y=np.zeros(4)),
        lambda header, arrays: arrays.update(starts=np.zeros(3, np.int64)),
        lambda header, arrays: arrays.update(indptr=np.array([1, 3, 5])),
        lambda header, arrays: arrays.update(indptr=np.array([0, 6, 5])),
        lambda header, arrays: arrays.update(indptr=np.array([[0, 3, 5]])),
        lambda header, arrays: arrays.update(indptr=np.zeros(0, np.int64)),
    ],
)
def test_bytes_that_are_no_panel_are_refused(change):
    header, arrays = unpack(panel_of([1, 2, 3], [4, 5]).to_bytes())
    change(header, arrays)
    with pytest.raises(BundleError):
        panel_from_bytes(pack(header, arrays))


def test_many_series_are_handled_fast():
    count = 20_000
    names = [f"s{i}" for i in range(count) for _ in range(3)]
    panel = panel_from_columns(names, days(3) * count, [1.0] * (3 * count))
    random.Random(0).shuffle(names := list(panel.ids))
    assert len(panel.cut(1).select(names)) == count
    assert {str(panel.next_times(i, 1)[0])[:10] for i in range(count)} == {"2024-01-04"}
