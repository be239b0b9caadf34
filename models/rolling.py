"""A network at work: moments of a panel in, a prediction of any horizon out."""

from collections.abc import Iterator
from itertools import count, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.calendar import Ints
from models.checks import Floats
from models.engines import Engine
from models.inputs import Batch, Inputs, Reader, window_inputs, zero_state
from models.intervals import Prediction
from models.losses import LOSSES, Said
from models.spec import Spec

Float32 = NDArray[np.float32]


class Steps(NamedTuple):
    """Some steps in data units: ``mean`` (B, h) and, of a network that says them, ``quantiles`` (B, h, Q)."""

    mean: Floats
    quantiles: Floats | None


@np.errstate(over="ignore", invalid="ignore")  # of a broken network: who asked sees numbers that are not finite
def roll(reader: Reader, engine: Engine, series: Ints, at: Ints, horizon: int) -> Prediction:
    """``horizon`` steps from the moments (series, at), however few the network says in one pass.

    What is said is appended to the past; then the network reads its window anew, or goes on from its state.
    """
    spec = reader.spec
    first = reader.read(series, at, -(-horizon // spec.outputs) * spec.outputs if spec.carries else spec.outputs)
    if spec.carries:
        parts = _carry(spec, engine, first, horizon)
    else:
        parts = list(islice(_slide(reader, engine, (series, at), first), -(-horizon // spec.outputs)))
    mean = np.concatenate([part.mean for part in parts], axis=1)[:, :horizon]
    quantiles = [part.quantiles for part in parts if part.quantiles is not None]
    if not quantiles:
        return Prediction(mean, first.unit)
    return Prediction(mean, first.unit, np.concatenate(quantiles, axis=1)[:, :horizon], spec.quantiles)


def _slide(reader: Reader, engine: Engine, moments: tuple[Ints, Ints], batch: Batch) -> Iterator[Steps]:
    """Pass after pass, each of the last T points, said ones among them, normalised anew: as the network was taught."""
    spec, (series, at) = reader.spec, moments
    past = reader.past(series, at)
    for said in count(spec.outputs, spec.outputs):
        steps = _in_data(batch, _read(spec, engine.run(window_inputs(spec, batch.values, batch))["said"]))
        yield steps
        past = np.concatenate([past, steps.mean], axis=1)[:, spec.outputs :]
        batch = reader.read(series, at + said, spec.outputs, past, said)


def _carry(spec: Spec, engine: Engine, batch: Batch, horizon: int) -> list[Steps]:
    """The window is read once; after that, only what is new."""
    memory = begin(spec, engine, batch)
    said = [memory.said]
    while sum(part.mean.shape[1] for part in said) < horizon:
        memory = go_on(spec, engine, memory, memory.said.mean)
        said.append(memory.said)
    mean = np.concatenate([part.mean for part in said], axis=1)
    quantiles = None if said[0].quantiles is None else np.concatenate([np.asarray(p.quantiles) for p in said], axis=1)
    return [_in_data(batch, Said(mean, quantiles))]


class Memory(NamedTuple):
    """What a network that carries its state keeps of B series, to go on from with every new point.

    ``values`` (B, n) are all points read so far, ``said`` the steps that it says now; both in units of the window that
    it began with, as ``batch`` has them. ``state``: the inputs ``state_0`` (B, U) ….
    """

    batch: Batch
    values: Float32
    state: Inputs
    said: Said


def begin(spec: Spec, engine: Engine, batch: Batch) -> Memory:
    """Read a window from a state of zero."""
    zero = zero_state(spec, len(batch.values))
    return _read_on(spec, engine, batch, batch.values, zero, batch.values.shape[1])


def go_on(spec: Spec, engine: Engine, memory: Memory, values: Float32) -> Memory:
    """Read the next points, ``values`` (B, k) in window units, NaN where missing: k steps of the cell and no more."""
    both = np.concatenate([memory.values, values], axis=1)
    return _read_on(spec, engine, memory.batch, both, memory.state, values.shape[1])


def _read_on(spec: Spec, engine: Engine, batch: Batch, values: Float32, state: Inputs, new: int) -> Memory:
    """Read the last ``new`` of all ``values`` (B, n) known so far."""
    inputs = window_inputs(spec, values, batch)
    inputs["past"] = inputs["past"][:, -new:]
    outputs = engine.run(inputs | state)
    following = {name.replace("next", "state"): value for name, value in outputs.items() if name != "said"}
    return Memory(batch, values, following, _read(spec, outputs["said"]))


def _read(spec: Spec, said: Float32) -> Said:
    return LOSSES[spec.loss].read(said, spec.quantiles)


def _in_data(batch: Batch, said: Said) -> Steps:
    if said.quantiles is None:
        return Steps(batch.to_data(said.mean), None)
    quantiles = [batch.to_data(said.quantiles[..., q]) for q in range(said.quantiles.shape[2])]
    return Steps(batch.to_data(said.mean), np.stack(quantiles, axis=2))
