"""Reader: a network's inputs from a panel at given origins; the same in training, backtest and serving.

An origin is a series and ``at``, the number of its points that are past: the forecast begins with the next one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.data.calendar import parse_freq
from models.data.calendar_features import calendar_features, holiday_features, times_of
from models.data.panel import Panel
from models.data.transforms import Change, change_of
from models.data.windows import take
from models.network.cells import CELLS
from models.network.likeness import UNKNOWN, usual_range
from models.network.scaling import SCALINGS, Scale, fill, normalise
from models.network.spec import Spec
from models.network.strategies import STRATEGIES, frames
from models.types import Float32, Floats, Inputs, Ints

MAX_FLOAT32 = 1e38  # about the largest float32
MAX_UNIT_WINDOWS = 1_000  # on which the typical spread of a window is measured
OPTIONAL_FACTS = {"facts/usual": (2, 2)}


class Facts(NamedTuple):
    """Statistics of the training panel; stored among a forecaster's weights as ``facts/…``.

    ``mean`` and ``deviation`` (K,) of each numeric covariate, in the order of ``numeric``; ``prior`` (2,): the median
    level and the spread of a series, used where windows are not normalised by their own. ``unit`` (2,): the median
    spread of a window, and the median share of its level, 0 unless all values are positive; used where a window has too
    few values to have a spread. Bundles of earlier releases have 0 for both. ``usual`` (2, 2): the range of its
    windows' ratios (see ``models.network.likeness``), unknown in such bundles.
    """

    mean: Float32
    deviation: Float32
    prior: Float32
    unit: Float32
    usual: Float32 = UNKNOWN

    @classmethod
    def none(cls) -> "Facts":
        """Return facts for a network that reads a past and has no covariates."""
        return cls(*(np.zeros(size, np.float32) for size in (0, 0, 2, 2)))

    def to_weights(self) -> Inputs:
        """Return the facts as named arrays; an unknown range is left out."""
        known = {name: value for name, value in self._asdict().items() if value is not UNKNOWN}
        return {f"facts/{name}": value for name, value in known.items()}


def facts_in(weights: Mapping[str, Float32]) -> Facts:
    """Return the facts among a forecaster's weights."""
    mean, deviation, prior, unit = (weights[f"facts/{name}"] for name in ("mean", "deviation", "prior", "unit"))
    return Facts(mean, deviation, prior, unit, weights.get("facts/usual", UNKNOWN))


def fact_shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a spec's facts by name, without those that may be unknown (``OPTIONAL_FACTS``)."""
    count = len(numeric(spec))
    return {"facts/mean": (count,), "facts/deviation": (count,), "facts/prior": (2,), "facts/unit": (2,)}


def numeric(spec: Spec) -> list[str]:
    """Return the covariates that are numbers, in the order of their roles."""
    texts = {name for name, _ in spec.categories}
    return [name for name in spec.covariates if name not in texts]


def facts_of(spec: Spec, panel: Panel) -> Facts:
    """Compute mean and deviation of the covariates of ``panel``, the range of its ratios and, for ``scaling="panel"``,
    its level and spread.
    """
    mean, deviation = [], []
    for name in numeric(spec):
        values = panel.covariates[name]
        values = values[np.isfinite(values)]
        mean.append(values.mean() if values.size else 0.0)
        deviation.append(values.std() if values.size else 0.0)
    by_panel = spec.by_panel
    facts = mean, deviation, _prior(spec, panel) if by_panel else (0, 0), (0, 0) if by_panel else _unit(spec, panel)
    arrays = (np.asarray(value, dtype=np.float64) for value in facts)
    first, second, prior, unit = (np.clip(array, -MAX_FLOAT32, MAX_FLOAT32).astype(np.float32) for array in arrays)
    learns = STRATEGIES[spec.strategy].learns and spec.context > 0
    usual = usual_range(panel, spec.context, spec.season) if learns else UNKNOWN
    return Facts(first, second, prior, unit, usual)


def _prior(spec: Spec, panel: Panel) -> tuple[float, float]:
    """Return the median of all series' means and the mean distance of values from it; 0 and 1 without values."""
    change = change_of(
        spec.transform, np.zeros((1, 0))
    )  # a series without history: all of its values count as positive
    changed = [change.apply(y[None])[0] for _, y in panel]
    series = [y[np.isfinite(y)] for y in changed if np.isfinite(y).any()]
    if not series:
        return 0.0, 1.0
    level = float(np.median([y.mean() for y in series]))
    return level, float(np.abs(np.concatenate(series) - level).mean()) or 1.0


def _unit(spec: Spec, panel: Panel) -> tuple[float, float]:
    """Return the median spread of a window of ``panel`` and, if all values are positive, its median share of the level.

    Both are of transformed values; 0 without a window that has a spread. A logarithm has no level to take a share of.
    """
    ends = np.flatnonzero(~np.isnan(panel.y)) + 1
    if len(ends) > MAX_UNIT_WINDOWS:
        ends = ends[np.linspace(0, len(ends) - 1, MAX_UNIT_WINDOWS).astype(np.int64)]
    series = np.searchsorted(panel.indptr, ends - 1, side="right") - 1
    past = take(panel.y, panel, series, ends - panel.indptr[series] - spec.context, spec.context)
    changed = change_of(spec.transform, past).apply(past)
    scale = SCALINGS[spec.scaling].normalise(changed, spec.season, np.zeros(2, np.float32)).scale
    known = scale.spread[:, 0] > 0
    if not known.any():
        return 0.0, 0.0
    spread, level = scale.spread[known, 0], np.abs(scale.level[known].mean(axis=1))
    shared = spec.transform == "none" and bool((panel.y[ends - 1] > 0).all())
    return float(np.median(spread)), float(np.median(spread / level)) if shared else 0.0


class Batch(NamedTuple):
    """B origins: ``values`` (B, T) in window units, NaN where missing; ``known`` (B, T + h, K) and ``static`` (B, S).

    ``scale`` and ``change`` convert window units back to data units.
    """

    values: Float32
    known: Float32
    static: Float32
    scale: Scale
    change: Change

    @property
    def unit(self) -> Floats:
        """Size of one window unit in data units at the level of the window, (B, 1); 0 for a constant window."""
        level = self.scale.level if self.scale.level.shape[1] == 1 else self.scale.level.mean(axis=1, keepdims=True)
        return np.abs(self.change.invert(level + self.scale.spread) - self.change.invert(level))

    def to_window(self, future: Floats) -> Float32:
        """Return the values after the window, (B, h), in its units."""
        return self.scale.to_window(self.change.apply(future))

    def to_data(self, predicted: Float32) -> Floats:
        """Return a forecast after the window, (B, h), in data units."""
        return self.change.invert(self.scale.to_data(predicted))


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A reader of ``panel`` for networks of ``spec``."""

    spec: Spec
    facts: Facts
    panel: Panel

    def past(self, series: Ints, at: Ints) -> Floats:
        """Return the T values before each origin in data units, (B, T); NaN where missing or before the series."""
        return take(self.panel.y, self.panel, series, at - self.spec.context, self.spec.context)

    def future(self, series: Ints, at: Ints, steps: int) -> Floats:
        """Return the values after each origin in data units, (B, steps); NaN where missing or not yet known."""
        return take(self.panel.y, self.panel, series, at, steps)

    def read(self, series: Ints, at: Ints, ahead: int, past: Floats | None = None, predicted: int = 0) -> Batch:
        """Return the batch at the origins, with covariates ``ahead`` steps beyond them.

        ``past`` replaces the panel's values. The last ``predicted`` steps before ``at`` were not observed but forecast:
        past covariates end before them. A ``past`` (B, k T) of several windows is one over which a state is carried:
        all of it is in units of the first window that holds a value.
        """
        spec = self.spec
        raw = self.past(series, at) if past is None else past
        if raw.shape[1] == spec.context:
            begun = raw
        else:
            windows = raw.reshape(len(raw), -1, spec.context)
            begun = windows[np.arange(len(raw)), (~np.isnan(windows)).any(axis=2).argmax(axis=1)]
        change = change_of(spec.transform, begun)
        scaling = "panel" if spec.by_panel else spec.scaling
        values, scale = normalise(change.apply(begun), spec.season, scaling, self.facts.prior, self.facts.unit)
        if begun is not raw:
            values = scale.to_window(change.apply(raw))
        known = self.known(series, at, raw.shape[1], ahead)
        if spec.past_covariates:
            known[:, max(raw.shape[1] - predicted, 0) :, : known.shape[2] - spec.ahead_channels] = 0
        names = spec.static_covariates
        parts = [self._column(name, self.panel.latest(name)[series][:, None])[:, 0] for name in names]
        static = np.concatenate(parts, axis=1) if parts else np.zeros((len(series), 0), dtype=np.float32)
        return Batch(values, known, static, scale, change)

    def known(self, series: Ints, at: Ints, back: int, ahead: int) -> Float32:
        """Return past covariates, future covariates, calendar and holidays: (B, back + ahead, K), 0 where missing."""
        spec, begin, size = self.spec, at - back, back + ahead
        parts = []
        for name in spec.varying_covariates:
            flat = self.panel.covariates[name]
            parts.append(self._column(name, take(flat, self.panel, series, begin, size)))
        if spec.calendar or spec.holidays:
            times = times_of(self.panel, series, at, back, ahead)
            if spec.calendar:
                parts.append(calendar_features(parse_freq(spec.freq), times))
            if spec.holidays:
                parts.append(holiday_features(spec.holidays, parse_freq(spec.freq), times)[..., None])
        if not parts:
            return np.zeros((len(series), size, 0), dtype=np.float32)
        return np.concatenate(parts, axis=2, dtype=np.float32)

    def _column(self, name: str, values: Floats) -> Float32:
        """Return a covariate (B, n) as channels (B, n, k): standardised numbers, or one for each category of a text."""
        for known, texts in self.spec.categories:
            if known == name:
                codes = self.panel.categories[name]
                place = np.array([texts.index(text) if text in texts else -1 for text in codes] + [-1])
                found = place[np.where(np.isnan(values), len(codes), values).astype(np.int64)]
                return np.asarray(found[..., None] == np.arange(len(texts)), dtype=np.float32)
        k = numeric(self.spec).index(name)
        mean, deviation = float(self.facts.mean[k]), float(self.facts.deviation[k])
        standard = (values - mean) / (deviation if deviation > 0 else 1.0)
        return np.nan_to_num(np.clip(standard, -10, 10)).astype(np.float32)[..., None]


def zero_state(spec: Spec, rows: int) -> Inputs:
    """Return zero inputs ``state_0`` (B, U) … for a network that carries its state; none for any other."""
    states = range(spec.depth * CELLS[spec.cell].states if spec.carries else 0)
    return {f"state_{i}": np.zeros((rows, spec.units), dtype=np.float32) for i in states}


def past_channels(spec: Spec, values: Float32, known: Float32) -> Float32:
    """Return the channels of each of n points: value (0 where missing), observed or not, lag, covariates; (B, n, C).

    The lag is the value one season before the next point, 0 where that is not known.
    """
    rows, count, gap = *values.shape, spec.season - 1
    past = np.zeros((rows, count, 2 + spec.lags + known.shape[2]), dtype=np.float32)
    past[..., 0] = values
    past[..., 1] = values == values  # noqa: PLR0124 - false of NaN alone
    if spec.lags:
        past[:, gap:, 2] = fill(values, spec.season)[:, : count - gap]
    past[np.isnan(past)] = 0
    if known.shape[2]:
        past[..., 2 + spec.lags :] = known
    return past


def window_inputs(spec: Spec, values: Float32, batch: Batch) -> Inputs:
    """Return the inputs of a network that reads ``values`` (B, n): the T points or, with a carried state, more."""
    count = values.shape[1]
    known = batch.known[:, : count + spec.outputs]
    inputs = {"past": past_channels(spec, values, known[:, :count])} if count else {}
    if spec.skip_channels:
        inputs["skip"] = _naive_after(spec, values, np.array([count]))[:, 0]
    inputs |= _static_and_seen(spec, values, batch)
    if known.shape[2] and (ahead := spec.ahead_channels):
        inputs["ahead"] = known[:, count:, -ahead:]
    return inputs


def training_inputs(spec: Spec, both: Float32, batch: Batch) -> Inputs:
    """Return the inputs of a network trained after every step; ``both`` (B, T + O): the window and its future."""
    context = both.shape[1] - spec.outputs
    values = both[:, :context]
    inputs = {"past": past_channels(spec, values, batch.known[:, :context])} | _static_and_seen(spec, values, batch)
    if spec.ahead_channels:
        known = batch.known[..., batch.known.shape[2] - spec.ahead_channels :]
        inputs["ahead"] = np.ascontiguousarray(frames(known, context, spec.segment, spec.outputs))
    if spec.skip_channels:
        inputs["skip"] = _naive_after(spec, values, np.arange(spec.segment, context + 1, spec.segment))
    return inputs


def _static_and_seen(spec: Spec, values: Float32, batch: Batch) -> Inputs:
    inputs: Inputs = {"static": batch.static} if spec.static_channels else {}
    if spec.attention:
        seen = ~np.isnan(values.reshape(len(values), spec.steps, spec.segment)).all(axis=2)
        inputs["seen"] = np.asarray(seen, dtype=np.float32)
    return inputs


def _naive_after(spec: Spec, values: Float32, ends: Ints) -> Float32:
    """Return the naive forecasts after the first ``ends`` (n,) points of ``values`` (B, T): (B, n, O, N).

    The last season, if windows hold one, and the last value; 0, the window's level, where there is none.
    """
    period = spec.season if spec.season <= spec.context else 1
    where = ends[:, None] - period + np.arange(spec.outputs) % period
    naive = np.empty((len(values), *where.shape, spec.skip_channels), dtype=np.float32)
    naive[..., 0] = fill(values, period)[:, np.maximum(where, 0)]
    naive[:, where < 0, 0] = 0
    if spec.skip_channels > 1:
        naive[..., 1] = fill(values, 1)[:, ends - 1, None]
    naive[np.isnan(naive)] = 0
    return naive
