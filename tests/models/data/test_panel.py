"""Panels: read from columns or frames, with missing values and covariates, and written as bytes."""

import datetime as dt
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.frames import panel_from_frame
from models.data.panel import panel_from_bytes, panel_from_columns
from models.data.serialization import pack, unpack
from models.errors import BundleError, InputError
from tests.models.samples import days, panel_of, rows_of


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


def test_a_series_is_a_view_not_a_copy():
    panel = panel_of([1, 2, 3], [4, 5])
    assert np.shares_memory(panel.series(1), panel.y)


def test_one_name_may_stand_for_all_rows():
    assert panel_from_columns("only", days(3), [1, 2, 3]).ids == ("only",)


def test_z_and_no_zone_give_the_same_times():
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


def test_a_panel_of_an_older_release_is_read_and_keeps_its_fingerprint():
    # Written by the release before missing values and covariates.
    stored = """
        46434153544c4531cb000000000000007b22617272617973223a205b7b226474797065223a20223c6938222c20226e616d65
        223a2022737461727473222c20227368617065223a205b325d7d2c207b226474797065223a20223c6938222c20226e616d65
        223a2022696e64707472222c20227368617065223a205b335d7d2c207b226474797065223a20223c6638222c20226e616d65
        223a202279222c20227368617065223a205b355d7d5d2c202266726571223a202244222c2022696473223a205b2262222c20
        2261225d2c2022757463223a2066616c73657d00202110d70d060000a09b0e8e120600000000000000000003000000000000
        000500000000000000000000000000f03f0000000000000040000000000000084000000000000024400000000000003440
    """
    data = bytes.fromhex("".join(stored.split()))
    panel = panel_from_bytes(data)
    assert [(name, y.tolist()) for name, y in panel] == [("b", [1, 2, 3]), ("a", [10, 20])]
    assert panel.to_bytes() == data
    assert panel.fingerprint() == "d0dab61db632fefbdf1b27dad204c2b3561cd6b63516408a182d20199937d385"


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
    "times": lambda ids, ds, y: pd.DataFrame({"unique_id": ids, "ds": pd.to_datetime(ds), "y": y}),
    "nanoseconds": lambda ids, ds, y: pd.DataFrame({"unique_id": ids, "ds": np.array(ds, "datetime64[ns]"), "y": y}),
    "utc": lambda ids, ds, y: pd.DataFrame({"unique_id": ids, "ds": pd.to_datetime(ds, utc=True), "y": y}),
    "categories": lambda ids, ds, y: pd.DataFrame({"unique_id": pd.Categorical(ids), "ds": ds, "y": y}),
    "with other times": lambda ids, ds, y: pd.DataFrame(
        {"unique_id": ids, "ds": ds, "y": y, "seen": pd.to_datetime(ds), "ago": pd.to_timedelta(y, unit="D")}
    ),
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


def test_bytes_cuts_and_selections_keep_the_zone():
    panel = panel_from_columns("a", [f"{d}Z" for d in days(3)], [1.0, 2.0, 3.0])
    assert panel.utc
    assert panel_from_bytes(panel.to_bytes()).utc
    assert panel.cut(1).utc
    assert panel.select(["a"]).utc


def test_missing_values_and_missing_rows_are_nan():
    names, ds = ["a"] * 4 + ["b"], ["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-06", "2024-03-01"]
    panel = panel_from_columns(names, ds, [1, None, 3, float("nan"), None], "D")
    np.testing.assert_array_equal(panel.series(0), [1, np.nan, np.nan, np.nan, 3, np.nan])
    np.testing.assert_array_equal(panel.series(1), [np.nan])
    assert panel.lengths.tolist() == [6, 1]
    assert panel.observed_lengths.tolist() == [5, 0]
    assert panel.missing.tolist() == [3, 0]  # points after the last value are ahead, not missing
    assert panel.timestamp(0, 4) == panel.times(0)[4] == np.datetime64("2024-01-05")
    assert panel.timestamp(1, -1) == np.datetime64("2024-02-29")


def test_a_row_without_a_value_is_the_same_as_no_row():
    one = panel_from_columns("a", days(4), [1, None, 3, 4])
    other = panel_from_columns("a", np.delete(days(4), 1).tolist(), [1, 3, 4], "D")
    payload = np.array([1, 0x7FF8DEADBEEF0000, 3, 4], dtype=np.int64).view(np.float64)  # another bit pattern of NaN
    payload[[0, 2, 3]] = 1, 3, 4
    assert one.fingerprint() == other.fingerprint() == panel_from_columns("a", days(4), payload).fingerprint()


@given(series_sets(), st.sampled_from(["h", "B", "MS", "QE"]), st.data())
def test_rows_left_out_at_random_are_nan(series, freq, data):
    panel = panel_of(*series, freq=freq, start={"MS": "2024-01-01", "QE": "2023-12-31"}.get(freq, "2024-01-01"))
    rows = rows_of(panel)
    gone = set(data.draw(st.lists(st.sampled_from(range(len(rows))), max_size=len(rows) // 2)))
    gone -= {*panel.indptr[:-1].tolist(), *(panel.indptr[1:] - 1).tolist()}  # first and last rows give the length
    left = panel_from_columns(*map(list, zip(*(r for i, r in enumerate(rows) if i not in gone), strict=True)), freq)
    expected = panel.y.copy()
    expected[list(gone)] = np.nan
    np.testing.assert_array_equal(left.y, expected)
    assert left.missing.sum() == len(gone)


WEATHER = {"rain": [True, False, None], "degrees": [3, -1.5, None], "sky": ["overcast", "", "clear"]}


def test_other_columns_are_covariates_and_texts_are_stored_as_indices():
    panel = panel_from_columns("a", days(3), [1, 2, 3], None, WEATHER)
    assert list(panel.covariates) == ["degrees", "rain", "sky"]
    np.testing.assert_array_equal(panel.covariates["degrees"], [3, -1.5, np.nan])
    np.testing.assert_array_equal(panel.covariates["rain"], [1, 0, np.nan])
    np.testing.assert_array_equal(panel.covariates["sky"], [1, np.nan, 0])
    assert panel.categories == {"sky": ("clear", "overcast")}


@pytest.mark.parametrize(
    "make",
    [
        lambda columns: {name: list(values) for name, values in columns.items()},
        pd.DataFrame,
        lambda columns: pd.DataFrame(columns).convert_dtypes(),
        lambda columns: pd.DataFrame(columns).astype({"sky": "category", "rain": "float32"}),
    ],
    ids=["lists", "objects", "nullable", "categories"],
)
def test_every_kind_of_column_gives_the_same_covariate(make):
    expected = panel_from_columns("a", days(3), [1, 2, 3], None, WEATHER)
    frame = make({"unique_id": ["a"] * 3, "ds": days(3), "y": [1, 2, 3], **WEATHER})
    frame["sky"] = [None if text in ("", None) else text for text in frame["sky"]]
    assert panel_from_frame(frame).fingerprint() == expected.fingerprint()


def test_covariates_stay_with_their_rows():
    rows = [("b", 1, "u"), ("a", 10, "v"), ("b", 2, "v"), ("a", 20, "w"), ("a", 40, "u")]
    ds = ["2024-01-01", "2024-01-01", "2024-01-02", "2024-01-02", "2024-01-04"]
    ids, x, c = map(list, zip(*rows, strict=True))
    panel = panel_from_columns(ids, ds, x, "D", {"x": x, "c": c})
    for part in (
        panel,
        panel_from_bytes(panel.to_bytes()),
        panel.select(["a", "b"]),
        panel.cut(1),
        panel.cut(1).cut(0),
    ):
        np.testing.assert_array_equal(part.covariates["x"], part.y)
    assert panel.series(1).tolist()[:2] == [10, 20]
    np.testing.assert_array_equal(panel.select(["a"]).covariates["c"], [1, 2, np.nan, 0])
    assert panel_from_bytes(panel.to_bytes()).categories == {"c": ("u", "v", "w")}
    assert panel.latest("x").tolist() == [2, 40]
    assert panel.cut(1).latest("c").tolist() == [0, 2]


def test_a_covariate_without_values_has_no_latest_value():
    panel = panel_from_columns(["a", "a", "b"], [*days(2), *days(1)], [1, 2, 3], "D", {"x": [None, None, 5]})
    np.testing.assert_array_equal(panel.latest("x"), [np.nan, 5])
    assert len(panel.cut(9).latest("x")) == len(panel.cut(9).observed_lengths) == 0


def test_the_fingerprint_depends_on_covariates_but_not_on_their_order():
    def fingerprint(**more):
        return panel_from_columns("a", days(3), [1, 2, 3], None, more).fingerprint()

    assert fingerprint(x=[1, 2, 3], c=["u", "v", "u"]) == fingerprint(c=["u", "v", "u"], x=[1, 2, 3])
    others = [
        fingerprint(),
        fingerprint(x=[1, 2, 3]),
        fingerprint(z=[1, 2, 3]),
        fingerprint(x=[1, 2, None]),
        fingerprint(x=["1", "2", "3"]),
    ]
    assert len({*others, fingerprint(x=["1", "2", "4"])}) == 6


def test_integers_in_a_frame_may_be_ids():
    frame = pd.DataFrame({"unique_id": [1, 1, 1], "ds": days(3), "y": [1.0, 2.0, 3.0]})
    assert panel_from_frame(frame).ids == ("1",)


@pytest.mark.parametrize(("column", "value", "code"), [("ds", pd.NaT, "bad_timestamp"), ("unique_id", None, "bad_id")])
def test_missing_names_and_times_of_a_frame_are_refused(column, value, code):
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
        lambda header, arrays: header.update(categories={"x": ["u"]}),
        lambda header, arrays: header.update(categories=["x"]),
        lambda header, arrays: arrays.update({"covariate:x": np.zeros(4)}),
        lambda header, arrays: (header.update(categories={"x": ["u"]}), arrays.update({"covariate:x": np.ones(5)})),
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
    assert {str(panel.timestamp(i, 3))[:10] for i in range(count)} == {"2024-01-04"}


def test_a_cut_counts_back_from_the_last_value() -> None:
    panel = panel_of([1.0, 2.0, 3.0, 4.0, 5.0, np.nan, np.nan])
    assert panel.median_length == 5
    assert panel.cut(2).y.tolist() == [1.0, 2.0, 3.0]
    assert len(panel.cut(5)) == 0


def test_the_tail_is_the_newest_points_and_the_points_known_ahead():
    panel = panel_of([1, 2, 3, np.nan, 5, np.nan], [7, 8], start="2026-01-30")
    tail = panel.tail(3)
    assert [y.tolist() for _, y in tail] == [pytest.approx([3, np.nan, 5, np.nan], nan_ok=True), [7, 8]]
    assert [str(start)[:10] for start in tail.starts] == ["2026-02-01", "2026-01-30"]
    assert tail.timestamp(0, 3) == panel.timestamp(0, 5)
