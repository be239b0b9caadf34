"""Small panels and networks that the tests of the library share."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.data.calendar import Freq, parse_freq
from models.data.panel import Panel, panel_from_columns
from models.data.serialization import MAGIC
from models.engines.onnx import OnnxEngine
from models.errors import Fault, InputError
from models.evaluation.intervals import LEVELS, Calibration
from models.forecasting.forecaster import Forecaster, Member, RunnableMember, make_runnable
from models.network.build import weight_shapes
from models.network.inputs import Reader, fact_shapes, facts_in
from models.network.spec import Spec


def days(count: int, start: str = "2024-01-01") -> list[str]:
    return [str(day) for day in np.datetime64(start) + np.arange(count)]


def panel_of(*series: Any, freq: str = "D", start: str = "2024-01-01") -> Panel:
    """Return a panel of the given arrays, named s0, s1, …"""
    step, first = parse_freq(freq), np.datetime64(start, "us")
    ids = [f"s{i}" for i, y in enumerate(series) for _ in y]
    ds = [str(t) for y in series for t in step.after(first, np.arange(len(y)))]
    return panel_from_columns(ids, ds, [float(v) for y in series for v in y], freq)


def grid(freq: str | Freq, start: str, count: int) -> np.ndarray:
    step = parse_freq(freq) if isinstance(freq, str) else freq
    return step.after(np.datetime64(start, "us"), np.arange(count))


def rows_of(panel: Panel) -> list[tuple[str, str, float]]:
    """Return the long rows of a panel, series after series."""
    moments = [str(t) for i in range(len(panel)) for t in panel.times(i)]
    names = [name for name, y in panel for _ in y]
    return list(zip(names, moments, panel.y.tolist(), strict=True))


def faults_of(error: InputError) -> list[tuple[str, str | None, int | None]]:
    return [(fault.code, fault.unique_id, fault.row) for fault in error.faults]


def helpful(fault: Fault) -> bool:
    """Return whether a fault has a code, a message and a hint, and is short."""
    return bool(fault.code and fault.message and fault.hint) and len(str(fault)) < 500


def small_spec(**fields: Any) -> Spec:
    return Spec(**{"freq": "D", "season": 3, "context": 10, "horizon": 4, "units": 6, **fields})


def flat_calibration(horizon: int, count: int = 199) -> Calibration:
    """Return a calibration with radius level / 100 at every step."""
    return Calibration(np.tile(LEVELS / 100, (horizon, 1)).astype(np.float32), count)


def forecaster_of(*members: tuple[Spec, Any]) -> Forecaster:
    return Forecaster(tuple(Member(*member) for member in members), flat_calibration(members[0][0].horizon))


def with_covariates(panel: Panel, categories: Mapping[str, Sequence[str]] | None = None, **columns: Any) -> Panel:
    """Return ``panel`` with flat covariates; those of text are indices into ``categories``."""
    flat = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    return replace(panel, covariates=flat, categories={n: tuple(texts) for n, texts in (categories or {}).items()})


def known_panel(rng: np.random.Generator, ahead: int, *histories: Any) -> Panel:
    """Return the histories with all covariates of ``kinds.KNOWN``, known for ``ahead`` more steps."""
    bare = panel_of(*(np.append(y, np.full(ahead, np.nan)) for y in histories))
    count = len(bare.y)
    return with_covariates(
        bare,
        {"promotion": ("none", "some"), "place": ("east", "north", "south")},
        load=rng.normal(size=count),
        price=rng.normal(size=count),
        promotion=rng.integers(0, 2, count),
        size=np.repeat(rng.normal(size=len(histories)), bare.lengths),
        place=np.repeat(rng.integers(0, 3, len(histories)), bare.lengths),
        area=np.repeat(rng.normal(size=len(histories)), bare.lengths),
    )


def weights_of(spec: Spec, seed: int = 0) -> dict[str, Any]:
    """Return nonzero weights and biases, so that a swapped gate or a lost bias shows; and plain facts."""
    rng = np.random.default_rng(seed)
    shapes = weight_shapes(spec).items()
    weights = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes}
    facts = {name: np.ones(shape, dtype=np.float32) for name, shape in fact_shapes(spec).items()}
    return weights | facts | {"facts/mean": np.zeros_like(facts["facts/mean"])}


def ready_of(spec: Spec, weights: Any) -> tuple[RunnableMember, ...]:
    """Return one network on ONNX Runtime."""
    return make_runnable([Member(spec, weights)], OnnxEngine)


def reader_of(spec: Spec, panel: Panel) -> Reader:
    return Reader(spec, facts_in(weights_of(spec)), panel)


class FixedEngine:
    """A hand-written engine: ``answer`` maps the inputs to the prediction (B, O); it records all its inputs."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.given = answer, list[Any]()

    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        self.given.append(inputs)
        return {"predicted": np.asarray(self.answer(inputs), dtype=np.float32)[..., None]}


def with_header(data: bytes, change: Any) -> bytes:
    """Return a bundle with a changed JSON header and the right header length."""
    end = 16 + int.from_bytes(data[8:16], "little")
    header = json.loads(data[16:end])
    change(header)
    text = json.dumps(header).encode()
    return MAGIC + len(text).to_bytes(8, "little") + text + data[end:]
