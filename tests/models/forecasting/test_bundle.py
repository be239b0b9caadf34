"""Bundles: equal bytes for equal forecasters, and only ``BundleError`` for damaged ones."""

import dataclasses
import random
from dataclasses import replace

import numpy as np
import pytest

from models.data.serialization import MAGIC
from models.errors import BundleError
from models.evaluation.intervals import Calibration
from models.evaluation.mean import NO_CORRECTION, MeanCorrection
from models.forecasting import bundle
from models.forecasting.forecaster import Forecaster, Member
from tests.models.samples import flat_calibration, forecaster_of, small_spec, weights_of, with_header

SPEC = small_spec(depth=2, units=3)
WEIGHTS = weights_of(SPEC)
DATA = bundle.to_bytes(forecaster_of((SPEC, WEIGHTS)))
HEADER_END = 16 + int.from_bytes(DATA[8:16], "little")


def test_a_bundle_is_read_back_unchanged():
    back = bundle.from_bytes(DATA)
    ((spec, weights, share, carry),) = back.members
    assert (spec, share, carry) == (SPEC, 1.0, 1)
    assert back.calibration.count == 199
    assert back.calibration.radii.tolist() == flat_calibration(4).radii.tolist()
    assert {name: w.tolist() for name, w in weights.items()} == {n: w.tolist() for n, w in WEIGHTS.items()}
    assert all(w.dtype == np.float32 for w in weights.values())


def test_a_bundle_keeps_the_correction_of_the_mean_and_one_of_an_earlier_release_has_none():
    calibration = replace(flat_calibration(4), mean=MeanCorrection(0.25, 0.5))
    data = bundle.to_bytes(Forecaster((Member(SPEC, WEIGHTS),), calibration))
    assert bundle.from_bytes(data).calibration.mean == (0.25, 0.5)

    def forget(header):
        del header["mean_correction"]

    assert bundle.from_bytes(with_header(data, forget)).calibration.mean == NO_CORRECTION


@pytest.mark.parametrize("values", [[1.0], [1.0, None], [1.0, float("inf")], [1.0, "2"], 3.0])
def test_a_correction_of_the_mean_that_is_no_two_numbers_is_refused(values):
    def change(header):
        header["mean_correction"] = values

    with pytest.raises(BundleError):
        bundle.from_bytes(with_header(DATA, change))


def ensemble():
    """Eleven members, so that one number is a prefix of another; the last is seasonal naive, which has no network."""
    specs = [small_spec(units=2, context=10 + i) for i in range(10)] + [small_spec(strategy="seasonal_naive")]
    members = [Member(spec, weights_of(spec, seed=i), (i + 1) / 66) for i, spec in enumerate(specs)]
    return Forecaster(tuple(members), flat_calibration(4))


def test_every_member_of_an_ensemble_is_read_back_with_its_weights_and_share():
    forecaster = ensemble()
    back = bundle.from_bytes(bundle.to_bytes(forecaster))
    assert [member.spec for member in back.members] == [member.spec for member in forecaster.members]
    assert [member.share for member in back.members] == [member.share for member in forecaster.members]
    for ours, theirs in zip(forecaster.members, back.members, strict=True):
        assert ours.weights.keys() == theirs.weights.keys()
        assert all((ours.weights[name] == theirs.weights[name]).all() for name in ours.weights)


@pytest.mark.parametrize(
    "members",
    [
        (),
        (Member(SPEC, WEIGHTS), Member(replace(SPEC, horizon=5), weights_of(replace(SPEC, horizon=5)))),
        (Member(SPEC, WEIGHTS), Member(replace(SPEC, freq="h"), WEIGHTS)),
        (Member(SPEC, WEIGHTS, 0.0),),
        (Member(SPEC, WEIGHTS, 2.0), Member(SPEC, WEIGHTS, -1.0)),
        (Member(SPEC, WEIGHTS, float("nan")),),
        (Member(SPEC, WEIGHTS, carry=0),),
        (Member(SPEC, WEIGHTS),) * 101,
    ],
    ids=[
        "none",
        "two horizons",
        "two frequencies",
        "no share",
        "a negative share",
        "NaN share",
        "no window",
        "too many",
    ],
)
def test_members_that_do_not_fit_together_are_not_written(members):
    with pytest.raises(BundleError, match="member"):
        bundle.to_bytes(Forecaster(members, flat_calibration(4)))


def test_the_windows_over_which_a_state_is_carried_are_part_of_the_bundle():
    carried = small_spec(state="carried", strategy="iterative")
    members = (Member(carried, weights_of(carried), 0.5, carry=4), Member(SPEC, WEIGHTS, 0.5))
    back = bundle.from_bytes(bundle.to_bytes(Forecaster(members, flat_calibration(4))))
    assert [member.carry for member in back.members] == [4, 1]


@pytest.mark.parametrize("carry", [["4"], [4, 4], [0], [True, 1]])
def test_a_bundle_with_another_kind_of_carry_is_refused(carry):
    with pytest.raises(BundleError):
        bundle.from_bytes(with_header(DATA, lambda header: header.update(carry=carry)))


def test_equal_forecasters_give_equal_bytes_and_one_checksum():
    again = bundle.to_bytes(forecaster_of((SPEC, dict(WEIGHTS))))
    assert bundle.sha256(again) == bundle.sha256(DATA)
    other = bundle.to_bytes(forecaster_of((SPEC, {**WEIGHTS, "head/bias": WEIGHTS["head/bias"] + 1})))
    assert bundle.sha256(other) != bundle.sha256(DATA)


def test_arrays_that_were_read_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        bundle.from_bytes(DATA).members[0].weights["head/bias"][0] = 1


BOUNDARIES = [0, 1, 7, 8, 9, 15, 16, 17, HEADER_END - 1, HEADER_END, HEADER_END + 1, len(DATA) // 2, len(DATA) - 1]


@pytest.mark.parametrize("length", BOUNDARIES)
def test_a_truncated_bundle_is_refused(length):
    with pytest.raises(BundleError):
        bundle.from_bytes(DATA[:length])


def test_bytes_after_the_end_are_refused():
    with pytest.raises(BundleError, match="3 bytes are left over"):
        bundle.from_bytes(DATA + b"abc")


def test_other_bytes_are_recognised_by_their_first_eight():
    with pytest.raises(BundleError, match="not a Forecastle container"):
        bundle.from_bytes(b"PK\x03\x04" + DATA[4:])


@pytest.mark.parametrize("length", [HEADER_END, 2**31, 2**63, 2**64 - 1])
def test_a_huge_header_is_refused_without_being_read(length):
    with pytest.raises(BundleError):
        bundle.from_bytes(DATA[:8] + length.to_bytes(8, "little") + DATA[16:])


LIES = [
    {"cell": "perceptron"},
    {"cell": "lstm"},
    {"freq": "never"},
    {"freq": None},
    {"units": 4},
    {"depth": 3},
    {"horizon": 5},
    {"colour": "red"},
    {"quantiles": [0.5, None]},
    {"categories": [[{"a": 1}, ["x"]]]},
    {"static_covariates": ["size"]},
]


def set_array(**fields):
    return lambda header: header["arrays"][0].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        set_array(shape=[2**62, 2**62]),
        set_array(shape=[10**4000, 10**4000]),
        set_array(shape=[0, 10**30]),
        set_array(shape=[-1]),
        set_array(shape=[1] * 100),
        set_array(shape=float("inf")),
        set_array(shape=[float("inf")]),
        set_array(shape=["x"]),
        set_array(shape=None),
        set_array(dtype="|O"),
        set_array(dtype="<f2"),
        set_array(dtype="x" * 10_000),
        set_array(name="x" * 10_000),
        set_array(name="0/encoder_1/bias"),
        set_array(name="1/head/bias"),
        set_array(name="head/bias"),
        lambda header: header.update(arrays=3),
        lambda header: header.update(arrays=[[]]),
        lambda header: header["arrays"].pop(),
        lambda header: header.update(format=1),
        lambda header: header.update(format=4),
        lambda header: header.update(intervals="wide"),
        lambda header: header.pop("intervals"),
        lambda header: header.update(format="x" * 10_000),
        lambda header: header.pop("format"),
        lambda header: header.pop("members"),
        lambda header: header.update(members=[]),
        lambda header: header.update(members=[[]]),
        lambda header: header.update(members={}),
        lambda header: header.update(members="x" * 10_000),
        lambda header: header.update(members=header["members"] * 2),
        lambda header: header.update(members=header["members"] * 2, shares=[1.0, 1.0]),
        lambda header: header.update(members=header["members"] * 10_000, shares=[1.0] * 10_000),
        lambda header: header.pop("shares"),
        lambda header: header.update(shares=[]),
        lambda header: header.update(shares=[0.0]),
        lambda header: header.update(shares=["1"]),
        lambda header: header.update(shares=[float("inf")]),
        *(lambda header, f=f: header["members"][0].update(f) for f in LIES),
        lambda header: header["members"][0].pop("season"),
        lambda header: header.update(calibrated_on=-1),
        lambda header: header.update(calibrated_on="many"),
        lambda header: header.update(calibrated_on=float("inf")),
        lambda header: header.pop("calibrated_on"),
    ],
)
def test_a_wrong_header_is_refused_with_a_short_message(change):
    with pytest.raises(BundleError) as caught:
        bundle.from_bytes(with_header(DATA, change))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b'"x"', b"[" * 100_000, b"\xff\xfe", b'{"arrays": []}'])
def test_a_header_that_is_not_a_json_object_is_refused(text):
    with pytest.raises(BundleError):
        bundle.from_bytes(MAGIC + len(text).to_bytes(8, "little") + text)


def test_random_damage_never_raises_anything_but_a_bundle_error():
    rng = random.Random(0)
    for _ in range(400):
        data = bytearray(DATA)
        for _ in range(rng.choice([1, 1, 3, 20])):
            data[rng.randrange(HEADER_END if rng.random() < 0.7 else len(data))] = rng.randrange(256)
        try:
            back = bundle.from_bytes(bytes(data[: rng.choice([len(data), len(data), rng.randrange(len(data))])]))
        except BundleError:
            continue
        assert isinstance(back, Forecaster)
        assert bundle.from_bytes(bundle.to_bytes(back)).spec == back.spec


@pytest.mark.parametrize(
    "weights",
    [
        {**WEIGHTS, "head/bias": np.full(4, np.nan, np.float32)},
        {**WEIGHTS, "head/bias": np.full(4, np.inf, np.float32)},
        {**WEIGHTS, "head/bias": np.zeros(4)},
        {**WEIGHTS, "head/bias": np.zeros(5, np.float32)},
        {**WEIGHTS, "extra": np.zeros(4, np.float32)},
        {name: weight for name, weight in WEIGHTS.items() if name != "head/bias"},
    ],
    ids=["NaN", "infinite", "float64", "shape", "extra", "missing"],
)
def test_invalid_weights_are_not_written(weights):
    with pytest.raises(BundleError):
        bundle.to_bytes(forecaster_of((SPEC, weights)))


def calibrated(radii, count):
    return Forecaster((Member(SPEC, WEIGHTS),), Calibration(radii, count))


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_calibration_without_radii_for_its_levels_is_not_written(poison):
    radii = flat_calibration(4).radii.copy()
    radii[2, 79] = poison
    with pytest.raises(BundleError, match="NaN or infinite"):
        bundle.to_bytes(calibrated(radii, 199))


def test_radii_that_narrow_the_bands_of_a_network_are_kept():
    radii = -flat_calibration(4).radii
    assert bundle.from_bytes(bundle.to_bytes(calibrated(radii, 199))).calibration.radii.tolist() == radii.tolist()


def test_levels_with_too_few_residuals_may_be_nan():
    radii = flat_calibration(4).radii.copy()
    radii[:, 80:] = np.nan
    data = bundle.to_bytes(calibrated(radii, 4))
    assert bundle.from_bytes(data).calibration.highest_level == 80


def test_a_forecaster_is_a_value():
    with pytest.raises(dataclasses.FrozenInstanceError):
        bundle.from_bytes(DATA).members = ()
