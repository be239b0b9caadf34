"""Rollout of a network: prediction of any horizon from given moments of a panel."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.engines import Engine
from models.evaluation.prediction import Basis, Prediction
from models.forecasting.seasonal_naive import predict_seasonal_naive
from models.network.inputs import Batch, Reader, window_inputs, zero_state
from models.network.losses import LOSSES, WindowForecast
from models.network.scaling import fill
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from models.types import Float32, Floats, Inputs, Ints, Outputs

Tree = TypeVar("Tree")


class StepForecasts(NamedTuple):
    """Forecasts of h steps in data units: ``median`` (B, h); ``quantiles`` (B, h, Q), None if the network has none."""

    median: Floats
    quantiles: Floats | None


@np.errstate(over="ignore", invalid="ignore")  # a broken network gives numbers that are not finite; the caller checks
def roll(reader: Reader, engine: Engine, series: Ints, at: Ints, horizon: int) -> Prediction:
    """Predict ``horizon`` steps from the moments (series, at), with as many passes of the network as needed.

    Predicted values are appended to the past; then the network reads the moved window, or continues from its state. A
    strategy that learns nothing needs no pass.
    """
    spec = reader.spec
    if not STRATEGIES[spec.strategy].learns:
        return predict_seasonal_naive(reader, series, at, horizon)
    if spec.carries:
        first = reader.read(series, at, count_passes(spec, horizon) * spec.outputs)
        return forecast_from_state(spec, engine, begin(spec, engine, first), horizon)
    past = reader.past(series, at)
    first = reader.read(series, at, spec.outputs, past)
    parts = islice(_forecast_windows(reader, engine, (series, at), past, first), count_passes(spec, horizon))
    return _concatenate(spec, list(parts), first, horizon)


def count_passes(spec: Spec, horizon: int) -> int:
    """Return the number of passes of the network that give ``horizon`` steps."""
    return -(-horizon // spec.outputs)


def _forecast_windows(
    reader: Reader, engine: Engine, moments: tuple[Ints, Ints], past: Floats, batch: Batch
) -> Iterator[StepForecasts]:
    """Yield the steps of each pass; the window of each is the last T points, normalised again as in training."""
    spec, (series, at) = reader.spec, moments
    for predicted in count(spec.outputs, spec.outputs):
        steps = _to_data_units(
            batch, _read_outputs(spec, engine.run(window_inputs(spec, batch.values, batch))["predicted"])
        )
        yield steps
        past = np.concatenate([past, steps.median], axis=1)[:, spec.outputs :]
        batch = reader.read(series, at + predicted, spec.outputs, past, predicted)


class NetworkState(NamedTuple):
    """Recurrent state of B series, from which a network with a carried state reads new points.

    Its size does not depend on the number of points read. Values are in units of the first window:
    ``recent`` (B, season): the newest values if the network has lags, gaps filled from one season before;
    ``newest`` (B, 1): the last observed value; NaN if there is none. ``inputs``: the inputs ``state_0`` (B, U), …;
    ``prediction``: the network's output after the last point. ``batch`` holds no values any more, and its ``known``
    begins with the covariates of the next point.
    """

    batch: Batch
    recent: Float32
    newest: Float32
    inputs: Inputs
    prediction: WindowForecast


def begin(spec: Spec, engine: Engine, batch: Batch) -> NetworkState:
    """Read a window, or its first points, from a state of zero."""
    rows = len(batch.values)
    recent, newest = (np.full((rows, n), np.nan, dtype=np.float32) for n in (spec.season if spec.lags else 0, 1))
    nothing = np.empty((rows, 0), dtype=np.float32)
    blank = NetworkState(
        batch._replace(values=nothing), recent, newest, zero_state(spec, rows), WindowForecast(nothing, None)
    )
    return advance(spec, engine, blank, batch.values)


def advance(spec: Spec, engine: Engine, state: NetworkState, values: Float32) -> NetworkState:
    """Read the next points, ``values`` (B, k) in window units, NaN where missing, in k steps of the network."""
    count, batch, recent = values.shape[1], state.batch, state.recent
    if count == 0:
        return state  # ONNX Runtime aborts the process for a sequence without steps
    if spec.lags:
        recent = np.concatenate([recent, values], axis=1)
        recent = fill(recent, spec.season) if np.isnan(values).any() else recent
    newest = _last_observed(state.newest, values)
    inputs = {"past": _past_channels(spec, values, recent, batch.known), **_static_inputs(spec, batch), **state.inputs}
    if spec.ahead_channels:
        inputs["ahead"] = batch.known[:, count : count + spec.outputs, -spec.ahead_channels :]
    if spec.skip_channels:
        inputs["skip"] = _naive_forecasts(spec, recent, newest)
    outputs = engine.run(inputs)
    batch, recent = batch._replace(known=batch.known[:, count:]), recent[:, count:] if spec.lags else recent
    return NetworkState(batch, recent, newest, _next_states(outputs), _read_outputs(spec, outputs["predicted"]))


@np.errstate(over="ignore", invalid="ignore")
def forecast_from_state(spec: Spec, engine: Engine, state: NetworkState, horizon: int) -> Prediction:
    """Predict ``horizon`` steps after the points read, feeding predicted values back; ``state`` is not changed."""
    feed = _feed_steps if spec.outputs == 1 else _feed_segments
    parts = [state.prediction, *feed(spec, engine, state, count_passes(spec, horizon) - 1)]
    median = np.concatenate([part.median for part in parts], axis=1)
    quantiles = [part.quantiles for part in parts if part.quantiles is not None]
    prediction = WindowForecast(median, np.concatenate(quantiles, axis=1) if quantiles else None)
    return _concatenate(spec, [_to_data_units(state.batch, prediction)], state.batch, horizon)


def without_window(state: NetworkState) -> NetworkState:
    """Return ``state`` for storage, without future covariates, which are read again, and without views of inputs."""
    known = np.empty((len(state.newest), 0, state.batch.known.shape[2]), dtype=np.float32)
    batch = state.batch._replace(known=known)
    return state._replace(batch=batch, recent=state.recent.copy(), newest=state.newest.copy())


def take_rows(state: Tree, rows: Ints) -> Tree:
    """Return the rows ``rows`` of ``state``, or of the arrays in any tuple and dict."""
    made: Tree = _map_arrays(lambda array: array[rows], state)
    return made


def scatter(state: NetworkState, count: int, rows: Ints, part: NetworkState) -> NetworkState:
    """Return ``state`` with ``part`` in its rows ``rows`` (B,); a shorter state is first extended to ``count`` rows."""
    if len(rows) == count:
        return part

    def replace_rows(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
        extended = np.zeros((count, *old.shape[1:]), dtype=old.dtype)
        extended[: len(old)] = old
        extended[rows] = new
        return extended

    scattered: NetworkState = _map_arrays(replace_rows, state, part)
    return scattered


def _map_arrays(change: Callable[..., NDArray[Any]], first: Any, *others: Any) -> Any:
    """Apply ``change`` to each array of ``first``, with the arrays in the same place of ``others``."""
    if isinstance(first, np.ndarray):
        return change(first, *others)
    if isinstance(first, dict):
        return {name: _map_arrays(change, *(one[name] for one in (first, *others))) for name in first}
    if isinstance(first, tuple):
        parts = [_map_arrays(change, *part) for part in zip(first, *others, strict=True)]
        return first._make(parts) if hasattr(first, "_make") else tuple(parts)
    return first


def _feed_segments(spec: Spec, engine: Engine, state: NetworkState, times: int) -> Iterator[WindowForecast]:
    """Yield the prediction after reading the previous prediction, ``times`` times."""
    for _ in range(times):
        state = advance(spec, engine, state, state.prediction.median)
        yield state.prediction


def _feed_steps(spec: Spec, engine: Engine, state: NetworkState, times: int) -> Iterator[WindowForecast]:
    """Yield the same predictions as ``_feed_segments`` for segments of one step, and reuse arrays.

    Most of the time of a forecast is spent here.
    """
    known, prediction, (rows, season) = state.batch.known, state.prediction, state.recent.shape
    values = np.zeros((rows, season + times), dtype=np.float32)
    values[:, :season] = np.nan_to_num(state.recent)
    past = np.ones((rows, 1, 2 + spec.lags + known.shape[2]), dtype=np.float32)
    skip = np.empty((rows, 1, spec.skip_channels), dtype=np.float32)
    inputs = {"past": past, "skip": skip, **_static_inputs(spec, state.batch), **state.inputs}
    if not spec.skip_channels:
        del inputs["skip"]
    ahead, first = spec.ahead_channels, 2 + spec.lags
    for step in range(times):
        past[:, :, 0] = values[:, season + step : season + step + 1] = prediction.median
        skip[:, :, -1:] = prediction.median[:, :, None]
        if season:
            past[:, 0, 2] = values[:, step + 1]
            skip[:, 0, :-1] = past[:, 0, 2:3]
        if known.shape[2]:
            past[:, 0, first:] = known[:, step]
        if ahead:
            inputs["ahead"] = known[:, step + 1 : step + 2, -ahead:]
        outputs = engine.run(inputs)
        inputs |= _next_states(outputs)
        prediction = _read_outputs(spec, outputs["predicted"])
        yield prediction


def _next_states(outputs: Outputs) -> Inputs:
    """Return the final states of a run as inputs of the next run."""
    return {name.replace("next", "state"): value for name, value in outputs.items() if name != "predicted"}


def _static_inputs(spec: Spec, batch: Batch) -> Inputs:
    return {"static": batch.static} if spec.static_channels else {}


def _past_channels(spec: Spec, values: Float32, recent: Float32, known: Float32) -> Float32:
    """Return the channels of each of k points, as ``models.network.inputs.past_channels`` for a window; (B, k, C)."""
    rows, count = values.shape
    past = np.empty((rows, count, 2 + spec.lags + known.shape[2]), dtype=np.float32)
    past[..., 0] = values
    past[..., 1] = values == values  # noqa: PLR0124 - false for NaN only
    if spec.lags:
        past[..., 2] = recent[:, 1 : count + 1]
    if known.shape[2]:
        past[..., 2 + spec.lags :] = known[:, :count]
    past[np.isnan(past)] = 0
    return past


def _naive_forecasts(spec: Spec, recent: Float32, newest: Float32) -> Float32:
    """Return the naive forecasts that follow the points read so far, (B, O, N), in window units.

    They are the last season (``recent``), if the network has lags, and the last observed value (``newest``).
    """
    naive = np.empty((len(newest), spec.outputs, spec.skip_channels), dtype=np.float32)
    naive[..., -1] = newest
    if spec.lags:
        naive[..., 0] = recent[:, np.arange(spec.outputs) % spec.season - spec.season]
    naive[np.isnan(naive)] = 0
    return naive


def _last_observed(before: Float32, values: Float32) -> Float32:
    """Return the last observed value, (B, 1)."""
    last = values[:, -1:]
    for column in range(values.shape[1] - 2, -2, -1):
        unknown = np.isnan(last)
        if not unknown.any():
            break
        last = np.where(unknown, values[:, column : column + 1] if column >= 0 else before, last)
    return last


def _read_outputs(spec: Spec, outputs: Float32) -> WindowForecast:
    return LOSSES[spec.loss].read(outputs, spec.quantiles)


def _to_data_units(batch: Batch, forecast: WindowForecast) -> StepForecasts:
    if forecast.quantiles is None:
        return StepForecasts(batch.to_data(forecast.median), None)
    level, spread = batch.scale.ahead(forecast.median.shape[1])[..., None], batch.scale.spread[..., None]
    quantiles = level + forecast.quantiles.astype(np.float64) * spread
    flat = batch.change.invert(quantiles.reshape(len(quantiles), -1))
    return StepForecasts(batch.to_data(forecast.median), flat.reshape(quantiles.shape))


def _concatenate(spec: Spec, parts: Sequence[StepForecasts], first: Batch, horizon: int) -> Prediction:
    """Return the first ``horizon`` steps of all ``parts`` together, in the units of the ``first`` windows."""
    median = _join_steps([part.median for part in parts])[:, :horizon]
    quantiles = [part.quantiles for part in parts if part.quantiles is not None]
    basis = Basis(first.change, first.scale.spread, first.scale.measured)
    if not quantiles:
        return Prediction.of_points(median, first.unit, basis)
    joined = _join_steps(quantiles)[:, :horizon]
    return Prediction.of_quantiles(median, first.unit, joined, spec.quantiles, basis)


def _join_steps(parts: Sequence[Floats]) -> Floats:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
