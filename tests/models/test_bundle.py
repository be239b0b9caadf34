"""Bundles: equal bytes for equal forecasters, and nothing but ``BundleError`` for damaged ones."""

import dataclasses
import json
import random

import numpy as np
import pytest

from models import bundle
from models.errors import BundleError
from models.forecaster import Forecaster
from models.intervals import Calibration
from models.packing import MAGIC, pack, unpack
from tests.models.samples import flat_calibration, forecaster_of, small_spec
from tests.models.test_engines import weights_of

SPEC = small_spec(depth=2, units=3)
WEIGHTS = weights_of(SPEC)
DATA = bundle.to_bytes(forecaster_of(SPEC, WEIGHTS))
HEADER_END = 16 + int.from_bytes(DATA[8:16], "little")


def with_header(change):
    """The bundle with its JSON header changed and its length made right again."""
    header = json.loads(DATA[16:HEADER_END])
    change(header)
    text = json.dumps(header).encode()
    return MAGIC + len(text).to_bytes(8, "little") + text + DATA[HEADER_END:]


def test_a_bundle_comes_back_as_it_was():
    back = bundle.from_bytes(DATA)
    assert back.spec == SPEC
    assert back.calibration.count == 199
    assert back.calibration.radii.tolist() == flat_calibration(4).radii.tolist()
    assert {name: w.tolist() for name, w in back.weights.items()} == {n: w.tolist() for n, w in WEIGHTS.items()}
    assert all(w.dtype == np.float32 for w in back.weights.values())


def test_equal_forecasters_give_equal_bytes_and_one_checksum():
    again = bundle.to_bytes(forecaster_of(SPEC, dict(WEIGHTS)))
    assert bundle.sha256(again) == bundle.sha256(DATA)
    other = bundle.to_bytes(forecaster_of(SPEC, {**WEIGHTS, "head/bias": WEIGHTS["head/bias"] + 1}))
    assert bundle.sha256(other) != bundle.sha256(DATA)


def test_what_was_read_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        bundle.from_bytes(DATA).weights["head/bias"][0] = 1


BOUNDARIES = [0, 1, 7, 8, 9, 15, 16, 17, HEADER_END - 1, HEADER_END, HEADER_END + 1, len(DATA) // 2, len(DATA) - 1]


@pytest.mark.parametrize("length", BOUNDARIES)
def test_a_truncated_bundle_is_refused(length):
    with pytest.raises(BundleError):
        bundle.from_bytes(DATA[:length])


def test_bytes_after_the_end_are_refused():
    with pytest.raises(BundleError, match="3 bytes are left over"):
        bundle.from_bytes(DATA + b"abc")


def test_other_bytes_are_told_apart_by_their_first_eight():
    with pytest.raises(BundleError, match="not a Forecastle container"):
        bundle.from_bytes(b"PK\x03\x04" + DATA[4:])


@pytest.mark.parametrize("length", [HEADER_END, 2**31, 2**63, 2**64 - 1])
def test_a_giant_header_is_refused_without_being_read(length):
    with pytest.raises(BundleError):
        bundle.from_bytes(DATA[:8] + length.to_bytes(8, "little") + DATA[16:])


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
        set_array(name="cell_1/bias"),
        lambda header: header.update(arrays=3),
        lambda header: header.update(arrays=[[]]),
        lambda header: header["arrays"].pop(),
        lambda header: header.update(format=2),
        lambda header: header.update(format="x" * 10_000),
        lambda header: header.pop("format"),
        lambda header: header.pop("spec"),
        lambda header: header.update(spec=[]),
        lambda header: header.update(spec=[[]]),
        lambda header: header["spec"].update(cell="perceptron"),
        lambda header: header["spec"].update(cell="lstm"),
        lambda header: header["spec"].update(freq="never"),
        lambda header: header["spec"].update(freq=None),
        lambda header: header["spec"].update(units=4),
        lambda header: header["spec"].update(depth=3),
        lambda header: header["spec"].update(horizon=5),
        lambda header: header["spec"].update(colour="red"),
        lambda header: header["spec"].pop("season"),
        lambda header: header.update(calibrated_on=-1),
        lambda header: header.update(calibrated_on="many"),
        lambda header: header.update(calibrated_on=float("inf")),
        lambda header: header.pop("calibrated_on"),
    ],
)
def test_a_header_that_lies_is_refused_in_few_words(change):
    with pytest.raises(BundleError) as caught:
        bundle.from_bytes(with_header(change))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b'"x"', b"[" * 100_000, b"\xff\xfe", b'{"arrays": []}'])
def test_a_header_that_is_no_such_json_is_refused(text):
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
def test_weights_that_could_not_be_served_are_not_written(weights):
    with pytest.raises(BundleError):
        bundle.to_bytes(forecaster_of(SPEC, weights))


@pytest.mark.parametrize("poison", [np.nan, -1.0])
def test_a_calibration_without_radii_for_its_levels_is_not_written(poison):
    radii = flat_calibration(4).radii.copy()
    radii[2, 79] = poison
    with pytest.raises(BundleError, match="negative or NaN"):
        bundle.to_bytes(Forecaster(SPEC, WEIGHTS, Calibration(radii, 199)))


def test_levels_that_few_residuals_cannot_vouch_for_may_be_nan():
    radii = flat_calibration(4).radii.copy()
    radii[:, 80:] = np.nan
    data = bundle.to_bytes(Forecaster(SPEC, WEIGHTS, Calibration(radii, 4)))
    assert bundle.from_bytes(data).calibration.highest_level == 80


def test_arrays_of_every_kept_kind_come_back():
    arrays = {
        "f4": np.float32([[1, 2], [3, 4]]),
        "f8": np.float64([]),
        "i8": np.int64([[-(2**63), 2**63 - 1]]),
        "big endian": np.array([1.5], dtype=">f8"),
        "transposed": np.arange(6.0).reshape(2, 3).T,
    }
    header, back = unpack(pack({"a": [1, "ü"]}, arrays))
    assert header == {"a": [1, "ü"]}
    assert {name: a.tolist() for name, a in back.items()} == {name: a.tolist() for name, a in arrays.items()}


@pytest.mark.parametrize("array", [np.array(["x"]), np.array([object()]), np.array([1j]), np.array([True])])
def test_arrays_of_other_kinds_are_not_kept(array):
    with pytest.raises(BundleError, match="are kept"):
        pack({}, {"a": array})


def test_a_forecaster_is_a_value():
    with pytest.raises(dataclasses.FrozenInstanceError):
        bundle.from_bytes(DATA).spec = None
