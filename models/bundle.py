"""Forecaster <-> bytes: JSON and raw arrays with a format version; never code, never a foreign graph."""

import hashlib
import operator
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.cells import CELLS
from models.errors import BundleError, SpecError, excerpt
from models.forecaster import Forecaster
from models.intervals import LEVELS, Calibration
from models.packing import pack, unpack
from models.spec import CHANNELS, Spec

Weights = Mapping[str, NDArray[np.float32]]

FORMAT = 1
_RADII = "calibration/radii"


def to_bytes(forecaster: Forecaster) -> bytes:
    """The bundle of ``forecaster``; equal forecasters give equal bytes.

    Raises:
        BundleError: a weight is missing, of another shape than the spec's, or not finite.
    """
    _check_calibration(forecaster.spec, forecaster.calibration)
    _check_weights(forecaster.spec, forecaster.weights)
    header = {"format": FORMAT, "spec": forecaster.spec.to_json(), "calibrated_on": forecaster.calibration.count}
    return pack(header, {**forecaster.weights, _RADII: forecaster.calibration.radii})


def from_bytes(data: bytes) -> Forecaster:
    """The forecaster that ``to_bytes`` wrote.

    Raises:
        BundleError: the bytes are damaged or of a format that this version does not read.
    """
    header, arrays = unpack(data)
    if header.get("format") != FORMAT:
        raise BundleError(
            f"bundle format {excerpt(header.get('format'))} is not read here; this version reads {FORMAT}"
        )
    try:
        spec = Spec.from_json(header["spec"])
        radii = arrays.pop(_RADII)
        calibration = Calibration(radii, operator.index(header["calibrated_on"]))
    except (KeyError, TypeError, SpecError) as error:
        raise BundleError(f"the bundle's header cannot be read: {error}") from error
    _check_calibration(spec, calibration)
    _check_weights(spec, arrays)
    return Forecaster(spec, arrays, calibration)


def _check_calibration(spec: Spec, calibration: Calibration) -> None:
    radii, shape = calibration.radii, (spec.horizon, len(LEVELS))
    if radii.shape != shape or calibration.count < 0:
        raise BundleError(f"the calibration has shape {radii.shape} and {calibration.count} residuals, not {shape}")
    if not (radii[:, : calibration.highest_level] >= 0).all():
        raise BundleError("the calibration holds radii that are negative or NaN")


def _check_weights(spec: Spec, weights: Weights) -> None:
    shapes = {name: weight.shape for name, weight in weights.items()}
    expected = _shapes(spec)
    if shapes != expected:
        wrong = sorted(name for name in shapes.keys() | expected if shapes.get(name) != expected.get(name))
        raise BundleError(f"weights are missing, unknown or of another shape than the spec's: {excerpt(wrong, 200)}")
    for name, weight in weights.items():
        if weight.dtype != np.float32 or not np.isfinite(weight).all():
            raise BundleError(f"weight '{name}' is not float32, or holds NaN or infinity")


def _shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights of ``models.network.build(spec)``, said without Keras."""
    shapes: dict[str, tuple[int, ...]] = {"head/kernel": (spec.units, spec.outputs), "head/bias": (spec.outputs,)}
    for layer in range(spec.depth):
        own = CELLS[spec.cell].shapes(spec.units if layer else CHANNELS, spec.units)
        shapes |= {f"cell_{layer}/{name}": shape for name, shape in own.items()}
    return shapes


def sha256(data: bytes) -> str:
    """The checksum under which a bundle is registered, hex."""
    return hashlib.sha256(data).hexdigest()
