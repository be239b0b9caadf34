"""A session predicts the same as reading the whole history at once; a new point costs one step of the network."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.data.transforms import TRANSFORMS
from models.engines.onnx import OnnxEngine
from models.errors import InputError, ModelBroken
from models.forecasting.forecaster import Member, RunnableMember, forecast, make_runnable, predict
from models.forecasting.session import append, begin, check_enough, forecast_session, reach
from models.forecasting.session import predict as session_predict
from models.network.cells import CELLS
from models.network.losses import LOSSES
from tests.models.kinds import KNOWN, LEARNING, name_of, spec_of
from tests.models.samples import (
    faults_of,
    flat_calibration,
    helpful,
    panel_of,
    ready_of,
    small_spec,
    weights_of,
    with_covariates,
)

NAN = np.nan
POINTS, AHEAD = 48, 9
FIRST = np.datetime64("2024-01-01")
CARRYING = LEARNING[:3]
MEASURES = [(s, t) for s, t in product(("level", "last", "standard", "panel"), TRANSFORMS) if (s, t)[::2] != ("panel",)]
KINDS = [
    *({"cell": c, "strategy": s, "depth": d} for c, s, d in product(CELLS, CARRYING, (1, 2))),
    *({"scaling": n, "transform": t, "strategy": s} for (n, t), s in product(MEASURES, CARRYING) if n != "panel"),
    *({"scaling": "panel", "strategy": s} for s in CARRYING),
    *({"loss": n, "strategy": s} for n, s in product(LOSSES, ("iterative", "direct"))),
    *({"season": n, "skip": skip, "strategy": s} for n, skip, s in product((1, 3, 20), (True, False), CARRYING)),
    *({**KNOWN, "strategy": s} for s in CARRYING),
]


def panel(begin, end, missing=(), spec=None, seed=0):
    """Days ``begin`` to ``end`` of one series; covariates, if ``spec`` reads any, are known to their end."""
    rng = np.random.default_rng(seed)
    y = rng.normal(50, 5, POINTS)
    y[20:27] = 44.0  # a constant window, more than half of it missing at times
    y[list(missing)] = NAN
    known = POINTS + AHEAD if spec is not None and spec.future_covariates else end
    bare = panel_of(np.append(y[begin:end], np.full(known - end, NAN)), start=str(FIRST + begin))
    count = POINTS + AHEAD
    columns = {
        "load": rng.normal(size=count),
        "price": rng.normal(size=count),
        "promotion": rng.integers(0, 2, count),
        "size": np.full(count, 1.5),
        "place": np.full(count, 1),
    }
    texts = {"promotion": ("none", "some"), "place": ("east", "north", "south")}
    return with_covariates(bare, texts, **{name: column[begin:known] for name, column in columns.items()})


def assert_alike(predicted, expected):
    for name in ("mean", "spread", "quantiles"):
        one, other = getattr(predicted, name), getattr(expected, name)
        assert (one is None) == (other is None)
        # Networks compute in float32: rounding is a share of the largest value.
        assert one is None or one == pytest.approx(other, rel=1e-6, abs=1e-6 * max(1.0, np.abs(other).max()))
    assert np.isfinite(predicted.median).all()


@pytest.fixture(scope="module", params=KINDS, ids=name_of)
def networks(request):
    spec = spec_of({"state": "carried", "context": 6, "horizon": 4, **request.param})
    return ready_of(spec, weights_of(spec))


CHUNKS = st.lists(st.integers(1, 9), min_size=1, max_size=20)
MISSING = st.sets(st.integers(1, POINTS - 1), max_size=25)


@settings(max_examples=5)
@given(CHUNKS, MISSING, st.sampled_from([1, 2, 3, 9]))
@example([1] * (POINTS - 1), {7, 8, 9, 10, 11, 12, 13, 30}, 3)
def test_forecasts_do_not_depend_on_how_the_points_arrived(networks, chunks, missing, windows):
    (network,) = networks
    spec, ends = network.member.spec, np.minimum(np.cumsum([1, *chunks]), POINTS)
    session = begin(networks, panel(0, 1, (), spec), windows)
    for start, end in pairwise(ends.tolist()):
        if end > start:
            session = append(networks, session, panel(start, end, missing, spec))
    # a value that is missing at the end is no history: the forecast begins before it
    end = max(i + 1 for i in range(ends[-1]) if i not in missing)
    whole = begin(networks, panel(0, end, missing, spec), windows)
    assert_alike(session_predict(networks, session, 9), session_predict(networks, whole, 9))


@settings(max_examples=3)
@given(st.integers(1, POINTS), MISSING)
def test_with_one_window_a_session_predicts_as_without_a_session(networks, end, missing):
    spec, missing = networks[0].member.spec, missing - {end - 1}
    history = panel(0, end, missing, spec)
    expected = predict(networks, history, np.array([0]), np.array([end]), 9)
    assert_alike(session_predict(networks, begin(networks, history, 1), 9), expected)


@settings(max_examples=4)
@given(st.lists(st.integers(1, POINTS), min_size=1, max_size=4), MISSING, st.sampled_from([2, 3, 9]))
def test_a_forecast_without_a_session_reads_its_history_as_a_session_does(networks, ends, missing, windows):
    spec, missing = networks[0].member.spec, missing - {end - 1 for end in ends}
    carrying = tuple(one._replace(member=one.member._replace(carry=windows)) for one in networks)
    whole, at = panel(0, POINTS, missing, spec), np.array(ends)
    together = predict(carrying, whole, np.zeros_like(at), at, 9)
    for i, end in enumerate(ends):
        session = begin(networks, panel(0, end, missing, spec), windows)
        assert_alike(session_predict(networks, session, 9), together.rows(np.array([i])))


SPEC = small_spec(
    state="carried", strategy="direct", season=1, context=4, horizon=2, scaling="last", skip=False, units=1
)


class Sums:
    """A network by hand: its state is the sum of all values read, in window units, and is also its output."""

    def __init__(self):
        self.steps = []

    def run(self, inputs):
        self.steps.append(inputs["past"].shape[:2])
        total = inputs["state_0"] + inputs["past"][:, :, 0].sum(axis=1, keepdims=True)
        return {"predicted": np.repeat(total, 2, axis=1)[..., None], "next_0": total}


def by_hand(spec=SPEC):
    engine = Sums()
    return (RunnableMember(Member(spec, weights_of(spec)), engine),), engine


def day(i, *y):
    """Return the values of a series from day ``i`` on."""
    return panel_of(y, start=str(FIRST + i))


def next_value(networks, session):
    return session_predict(networks, session, 1).median[:, 0].tolist()


def test_a_segment_is_read_in_units_of_the_window_before_it():
    """Segments of 4 begin on the days whose number, from 1970, is a multiple of 4: here on days 1, 5, 9 and 13."""
    networks, _ = by_hand()
    # before day 5 there are 0, 1, 2, 3: from 3 in units of 1.5 they add up to -4
    session = begin(networks, day(0, 9, 0, 1, 2, 3), 2)
    assert next_value(networks, session) == [3 - 4 * 1.5]
    session = append(networks, session, day(5, 6))  # 2 units more
    assert next_value(networks, session) == [3 - 2 * 1.5]
    session = append(networks, session, day(6, 4.5, 0))  # 1 more, then 2 less
    assert next_value(networks, session) == [3 - 3 * 1.5]
    # before day 9 there are 6, 4.5, 0, 3: from 3 in units of 1.875 they add up to 0.8
    session = append(networks, session, day(8, 3))
    assert next_value(networks, session) == pytest.approx([3 + 0.8 * 1.875])


def test_a_new_point_costs_one_step():
    networks, engine = by_hand()
    session = begin(networks, day(0, *range(6)), 2)
    engine.steps.clear()
    for i in (6, 7, 8):
        session = append(networks, session, day(i, i))
        session_predict(networks, session, 2)
    assert engine.steps == [(1, 1)] * 2 + [(1, 4)]  # the new lane begins with a window: what came before day 9
    assert next_value(networks, append(networks, session, session.tail)) == next_value(networks, session)
    assert len(engine.steps) == 3  # what is known already is not read again


@pytest.mark.parametrize("fields", [{}, {"season": 3, "cell": "lstm", "depth": 2}, {"transform": "log"}], ids=name_of)
def test_the_fast_path_of_a_point_equals_the_general_one(fields):
    networks = carrying(**fields)
    short = long = begin(networks, panel(0, 8), 9)  # a lane of 48
    for i in range(8, 30):
        short, long = append(networks, short, panel(i, i + 1)), append(networks, long, panel(i - 1, i + 1))
        assert session_predict(networks, short, 4).median.tolist() == session_predict(networks, long, 4).median.tolist()
        assert (short.tail.y.tolist(), short.at.tolist()) == (long.tail.y.tolist(), long.at.tolist())
        assert short.size_bytes == long.size_bytes


def test_a_session_at_the_end_of_the_calendar_is_refused():
    networks = carrying()
    session = begin(networks, panel_of(range(1, 9), start="2261-12-20"), 3)
    session = append(networks, session, panel_of([9.0], start="2261-12-28"))
    assert forecast_session(networks, flat_calibration(4), session, 3, []).times(0)[-1] == np.datetime64("2261-12-31")
    for horizon, code in ((4, "beyond_calendar"), (0, "bad_field")):
        with pytest.raises(InputError) as caught:
            forecast_session(networks, flat_calibration(4), session, horizon, [])
        assert [fault.code for fault in caught.value.faults] == [code]


def test_predicting_leaves_the_session_as_it_is():
    spec = spec_of({"state": "carried", "strategy": "iterative", "depth": 2})
    networks = ready_of(spec, weights_of(spec))
    session = begin(networks, panel(0, 20), 4)
    first = session_predict(networks, session, 30)
    assert session_predict(networks, session, 30).median.tolist() == first.median.tolist()
    later = append(networks, session, panel(20, 21))
    assert_alike(session_predict(networks, later, 5), session_predict(networks, begin(networks, panel(0, 21), 4), 5))


def carrying(**fields):
    spec = spec_of({"state": "carried", "context": 6, "horizon": 4, "strategy": "direct", **fields})
    return ready_of(spec, weights_of(spec))


def test_the_newest_points_within_reach_give_the_same_as_the_whole_history():
    networks = carrying()
    assert reach([networks[0].member.spec], 3) == 6 + 12 - 1
    for end in range(30, POINTS):
        whole, rest = (begin(networks, panel(start, end), 3) for start in (0, end - 17))
        assert session_predict(networks, rest, 4).median.tolist() == session_predict(networks, whole, 4).median.tolist()


@pytest.mark.parametrize("freq", ["15min", "D", "B", "W", "MS", "ME", "QE", "2h"])
def test_segments_lie_in_the_calendar_for_any_frequency(freq):
    networks, y = carrying(freq=freq, cell="rnn"), np.random.default_rng(1).normal(size=40)
    whole = panel_of(y, freq=freq, start="1969-12-01" if freq == "MS" else "1969-12-31")
    pieces = [replace(whole.tail(40 - i), y=y[i : i + 5], indptr=np.array([0, 5])) for i in range(0, 40, 5)]
    session = begin(networks, pieces[0], 3)
    for piece in pieces[1:]:
        session = append(networks, session, piece)
    assert_alike(session_predict(networks, session, 4), session_predict(networks, begin(networks, whole, 3), 4))
    assert forecast_session(networks, flat_calibration(4), session, 4, []).times(0)[0] == whole.timestamp(
        0, len(whole.series(0))
    )


def test_series_of_different_lengths_share_a_session_and_predict_as_alone():
    networks, rng = carrying(strategy="iterative", cell="lstm"), np.random.default_rng(2)
    starts, ends = rng.integers(0, 200, 30), rng.integers(210, 900, 30)
    y = rng.normal(50, 5, (30, 900))
    y[:, 300:302] = NAN
    whole = [y[i, starts[i] : ends[i]] for i in range(30)]
    session = begin(networks, several(whole, starts), 100)  # lanes of 594
    for step in range(1, 4):  # some go on, by one or several points; one is new
        rows = [np.append(NAN if i % 2 else y[i, 0], np.full(step * (i % 3), 50 + step)) for i in range(20)]
        session = append(networks, session, several(rows, ends[:20], names=range(20)))
        for i, more in enumerate(rows):
            whole[i] = np.append(whole[i], more)
        ends[:20] += [len(more) for more in rows]
    alone = [begin(networks, several([one], [start]), 100) for one, start in zip(whole, starts, strict=True)]
    predicted = session_predict(networks, session, 6)
    assert predicted.median == pytest.approx(
        np.concatenate([session_predict(networks, one, 6).median for one in alone]), rel=1e-6
    )


def several(series, starts, names=None):
    """Series that start on different days."""
    names = range(len(series)) if names is None else names
    panels = [panel_of(y, start=str(FIRST + int(start))) for y, start in zip(series, starts, strict=True)]
    lengths = [len(y) for y in series]
    return replace(
        panels[0],
        ids=tuple(f"s{i}" for i in names),
        starts=np.concatenate([one.starts for one in panels]),
        y=np.concatenate([one.y for one in panels]),
        indptr=np.concatenate([[0], np.cumsum(lengths)]),
    )


def test_a_new_series_is_started_and_the_forecast_notes_it():
    networks = carrying()
    session = begin(networks, panel_of(range(1, 9)), 2)
    session = append(networks, session, panel_of([9.0], [5.0, 4.0, 6.0], start="2024-01-09"))
    assert (len(session), session.restarted, session.tail.ids) == (2, 1, ("s0", "s1"))
    alone = begin(networks, replace(panel_of([5.0, 4.0, 6.0], start="2024-01-09"), ids=("s1",)), 2)
    assert next_value(networks, session)[1] == pytest.approx(next_value(networks, alone)[0])
    assert append(networks, session, panel_of([1.0], [2.0], start="2024-01-12")).restarted == 0


def test_some_series_of_a_session_are_a_session():
    networks = carrying()
    session = begin(networks, panel_of(range(9), [5, 1, 4, 2, 3, 9, 8, 7, 1], [2] * 9), 3)
    some = session.select(["s2", "s0"])
    assert next_value(networks, some) == [next_value(networks, session)[2], next_value(networks, session)[0]]
    assert session.select(["s0", "s1", "s2"]) is session
    with pytest.raises(InputError, match="no series 's7'"):
        session.select(["s7"])


def test_a_gap_is_missing_values():
    networks = carrying()
    session = append(networks, begin(networks, panel(0, 30), 3), panel(33, 34))
    whole = begin(networks, panel(0, 34, {30, 31, 32}), 3)
    assert session_predict(networks, session, 4).median == pytest.approx(session_predict(networks, whole, 4).median)


def test_a_constant_window_does_not_start_a_segment():
    """Segments of 8 begin on days 5, 13, …; the one from day 13 on begins once the window varies."""
    networks, _ = by_hand()
    session = begin(networks, day(0, *[7] * 14), 3)
    assert session_predict(networks, session, 1).spread.tolist() == [[0]]
    session = append(networks, session, day(14, 8, 9))  # window 7, 7, 7, 8, from 8 in units of 0.75; then 9
    assert next_value(networks, session) == pytest.approx([8 + 0.75 * (-4 + 4 / 3)])
    assert next_value(networks, begin(networks, day(0, *[7] * 14, 8, 9), 3)) == pytest.approx(
        next_value(networks, session)
    )


def test_a_half_empty_window_does_not_start_a_segment():
    """Segments of 6 begin on days 5, 11, …; on day 11 two of six values are known, on day 12 three."""
    networks, _ = by_hand(replace(SPEC, context=6))
    session = begin(networks, day(0, *range(5), NAN, NAN, NAN, NAN, 1, 3, 5, 9), 2)
    # 1, 3, 5 from 5 in units of 2; and 9, which is 2 units more
    assert next_value(networks, session) == [5 + 2 * (-2 - 1 + 0 + 2)]


def test_a_seasonal_naive_member_needs_no_state():
    naive = spec_of({"strategy": "seasonal_naive", "context": 12, "season": 3, "horizon": 4})
    (network,) = carrying(season=3)
    spec, weights = network.member.spec, network.member.weights
    networks = make_runnable([Member(spec, weights, 3.0), Member(naive, weights_of(naive), 1.0)], OnnxEngine)
    session = begin(networks, panel(0, 20), 3)
    for i in range(20, 40):
        session = append(networks, session, panel(i, i + 1))
    assert_alike(session_predict(networks, session, 6), session_predict(networks, begin(networks, panel(0, 40), 3), 6))
    alone = predict(networks[1:], panel(0, 40), np.array([0]), np.array([40]), 6).median
    own = session_predict(networks[:1], replace(session, states=session.states[:1]), 6).median
    assert session_predict(networks, session, 6).median == pytest.approx((3 * own + alone) / 4)


@pytest.mark.parametrize("members", [[{}], [{"state": "carried"}, {}], [{"strategy": "seasonal_naive"}]])
def test_a_model_without_a_carried_state_is_refused(members):
    specs = [spec_of({"strategy": "direct", **fields}) for fields in members]
    networks = make_runnable([Member(spec, weights_of(spec)) for spec in specs], OnnxEngine)
    with pytest.raises(InputError) as caught:
        begin(networks, panel(0, 20), 2)
    assert faults_of(caught.value) == [("no_state", None, None)]
    assert "state: carried" in str(caught.value)


def test_a_session_does_not_grow():
    networks = carrying(season=3, depth=2, cell="lstm")
    session = begin(networks, panel(0, 20), 3)
    sizes = []
    for i in range(20, POINTS):
        session = append(networks, session, panel(i, i + 1))
        sizes.append(session.size_bytes)
    y = np.tile([1.0, 2.0, 4.0], 400)
    for i in range(0, 1200, 100):
        session = append(networks, session, day(POINTS + i, *y[i : i + 100]))
        assert session.size_bytes <= max(sizes)
    assert len(session.tail.y) <= 12  # twice the context
    assert begin(networks, panel_of(y, y), 3).size_bytes < 2 * max(sizes)


def test_future_covariates_may_arrive_later_and_be_repeated():
    networks = carrying(**KNOWN)
    spec = networks[0].member.spec
    history, later = panel(0, 30, (), spec), panel(0, 30, (), spec)
    later.covariates["price"][30:] += 1
    session = begin(networks, history, 3)
    before = session_predict(networks, session, 4).median
    assert_alike(
        session_predict(networks, append(networks, session, history), 4), session_predict(networks, session, 4)
    )
    session = append(networks, session, later)
    expected = session_predict(networks, begin(networks, later, 3), 4)
    assert_alike(session_predict(networks, session, 4), expected)
    assert np.abs(expected.median - before).max() > 1e-3
    calibration = flat_calibration(4)
    with pytest.raises(InputError, match="price"):
        forecast_session(networks, calibration, session, POINTS - 30 + AHEAD + 1, [])


def test_a_static_covariate_is_sent_once_and_may_not_change():
    networks = carrying(static_covariates=("size",), categories=())
    start = with_covariates(panel_of(range(8), [1, 5, 2, 4, 3, 7, 6, 9]), size=[1] + [NAN] * 7 + [2] * 8)
    session = begin(networks, start, 2)
    for i in range(8, 30):
        more = panel_of([i % 5], [i % 3], start=str(FIRST + i))
        session = append(networks, session, with_covariates(more, size=[NAN, NAN]))
    assert session.tail.latest("size").tolist() == [1, 2]
    with pytest.raises(InputError) as caught:
        append(networks, session, with_covariates(panel_of([1], [1], start=str(FIRST + 30)), size=[1, 3]))
    assert faults_of(caught.value) == [("other_value", "s1", None)]
    assert all(map(helpful, caught.value.faults))


def test_rows_need_the_covariates_of_the_model_and_others_are_dropped():
    networks = carrying(past_covariates=("load",), future_covariates=("promotion",), categories=KNOWN["categories"][:1])
    rows = with_covariates(
        panel_of([*range(8), NAN], start="2024-01-01"), load=range(9), promotion=[0] * 9, other=[1] * 9
    )
    session = begin(networks, replace(rows, categories={"promotion": ("some",)}), 2)
    assert sorted(session.tail.covariates) == ["load", "promotion"]
    bare = panel_of([8.0, NAN], start="2024-01-09")
    with pytest.raises(InputError, match="there is no covariate 'load'"):
        append(networks, session, with_covariates(bare, promotion=[NAN, NAN]))
    session = append(networks, session, with_covariates(bare, load=[1, 2], promotion=[NAN, NAN]))
    assert session.tail.categories == {"promotion": ("some",)}


def test_a_forecast_has_timestamps_intervals_and_notes():
    networks, _ = by_hand()
    calibration = flat_calibration(2)
    session = begin(networks, day(0, 9, 0, 1, 2, 3), 2)
    made = forecast_session(networks, calibration, session, 3, [80, 50])
    assert made.median[0, :2].tolist() == [-3, -3]
    assert made.intervals[80].hi[0, :2].tolist() == pytest.approx([-3 + 0.8 * 1.5] * 2)
    assert str(made.times(0)[0])[:10] == "2024-01-06"
    assert [note.code for note in made.notes] == ["session_begun", "beyond_trained_horizon"]
    assert "the newest 7 points" in made.notes[0].message
    later = append(networks, session, day(5, 6))
    assert forecast_session(networks, calibration, later, 2, []).notes == ()
    with pytest.raises(InputError, match="horizon is 0"):
        forecast_session(networks, calibration, later, 0, [])


def test_with_one_window_a_forecast_is_the_one_without_a_session():
    networks, calibration = carrying(), flat_calibration(4)
    history = panel_of([5, 1, 4, NAN, 3, 9, 8, 7, 1], [1.0, 3.0])
    made = forecast_session(networks, calibration, begin(networks, history, 1), 6, [80])
    plain = forecast(networks, calibration, history, 6, [80])
    assert made.median.tolist() == plain.median.tolist()
    assert made.intervals[80].lo.tolist() == plain.intervals[80].lo.tolist()
    assert (made.ids, made.starts.tolist(), made.notes[1:]) == (plain.ids, plain.starts.tolist(), plain.notes)


def test_a_broken_network_gives_no_forecast():
    networks, engine = by_hand()
    session = begin(networks, day(0, *range(6)), 3)
    engine.run = lambda inputs: {"predicted": np.full((1, 2, 1), NAN), "next_0": inputs["state_0"]}
    broken = append(networks, session, day(6, 1))
    with pytest.raises(ModelBroken, match="train it again"):
        forecast_session(networks, flat_calibration(2), broken, 2, [])


def test_a_possibly_incomplete_history_must_hold_a_window():
    check_enough([SPEC], panel_of(range(4), range(9)))
    with pytest.raises(InputError) as caught:
        check_enough([SPEC], panel_of(range(9), [1, 2, 3, NAN], [1]))
    assert faults_of(caught.value) == [("unknown_session", "s1", None), ("unknown_session", "s2", None)]
    assert "send its whole history again, at least 4 points" in str(caught.value)
    assert all(map(helpful, caught.value.faults))


def test_a_panel_that_cannot_be_forecast_cannot_begin_a_session():
    networks = carrying()
    with pytest.raises(InputError, match="the history has frequency h"):
        begin(networks, panel_of(range(9), freq="h"), 2)
    with pytest.raises(InputError, match="has no value"):
        begin(networks, panel_of([NAN, NAN]), 2)
    with pytest.raises(InputError, match="has no value"):
        append(networks, begin(networks, panel_of(range(9)), 2), panel_of([1], [NAN], start="2024-01-10"))
