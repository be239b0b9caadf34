"""Placement of networks: on the requested device, if it is there and agrees with the CPU; otherwise on the CPU."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from models.engines import Engine, MakeEngine, NoNetwork
from models.engines.parity import check_parity, warm_up
from models.errors import excerpt
from models.network.sizes import forecast_flop
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.types import Weights

# A GPU multiplies with 10 bits of mantissa where it may (TF32). With every product rounded so on a CPU, 43 small
# networks of all kinds move by up to 1.1e-3 window units; GRUs, LSTMs and RNNs of up to 512 units and points by 1.6e-3.
# Wrong kernels (OpenVINO's peepholes and stacked bidirectional layers) were off by 5e-3 to 0.8. A network that rounding
# moves further (large peepholes, large recurrent weights) is served on the CPU: slower, but right.
GPU_TOLERANCE = 3e-3
MAX_COMPARED_FLOP = 5_000_000_000  # in one batch: larger ones would keep the CPU busy for a second


class EngineNote(NamedTuple):
    """A note for operators on where networks run: a stable code and a message."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """A device that runs networks.

    ``make`` builds an engine on it, which takes ``engine_bytes`` of the machine's memory and ``copies`` times its
    weights. ``rows``: batch sizes of the runs before it serves. ``reference``: the device that its results are compared
    with, to ``tolerance``, and that replaces it if they differ; None for the CPU itself. ``notes``: reasons why this is
    not the requested device.
    """

    name: str
    make: MakeEngine
    engine_bytes: int
    copies: float
    rows: tuple[int, ...] = (1,)
    reference: "Device | None" = None
    tolerance: float = GPU_TOLERANCE
    notes: tuple[EngineNote, ...] = ()


class PlacedEngines(NamedTuple):
    """The engines of some networks, all on the device of that name; they take ``held_bytes`` of host memory."""

    engines: tuple[Engine, ...]
    device: str
    held_bytes: int
    notes: tuple[EngineNote, ...]


def choose(requested: str, cpu: Device, gpu: Device | None, why_none: str) -> Device:
    """Return ``gpu`` if ``requested`` is ``auto`` or ``gpu`` and there is one, else ``cpu``.

    If ``requested`` is ``gpu`` and there is none, the device gets a note with the reason ``why_none``.
    """
    if requested != "cpu" and gpu is not None:
        return gpu
    if requested == "gpu":
        note = EngineNote("no_gpu", f"a GPU was requested, but {why_none}; forecasts are made on the CPU")
        return replace(cpu, notes=(*cpu.notes, note))
    return cpu


def place(networks: Sequence[tuple[Spec, Weights]], device: Device) -> PlacedEngines:
    """Return engines for ``networks`` on ``device``, compared with its reference and run once at each batch size.

    If that fails for one network, for any reason, all of them are placed on the reference instead.

    Raises:
        KeyError: a weight is missing.
    """
    if device.reference is None:
        return _place_on(networks, device)
    try:
        return _place_on(networks, device)
    except Exception as error:  # a driver, a compiler or a kernel may fail in any way, and the CPU still serves
        reason = f"on the {device.name} it cannot be served ({type(error).__name__}: {excerpt(str(error), 200)})"
        placed = place(networks, device.reference)
        note = EngineNote("fell_back_to_cpu", f"{reason}; this version runs on the {placed.device}")
        return placed._replace(notes=(*device.notes, *placed.notes, note))


def _place_on(networks: Sequence[tuple[Spec, Weights]], device: Device) -> PlacedEngines:
    engines = tuple(
        _prove(spec, weights, device) if STRATEGIES[spec.strategy].learns else NoNetwork() for spec, weights in networks
    )
    weights_bytes = sum(weight.nbytes for _, weights in networks for weight in weights.values())
    held_bytes = len(engines) * device.engine_bytes + int(device.copies * weights_bytes)
    return PlacedEngines(engines, device.name, held_bytes, device.notes)


def _prove(spec: Spec, weights: Weights, device: Device) -> Engine:
    """Return an engine that agrees with the reference and has run every batch size once."""
    engine, unrun = device.make(spec, weights), device.rows
    if device.reference is not None:
        max_rows = max(1, MAX_COMPARED_FLOP // max(1, forecast_flop(spec, spec.outputs)))
        compared = [rows for rows in device.rows if rows <= max_rows]
        reference = device.reference.make(spec, weights)
        check_parity(spec, reference, engine, rows=compared, tolerance=device.tolerance)
        unrun = tuple(rows for rows in device.rows if rows > max_rows)
    warm_up(spec, engine, unrun)
    return engine
