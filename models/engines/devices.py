"""Where networks run: on the device that was asked for, if it is there and says what the CPU says; else on the CPU."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from models.engines import Engine, MakeEngine
from models.engines.parity import check_parity, warm_up
from models.errors import excerpt
from models.network.sizes import forecast_flop
from models.network.spec import Spec
from models.types import Weights

# A GPU multiplies with 10 bits of mantissa where it may (TF32). With every product rounded so on a CPU, 43 small
# networks of all kinds move by up to 1.1e-3 window units; GRUs, LSTMs and RNNs of up to 512 units and points by 1.6e-3.
# Kernels that are wrong (OpenVINO's peepholes and stacked bidirectional layers) were off by 5e-3 to 0.8. A network so
# touchy that rounding moves it further (large peepholes, large recurrent weights) is served on the CPU: slower, right.
GPU_TOLERANCE = 3e-3
MAX_COMPARED_FLOP = 5_000_000_000  # in one batch: larger ones would keep the CPU busy for a second


class EngineNote(NamedTuple):
    """Something to know of where networks run: a stable code, and words for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """Where networks run.

    ``make`` gives an engine there, which takes ``engine_bytes`` of the machine's memory and ``copies`` of its weights;
    ``rows``: the batch sizes that it is run with before it serves. ``reference``: what it is compared with, to
    ``tolerance``, and what takes its place; None for the CPU's own. ``notes``: why it is not what was asked for.
    """

    name: str
    make: MakeEngine
    engine_bytes: int
    copies: float
    rows: tuple[int, ...] = (1,)
    reference: "Device | None" = None
    tolerance: float = GPU_TOLERANCE
    notes: tuple[EngineNote, ...] = ()


class Placed(NamedTuple):
    """The engines of some networks, all on the device named so; they take ``held_bytes`` of the machine's memory."""

    engines: tuple[Engine, ...]
    device: str
    held_bytes: int
    notes: tuple[EngineNote, ...]


def choose(asked: str, cpu: Device, gpu: Device | None, why_none: str) -> Device:
    """``gpu`` where ``asked`` is ``auto`` or ``gpu`` and there is one, else ``cpu``.

    A GPU that was asked for by name and is not there is remarked upon, with the reason ``why_none``.
    """
    if asked != "cpu" and gpu is not None:
        return gpu
    if asked == "gpu":
        remark = EngineNote("no_gpu", f"a GPU was asked for, but {why_none}; forecasts are made on the CPU")
        return replace(cpu, notes=(*cpu.notes, remark))
    return cpu


def place(networks: Sequence[tuple[Spec, Weights]], device: Device) -> Placed:
    """Engines for ``networks`` on ``device``: compared with its reference, and run once at each of its sizes.

    Where that fails for one of them, whatever the reason, all of them are placed on the reference instead.

    Raises:
        KeyError: a weight is missing.
    """
    if device.reference is None:
        return _placed(networks, device)
    try:
        return _placed(networks, device)
    except Exception as error:  # a driver, a compiler or a kernel may fail in any way, and the CPU still serves
        reason = f"on the {device.name} it cannot be served ({type(error).__name__}: {excerpt(str(error), 200)})"
        placed = place(networks, device.reference)
        remark = EngineNote("fell_back_to_cpu", f"{reason}; this version runs on the {placed.device}")
        return placed._replace(notes=(*device.notes, *placed.notes, remark))


def _placed(networks: Sequence[tuple[Spec, Weights]], device: Device) -> Placed:
    engines = tuple(_proven(spec, weights, device) for spec, weights in networks)
    weights_bytes = sum(weight.nbytes for _, weights in networks for weight in weights.values())
    held_bytes = len(engines) * device.engine_bytes + int(device.copies * weights_bytes)
    return Placed(engines, device.name, held_bytes, device.notes)


def _proven(spec: Spec, weights: Weights, device: Device) -> Engine:
    """An engine that says what the reference says, and has run every size once."""
    engine, unseen = device.make(spec, weights), device.rows
    if device.reference is not None:
        most = max(1, MAX_COMPARED_FLOP // max(1, forecast_flop(spec, spec.outputs)))
        compared = [rows for rows in device.rows if rows <= most]
        reference = device.reference.make(spec, weights)
        check_parity(spec, reference, engine, rows=compared, tolerance=device.tolerance)
        unseen = tuple(rows for rows in device.rows if rows > most)
    warm_up(spec, engine, unseen)
    return engine
