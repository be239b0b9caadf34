"""Every kind of network: the combinations of parts, and each option with the parts that it affects."""

from collections.abc import Iterator
from itertools import count, product
from typing import Any

from models.data.transforms import TRANSFORMS
from models.network.cells import CELLS
from models.network.losses import LOSSES
from models.network.scaling import SCALINGS
from models.network.spec import Spec
from models.network.strategies import STRATEGIES
from tests.models.samples import small_spec

LEARNING = [name for name, strategy in STRATEGIES.items() if strategy.learns]
PARTS = [
    {"cell": cell, "encoder": encoder, "strategy": strategy, "segment": size, "depth": size}
    for cell, encoder, strategy, size in product(CELLS, ("forward", "bidirectional"), LEARNING, (1, 2))
]
KNOWN = {
    "past_covariates": ("load",),
    "future_covariates": ("price", "promotion"),
    "static_covariates": ("size", "place"),
    "categories": (("promotion", ("none", "some")), ("place", ("north", "south"))),
    "calendar": True,
    "holidays": "DE",
}
SEVEN = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
OPTIONS: list[dict[str, Any]] = [
    *({"encoder": "convlstm", "cell": "lstm", "strategy": s} for s in LEARNING if s != "seq2seq"),
    {"encoder": "convlstm", "cell": "lstm", "depth": 2},
    *({"attention": True, "strategy": s, "segment": k} for s, k in product(("decoder", "parallel"), (1, 2))),
    {"attention": True, "strategy": "decoder", "encoder": "bidirectional", "cell": "peephole", **KNOWN},
    *({"state": "carried", "cell": c, "depth": 2, "strategy": s} for c, s in product(CELLS, LEARNING[:3])),
    {"state": "carried", "strategy": "iterative", **KNOWN},
    {"state": "carried", "strategy": "seq2seq", "season": 20},
    *({"scaling": n, "strategy": s, "horizon": 2} for n, s in product(SCALINGS, LEARNING[:3])),
    *({"transform": n, "strategy": s} for n, s in product(TRANSFORMS, ("iterative", "direct")) if n != "none"),
    *({"loss": n, "strategy": s} for n, s in product(LOSSES, ("iterative", "seq2seq", "decoder"))),
    {"loss": "quantile", "state": "carried", "strategy": "iterative"},
    *({"skip": False, "strategy": s} for s in ("direct", "seq2seq", "parallel")),
    *({"season": 1, "strategy": s} for s in LEARNING),
    *({"season": 20, "context": 4, "horizon": 6, "strategy": s} for s in LEARNING),
    *({**KNOWN, "strategy": s, "segment": 2} for s in LEARNING),
    {**KNOWN, "encoder": "convlstm", "cell": "lstm"},
    *({"context": 0, "strategy": s, "static_covariates": ("size",)} for s in ("direct", "decoder", "parallel")),
    {**KNOWN, "past_covariates": (), "context": 0, "strategy": "decoder", "loss": "student_t"},
    {"loss": "quantile", "strategy": "direct", "horizon": 7, "quantiles": SEVEN},  # as many steps as quantiles
    {"context": 6, "segment": 3, "strategy": "direct", "static_covariates": ("size", "area")},  # as many as steps read
    {"strategy": "seasonal_naive"},
]


def spec_of(fields: dict[str, Any]) -> Spec:
    return small_spec(**{"season": 2, "units": 4, "dropout": 0.2, **fields})


def name_of(fields: dict[str, Any]) -> str:
    words = [f"{value}" for value in fields.values() if not isinstance(value, tuple)]
    return "-".join([*words, *("known" for name in fields if name == "static_covariates")])


def pairs() -> list[dict[str, Any]]:
    """Return kinds for slow tests: every cell with every strategy, the rest in turns; and every other option once."""
    parts = [
        {"cell": cell, "strategy": strategy, "encoder": encoder, "segment": segment, "depth": depth}
        for (cell, strategy), (encoder, segment, depth) in zip(
            product(CELLS, LEARNING), _alternate_parts(), strict=False
        )
    ]
    seen: set[tuple[str, Any]] = set()
    options = []
    for fields in OPTIONS:
        new = {(name, value) for name, value in fields.items() if name not in ("strategy", "cell", "segment", "depth")}
        if not new <= seen:
            options.append(fields)
            seen |= new
    return parts + options


def _alternate_parts() -> Iterator[tuple[str, int, int]]:
    return ((("forward", "bidirectional")[i % 2], 1 + (i // 2) % 2, 1 + (i // 3) % 2) for i in count())
