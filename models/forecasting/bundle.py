"""Forecaster <-> bytes: JSON and raw arrays with a format version; never code, never a foreign graph.

Format 3: the header has ``members`` (specs), their ``shares``, the kind of ``intervals`` and the ``mean_correction``,
and ``carry`` if a member carries its state over several windows; the arrays of the i-th member are named ``i/…``;
``calibration/radii`` and, if it was measured, ``calibration/beyond`` belong to the whole forecaster. Format 2 had
additive intervals and no learned unit of windows with few values; its first bundles lack a ``mean_correction``. Format
1 held a single network with fewer kinds of input; it is read as a spec of today that computes the same.
"""

import hashlib
import operator
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from models.data.serialization import NamedArrays, pack, unpack
from models.errors import BundleError, SpecError, excerpt
from models.evaluation.additive_intervals import AdditiveCalibration
from models.evaluation.intervals import LEVELS, Calibration
from models.evaluation.mean import NO_CORRECTION, MeanCorrection
from models.evaluation.radii import RANGES
from models.forecasting.forecaster import Forecaster, Member
from models.network.build import weight_shapes
from models.network.inputs import OPTIONAL_FACTS, fact_shapes
from models.network.spec import Spec
from models.types import JsonObject

FORMAT = 3
MAX_MEMBERS = 100
MAX_CARRY = 100  # as in ``Training``
_RADII, _BEYOND = "calibration/radii", "calibration/beyond"
INTERVALS: Mapping[str, type[Calibration]] = MappingProxyType({"nested": Calibration, "additive": AdditiveCalibration})

# Values, in every network of format 1, of fields that this format did not have.
_FORMAT_1: Mapping[str, Any] = MappingProxyType(
    {
        "encoder": "forward",
        "segment": 1,
        "dropout": 0.0,
        "attention": False,
        "state": "sliding",
        "scaling": "level",
        "transform": "none",
        "skip": False,
        "loss": "mae",
        "calendar": False,
        "holidays": "",
    }
)


def to_bytes(forecaster: Forecaster) -> bytes:
    """Return the bundle of ``forecaster``; equal forecasters give equal bytes.

    Raises:
        BundleError: members that do not fit together, or a weight that is missing, of another shape than the spec's, or
            not finite.
    """
    members = forecaster.members
    _check(members, forecaster.calibration)
    weights = {f"{i}/{name}": w for i, member in enumerate(members) for name, w in member.weights.items()}
    header = {
        "format": FORMAT,
        "members": [member.spec.to_json() for member in members],
        "shares": [float(member.share) for member in members],
        "calibrated_on": forecaster.calibration.count,
        "mean_correction": list(forecaster.calibration.mean),
        "intervals": next(name for name, kind in INTERVALS.items() if kind is type(forecaster.calibration)),
    }
    if any(member.carry > 1 for member in members):
        header["carry"] = [member.carry for member in members]
    beyond = {} if forecaster.calibration.beyond is None else {_BEYOND: forecaster.calibration.beyond}
    return pack(header, {**weights, _RADII: forecaster.calibration.radii, **beyond})


def from_bytes(data: bytes) -> Forecaster:
    """Return the forecaster that ``to_bytes`` of this release or an earlier one wrote.

    Raises:
        BundleError: the bytes are damaged or of a format that this release does not read.
    """
    header, arrays = unpack(data)
    if header.get("format") == 1:
        header, arrays = _upgrade(header, arrays)
    if header.get("format") == 2:
        # Intervals of format 2 are additive, and its members learned no unit.
        members = header.get("members")
        count = min(len(members), MAX_MEMBERS) if isinstance(members, list) else 0
        arrays = {f"{i}/facts/unit": np.zeros(2, dtype=np.float32) for i in range(count)} | arrays
        header = {**header, "format": 3, "intervals": "additive"}
    if header.get("format") != FORMAT:
        written = excerpt(header.get("format"))
        raise BundleError(f"bundle format {written} cannot be read; this release reads formats 1 to {FORMAT}")
    try:
        shift, after_zeros = header.get("mean_correction", NO_CORRECTION)
        mean = MeanCorrection(shift, after_zeros)
        count, kind = operator.index(header["calibrated_on"]), INTERVALS[header["intervals"]]
        calibration = kind(arrays.pop(_RADII), count, arrays.pop(_BEYOND, None), mean=mean)
        members = tuple(_members(header, arrays))
    except (KeyError, TypeError, ValueError, SpecError) as error:
        raise BundleError(f"the bundle's header cannot be read: {error}") from error
    if arrays:
        raise BundleError(f"the bundle holds arrays that belong to no member: {excerpt(sorted(arrays), 200)}")
    _check(members, calibration)
    return Forecaster(members, calibration)


def _members(header: JsonObject, arrays: NamedArrays) -> Iterator[Member]:
    """Yield the members; their weights are removed from ``arrays``."""
    specs, shares = header["members"], header["shares"]
    carries = header.get("carry", [1] * len(specs))
    if not isinstance(specs, list) or not isinstance(shares, list) or len(specs) > MAX_MEMBERS:
        raise TypeError(f"members is {excerpt(specs)} with shares {excerpt(shares)}")
    for i, (fields, share, carry) in enumerate(zip(specs, shares, carries, strict=True)):
        if not isinstance(fields, dict) or not isinstance(share, float) or not isinstance(carry, int):
            raise TypeError(f"member {i} is {excerpt(fields)} with share {excerpt(share)} and carry {excerpt(carry)}")
        names = [name for name in arrays if name.startswith(f"{i}/")]
        weights = {name.removeprefix(f"{i}/"): arrays.pop(name) for name in names}
        yield Member(Spec.from_json(fields), weights, share, carry)


def _check(members: Sequence[Member], calibration: Calibration) -> None:
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise BundleError(f"the bundle has {len(members)} members; it may have 1 to {MAX_MEMBERS}")
    common = {(member.spec.freq, member.spec.horizon) for member in members}
    if len(common) > 1:
        raise BundleError(f"the members differ in frequency or horizon: {excerpt(sorted(common), 200)}")
    shares = [member.share for member in members]
    if not all(np.isfinite(share) and share >= 0 for share in shares) or not 0 < sum(shares) < np.inf:
        raise BundleError(f"the members' shares are {excerpt(shares, 200)}; their sum must be above 0")
    carries = [member.carry for member in members]
    if not all(1 <= carry <= MAX_CARRY for carry in carries):
        raise BundleError(
            f"the members carry a state over {excerpt(carries, 200)} windows; 1 to {MAX_CARRY} are possible"
        )
    radii, shape = calibration.radii, (members[0].spec.horizon, len(LEVELS))
    if radii.shape != shape or calibration.count < 0:
        raise BundleError(f"the calibration has shape {radii.shape} and {calibration.count} residuals, not {shape}")
    if not np.isfinite(radii[:, : calibration.highest_level]).all():
        raise BundleError("the calibration holds radii that are NaN or infinite")
    if not all(isinstance(value, float) and np.isfinite(value) for value in calibration.mean):
        raise BundleError(f"the correction of the mean is {excerpt(calibration.mean)}, not two finite numbers")
    beyond = calibration.beyond
    if beyond is not None and (beyond.shape != (len(RANGES), len(LEVELS)) or np.isinf(beyond).any()):
        raise BundleError(f"the calibration beyond the horizon has shape {beyond.shape}, or holds infinite radii")
    for member in members:
        _check_weights(member)


def _check_weights(member: Member) -> None:
    shapes = {name: weight.shape for name, weight in member.weights.items()}
    optional = {name: shape for name, shape in OPTIONAL_FACTS.items() if name in shapes}
    expected = weight_shapes(member.spec) | fact_shapes(member.spec) | optional
    if shapes != expected:
        wrong = sorted(name for name in shapes.keys() | expected if shapes.get(name) != expected.get(name))
        raise BundleError(f"weights are missing, unknown or of another shape than the spec's: {excerpt(wrong, 200)}")
    for name, weight in member.weights.items():
        if weight.dtype != np.float32 or not np.isfinite(weight).all():
            raise BundleError(f"weight '{name}' is not float32, or holds NaN or infinity")


def _upgrade(header: JsonObject, arrays: NamedArrays) -> tuple[JsonObject, NamedArrays]:
    """Return a bundle of format 1 in format 2: its layers were named ``cell_i``, and it had no facts."""
    try:
        fields = {**header["spec"], **_FORMAT_1}
        spec = Spec.from_json(fields)
        named = {name.replace("cell_", "0/encoder_", 1): w for name, w in arrays.items() if name.startswith("cell_")}
        named |= {f"0/{name}": w for name, w in arrays.items() if name.startswith("head/")}
        kernel = named["0/encoder_0/kernel"]
        radii = arrays[_RADII]
    except (KeyError, TypeError, SpecError) as error:
        raise BundleError(f"the bundle's header cannot be read: {error}") from error
    if kernel.ndim != 2 or len(kernel) != 2:
        raise BundleError(f"weight 'cell_0/kernel' has shape {kernel.shape}; in format 1 it had two rows")
    # The kernel gets a row for the channel "observed": in format 1 nothing was missing. A lag that reached beyond the
    # window was always 0; it is not read any more.
    rows = [kernel[:1], np.zeros_like(kernel[:1]), kernel[1:]]
    named["0/encoder_0/kernel"] = np.concatenate(rows if spec.lags else rows[:2])
    facts = {f"0/{name}": np.zeros(shape, dtype=np.float32) for name, shape in fact_shapes(spec).items()}
    return {**header, "format": 2, "members": [fields], "shares": [1.0]}, {**named, **facts, _RADII: radii}


def sha256(data: bytes) -> str:
    """Return the checksum under which a bundle is registered, hex."""
    return hashlib.sha256(data).hexdigest()
