"""Arithmetic and memory that the network of a spec needs; admission and the device's memory are planned by them."""

from models.errors import SpecError
from models.network.cells import CELLS
from models.network.encoders import ENCODERS
from models.network.spec import Spec, Training
from models.network.strategies import STRATEGIES

MAX_BATCH_BYTES = 2 * 1024**3


def forecast_flop(spec: Spec, horizon: int) -> int:
    """Return the floating-point operations of one series' forecast of ``horizon`` steps.

    The matrix products of all passes, steps, cells and the output layer count; those of smaller layers do not.
    """
    encoder = ENCODERS[spec.encoder]
    passes = -(-horizon // spec.outputs)
    step = _cell_flop(spec, spec.channels * spec.segment) + (spec.depth - 1) * _cell_flop(spec, spec.units)
    # A convolution over a season reads three neighbouring places at each of its places.
    runs = 3 * spec.season if encoder.by_season else encoder.runs * spec.steps
    decoder = (spec.horizon // spec.segment) * _cell_flop(spec, spec.units) if spec.decodes else 0
    head = 2 * spec.units * spec.outputs * spec.parameters
    return passes * (step * runs + decoder + head)


def batch_bytes(spec: Spec, batch_size: int) -> int:
    """Return roughly the bytes that one training batch keeps for its gradient: all gates of all steps, and targets."""
    gates = CELLS[spec.cell].gates * spec.units * spec.depth
    steps = spec.context if ENCODERS[spec.encoder].by_season else spec.steps
    predicted = spec.outputs * (spec.parameters + spec.ahead_channels)
    predicted *= spec.steps if STRATEGIES[spec.strategy].every_step else 1
    read = spec.context * spec.channels
    return 4 * batch_size * (steps * gates + read + 2 * predicted)


def check_training(spec: Spec, training: Training) -> None:
    """Refuse training settings that exceed a worker's memory or do not go with the spec.

    Raises:
        SpecError: a batch would need more than ``MAX_BATCH_BYTES``, or the spec has no state for ``carry``.
    """
    needed = batch_bytes(spec, training.batch_size)
    if needed > MAX_BATCH_BYTES:
        message = f"a batch of {training.batch_size} windows would need about {needed / 1024**3:.1f} GiB"
        hint = f"lower batch_size, context, units or depth until it is {MAX_BATCH_BYTES / 1024**3:.0f} GiB"
        raise SpecError.of("batch_too_large", message, hint, field="batch_size")
    if training.carry > 1 and not spec.carries:
        hint = "leave carry at 1, or use state carried"
        raise SpecError.of("bad_field", f"state is {spec.state}", hint, field="carry")
    if training.carry > 1 and training.patience > 0:
        message = "windows held out to choose the epoch have no state to continue from"
        raise SpecError.of("bad_field", message, "leave patience or carry out", field="patience")


def _cell_flop(spec: Spec, inputs: int) -> int:
    return 2 * CELLS[spec.cell].gates * spec.units * (spec.units + inputs)
