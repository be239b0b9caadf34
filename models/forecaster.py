"""Forecaster: spec + weights + calibration; turns a panel into a forecast and knows nothing of where it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.calendar import LAST, Freq, Times, parse_freq
from models.engines import Engine
from models.errors import Fault, Findings, InputError, ModelBroken
from models.intervals import Calibration
from models.panel import Floats, Panel
from models.scaling import inputs, normalise, to_data_units
from models.spec import Spec


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """A trained forecaster; ``weights`` by name as ``models.network.get_weights`` gives them."""

    spec: Spec
    weights: Mapping[str, NDArray[np.float32]]
    calibration: Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something the reader of a forecast should know."""

    code: str
    message: str
    unique_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """``mean`` (N, horizon); ``radii``: level -> half width (N, horizon); ``starts``: each series' first moment."""

    ids: tuple[str, ...]
    freq: Freq
    starts: Times
    mean: Floats
    radii: Mapping[int, Floats]
    notes: tuple[Note, ...] = field(default=())
    utc: bool = False

    def times(self, i: int) -> Times:
        """The timestamps forecast for series ``i``, (horizon,)."""
        return self.freq.after(self.starts[i], np.arange(self.mean.shape[1]))

    def stamps(self, i: int) -> list[str]:
        """The timestamps forecast for series ``i`` in ISO 8601, with a Z where the history had one."""
        times = self.times(i)
        whole = bool((times.astype(np.int64) % 1_000_000 == 0).all())
        return [text + "Z" * self.utc for text in np.datetime_as_string(times, unit="s" if whole else "us").tolist()]

    def to_frame(self) -> Any:
        """A long pandas frame: unique_id, ds, mean, and lo-L and hi-L for each level L."""
        import pandas as pd  # noqa: PLC0415 - a serving process never needs it, and it costs 100 MB

        steps = self.mean.shape[1]
        columns: dict[str, Any] = {
            "unique_id": np.repeat(np.array(self.ids, dtype=object), steps),
            "ds": np.concatenate([self.times(i) for i in range(len(self.ids))]),
            "mean": self.mean.ravel(),
        }
        for level, radius in self.radii.items():
            columns[f"lo-{level}"] = (self.mean - radius).ravel()
            columns[f"hi-{level}"] = (self.mean + radius).ravel()
        return pd.DataFrame(columns)


class Prediction(NamedTuple):
    """``mean`` (B, horizon) in data units and the ``spread`` (B, 1) of each window."""

    mean: Floats
    spread: Floats


def predict(spec: Spec, engine: Engine, past: Floats, horizon: int) -> Prediction:
    """The forecast after the last T points of ``past`` (B, T or more): normalise, roll the network, come back."""
    scaled = normalise(past[:, -spec.context :], spec.season)
    said = roll(engine, scaled.values, horizon, spec.season)
    return Prediction(to_data_units(said, scaled.level, scaled.spread), scaled.spread)


def roll(engine: Engine, past: NDArray[np.float32], horizon: int, season: int) -> NDArray[np.float32]:
    """``horizon`` steps after ``past`` (B, T): what the network says is appended to its context until there are enough.

    Returns:
        (B, horizon), float32, in window units.
    """
    context, said = past, np.zeros((len(past), 0), dtype=np.float32)
    while said.shape[1] < horizon:
        step = engine.run(inputs(context, season))
        said = np.concatenate([said, step], axis=1)
        context = np.concatenate([context, step], axis=1)[:, -past.shape[1] :]
    return said[:, :horizon]


def forecast(forecaster: Forecaster, engine: Engine, panel: Panel, horizon: int, levels: Sequence[int]) -> Forecast:
    """The next ``horizon`` steps of every series, with a central interval for each level (percent).

    Raises:
        ModelBroken: the network gave numbers that are not finite.
        InputError: another frequency than the forecaster's, a series shorter than its context, a level that its
            calibration cannot vouch for, timestamps beyond the calendar.
    """
    spec = forecaster.spec
    _check(spec, panel, horizon)
    past = np.stack([panel.series(i)[-spec.context :] for i in range(len(panel))])
    mean, spread = predict(spec, engine, past, horizon)
    if not np.isfinite(mean).all():
        raise ModelBroken("the network gave NaN or infinity; move its alias to another version, or train it anew")
    radii = {level: spread * forecaster.calibration.radius(level, horizon) for level in levels}
    starts = np.array([panel.next_times(i, 1)[0] for i in range(len(panel))])
    notes = _notes(spec, panel, horizon, spread)
    return Forecast(ids=panel.ids, freq=panel.freq, starts=starts, mean=mean, radii=radii, notes=notes, utc=panel.utc)


def _check(spec: Spec, panel: Panel, horizon: int) -> None:
    if panel.freq != parse_freq(spec.freq):
        message = f"the history has frequency {panel.freq}, the model was trained on {spec.freq}"
        hint = "send history at the model's frequency, or train a model on this one"
        raise InputError([Fault(code="other_frequency", field="freq", message=message, hint=hint)])
    if horizon < 1:
        message = f"horizon is {horizon}"
        raise InputError([Fault(code="bad_field", field="horizon", message=message, hint="give 1 or more")])
    found = Findings()
    found.add(np.flatnonzero(panel.lengths < spec.context).tolist(), lambda i: _too_short(spec, panel, i))
    found.add(_beyond_calendar(panel, horizon), lambda i: _too_late(panel, horizon, i))
    found.check()


def _beyond_calendar(panel: Panel, horizon: int) -> list[int]:
    """The series whose forecast would end after the calendar does; the rough bound keeps the exact sum in range."""
    steps = panel.lengths + horizon - 1
    beyond = steps * panel.freq.least_days > (LAST - panel.starts) / np.timedelta64(1, "D")
    return [i for i in range(len(panel)) if beyond[i] or panel.freq.after(panel.starts[i], steps[i : i + 1])[0] > LAST]


def _too_short(spec: Spec, panel: Panel, i: int) -> Fault:
    message = f"the series has {panel.lengths[i]} points"
    hint = f"this model needs at least {spec.context}"
    return Fault(code="too_short", unique_id=panel.ids[i], message=message, hint=hint)


def _too_late(panel: Panel, horizon: int, i: int) -> Fault:
    message = f"{horizon} steps of {panel.freq} end after the year 2261"
    return Fault(code="beyond_calendar", unique_id=panel.ids[i], message=message, hint="ask for a shorter horizon")


def _notes(spec: Spec, panel: Panel, horizon: int, spread: Floats) -> tuple[Note, ...]:
    notes = []
    if horizon > spec.horizon:
        message = (
            f"the model was trained and calibrated for {spec.horizon} steps; those beyond are rolled forward, "
            "and their intervals are extrapolated"
        )
        notes.append(Note(code="beyond_trained_horizon", message=message))
    for i in np.flatnonzero(spread[:, 0] == 0):
        message = "the last values are constant; the forecast repeats them and the intervals have no width"
        notes.append(Note(code="constant_history", message=message, unique_id=panel.ids[i]))
    return tuple(notes)
