"""Program that trains every cell with every strategy, small and briefly, on the backend of ``KERAS_BACKEND``.

It prints a JSON object for each kind: its name, the backend, the MASE of the network and of the naive forecast. Under
the name ``resumed`` it trains one network with dropout twice, and once interrupted and resumed; the object has the
SHA-256 of the weights of each.
"""

import json
import sys
from dataclasses import replace
from hashlib import sha256
from itertools import product

import numpy as np

from models.engines.keras import KerasEngine, backend
from models.engines.onnx import OnnxEngine
from models.engines.parity import check_parity
from models.errors import Cancelled
from models.evaluation.backtest import evaluate
from models.evaluation.origins import BacktestPlan, origins_of
from models.forecasting.forecaster import predict
from models.network.cells import CELLS
from models.network.spec import Spec, Training
from models.training.checkpoint import Checkpoint, StepCheckpoint
from models.training.fit import fit, train_member
from models.training.member_plan import MemberPlan
from models.types import Weights
from tests.models.kinds import LEARNING
from tests.models.samples import panel_of, ready_of, small_spec

TRAINING = Training(max_epochs=1, steps_per_epoch=100, batch_size=16, learning_rate=2e-2, patience=0)
KINDS = list(product(CELLS, LEARNING))
RNG, T = np.random.default_rng(7), np.arange(120)
PANEL = panel_of(*(np.sin(2 * np.pi * T / 6 + a) + RNG.normal(0, 0.1, 120) for a in range(4)))
PLAN = BacktestPlan(horizon=2, origins=8, stride=1)


def main(arguments: list[str]) -> None:
    """Train the kinds ``CELL-STRATEGY`` in ``arguments``, or all of them, and the one that is resumed."""
    for cell, strategy in KINDS:
        if not arguments or f"{cell}-{strategy}" in arguments:
            errors = errors_of(spec_of(cell, strategy))
            print(json.dumps({"name": f"{cell}-{strategy}", "backend": backend(), **errors}), flush=True)
    print(json.dumps({"name": "resumed", "backend": backend(), **resumed()}))


def spec_of(cell: str, strategy: str, dropout: float = 0.0) -> Spec:
    sizes = {"season": 6, "context": 12, "horizon": 2, "units": 8}
    return small_spec(cell=cell, strategy=strategy, dropout=dropout, **sizes)


def errors_of(spec: Spec) -> dict[str, float | None]:
    networks = ready_of(spec, fit(spec, TRAINING, PANEL.cut(PLAN.held_out)))
    scores = evaluate(lambda *asked: predict(networks, *asked), origins_of(PANEL, PLAN, spec.season)).report.scores
    return {name: scores[name]["mase"] for name in ("model", "naive")}


def resumed() -> dict[str, object]:
    plan = MemberPlan(spec_of("gru", "direct", 0.2), replace(TRAINING, max_epochs=3, steps_per_epoch=5, patience=3))
    once, again = (train_member(plan, PANEL, StepCheckpoint()) for _ in range(2))
    kept: list[bytes] = []
    batches = iter(range(13))  # the 14th call, in the third epoch, stops the training
    try:
        checkpoint = Checkpoint("", kept.append, lambda: True)
        train_member(plan, PANEL, checkpoint.open("fit"), should_stop=lambda: next(batches, None) is None)
    except Cancelled:
        pass
    restored = Checkpoint()
    restored.restore(kept[-1])
    later = train_member(plan, PANEL, restored.open("fit"))
    difference = check_parity(plan.spec, KerasEngine(plan.spec, once), OnnxEngine(plan.spec, once), rows=(7,))
    return {"once": digest(once), "again": digest(again), "resumed": digest(later), "engines_differ_by": difference}


def digest(weights: Weights) -> str:
    return sha256(b"".join(name.encode() + weights[name].tobytes() for name in sorted(weights))).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
